package acceptor_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// TestG1_NoCompletionIsDecidedAfterAStepDownReturned opens brackets at a leader,
// starts a promise, and closes the brackets one by one: the promise may be
// neither written nor reported before the last is closed.
func TestG1_NoCompletionIsDecidedAfterAStepDownReturned(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 4).Draw(t, "open brackets")
		patience := rapid.IntRange(1, 6).Draw(t, "seconds that the caller waits")
		kind := rapid.SampledFrom([]string{"recruit", "step-down", "follow"}).Draw(t, "by")
		rapid.SyncTest(t, func(t *rapid.T) {
			ctx := context.Background()
			s := &memStore{}
			a, err := acceptor.Create(ctx, s, "n1", "d1")
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(a.Install(ctx, lead("n1", 3), func(context.Context) error { return nil }), a.Grant(ctx, term(3), yes))
			if err != nil {
				t.Fatal(err)
			}
			var open atomic.Int64
			for i := range n {
				c, err := a.Complete(term(3))
				if err != nil {
					t.Fatal(err)
				}
				open.Add(1)
				time.AfterFunc(time.Duration(i+1)*time.Second-time.Millisecond, func() { open.Add(-1); c.Done() })
			}
			s.during = func(acceptor.State) {
				if open.Load() != 0 {
					t.Errorf("the promise was written with %d brackets open", open.Load())
				}
			}
			bound, cancel := context.WithTimeout(ctx, time.Duration(patience)*time.Second)
			defer cancel()
			switch kind {
			case "recruit":
				_, err = a.Recruit(bound, term(4), nil)
			case "step-down":
				_, err = a.StepDown(bound, term(4), nil)
			case "follow":
				err = a.Follow(bound, lead("n2", 4))
			}
			left := open.Load()
			if (err == nil) != (patience >= n) || err == nil && left != 0 {
				t.Fatalf("%v with %d brackets open", err, left)
			}
			if _, late := a.Complete(term(3)); late == nil {
				t.Fatal("a bracket opened after the promise began")
			}
			if err != nil {
				var un *acceptor.UnsettledError
				if !errors.As(err, &un) || !errors.Is(err, context.DeadlineExceeded) || s.disk().Promised != term(3) {
					t.Fatalf("%v, disk %+v", err, s.disk())
				}
				// The retry waits for the rest and settles it.
				got, err := a.StepDown(ctx, term(4), nil)
				if err != nil || open.Load() != 0 || got.Led != term(3) || got.Kind != leadership.Demoted {
					t.Fatalf("%+v %v", got, err)
				}
			}
		})
	})
}

func TestAHigherTermCancelsAMarkerWriteAndWaitsForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newNode(t, &memStore{})
		var landed atomic.Bool
		installed := make(chan error, 1)
		go func() {
			installed <- a.Install(ctx, lead("n1", 3), func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second) // the write that no context stops
				landed.Store(true)
				return nil
			})
		}()
		synctest.Wait()
		_, err := a.Recruit(ctx, term(4), func(context.Context) (acceptor.Reading, error) {
			if !landed.Load() {
				t.Error("the log is read while a marker of a lower term is being written")
			}
			return acceptor.Reading{}, nil
		})
		must(t, err)
		err = <-installed
		as[*acceptor.UnconfirmedError](t, err)
		if !errors.Is(err, leadership.ErrUnknownOutcome) {
			t.Error(err)
		}
	})
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newLeader(t, &memStore{}, 3)
		c, err := a.Complete(term(3))
		must(t, err)
		first := make(chan error, 1)
		go func() {
			_, err := a.Recruit(ctx, term(4), nil)
			first <- err
		}()
		synctest.Wait()
		bound, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = a.Recruit(bound, term(5), nil)
		as[*acceptor.CanceledError](t, err)
		if !leadership.NotExecuted(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		c.Done()
		must(t, <-first)
		if a.Status().Promised != term(4) {
			t.Errorf("%+v", a.Status())
		}
	})
}

// TestG2_NoAcknowledgedEntryIsMissedByAPromise races writers with promises: an
// entry that was acknowledged under a lower term is below the position that the
// promise read, whatever the schedule.
func TestG2_NoAcknowledgedEntryIsMissedByAPromise(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	var log atomic.Uint64
	var current atomic.Uint64 // the term that writers use
	must(t, a.Follow(ctx, lead("n2", 1)))
	current.Store(1)
	type ack struct{ term, index uint64 }
	var mu sync.Mutex
	var acks []ack
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := current.Load()
				tok, err := a.Admit(lead("n2", n))
				if err != nil {
					runtime.Gosched()
					continue
				}
				runtime.Gosched()
				index := log.Add(1)
				runtime.Gosched()
				if a.Confirm(tok) == nil {
					mu.Lock()
					acks = append(acks, ack{n, index})
					mu.Unlock()
				}
			}
		})
	}
	read := map[uint64]uint64{}
	for n := uint64(2); n < 150; n++ {
		got, err := a.Recruit(ctx, term(n), func(ctx context.Context) (acceptor.Reading, error) {
			p, err := at(n-1, log.Load())(ctx)
			runtime.Gosched()
			return p, err
		})
		must(t, err)
		read[n] = got.Read.Point.(leadership.LogPoint).Index
		must(t, a.Follow(ctx, lead("n2", n)))
		current.Store(n)
		for before := log.Load(); log.Load() == before; {
			runtime.Gosched()
		}
	}
	close(stop)
	wg.Wait()
	if len(acks) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	for _, k := range acks {
		if at, ok := read[k.term+1]; ok && k.index > at {
			t.Fatalf("entry %d of term %d was acknowledged, the promise of %d read up to %d", k.index, k.term, k.term+1, at)
		}
	}
}
