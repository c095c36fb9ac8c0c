package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// promised returns a record of one node with the n-th promise.
func promised(n uint64) acceptor.State {
	t := leadership.Term{Num: n + 1, Proposer: "c1"}
	return acceptor.State{Node: "n1", Incarnation: "d1", Promised: t, Source: leadership.Leadership{Leader: "n2", Term: t}}
}

// settle checks the store after a Save of next over old that returned err.
func (o *opened) settle(old, next acceptor.State, err error) error {
	var bad error
	switch {
	case err == nil:
		bad = o.holds(next)
	case leadership.NotExecuted(err):
		bad = o.holds(old)
	default:
		bad = o.holds(old, next)
	}
	if bad != nil {
		return fmt.Errorf("saving returned %v: %w", err, bad)
	}
	return nil
}

func storeCancel(c storeCase) error {
	o, err := c.open()
	if err != nil {
		return err
	}
	old := promised(0)
	if err := o.save(old); err != nil {
		return err
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if got, ok, err := o.s.Load(gone); err == nil && (!ok || len(differing(got, old)) > 0) {
		return fmt.Errorf("loading with a context that has ended returned %s %v and no error", stateText(got), ok)
	}
	for n := range uint64(30) {
		next := promised(n + 1)
		ctx := gone
		join := func() {}
		if n > 0 {
			running, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { cancel(); close(done) }()
			ctx, join = running, func() { <-done }
		}
		err := o.s.Save(ctx, next)
		join()
		if err := o.settle(old, next, err); err != nil {
			return fmt.Errorf("the context ended before or during Save: %w", err)
		}
		if rerr := o.reopen(); rerr != nil {
			return rerr
		}
		if err := o.settle(old, next, err); err != nil {
			return fmt.Errorf("the context ended before or during Save, and the store was opened again: %w", err)
		}
		// Nothing of it may be in the way of the next.
		if err := errors.Join(o.save(next), o.holds(next)); err != nil {
			return fmt.Errorf("the Save after a cancelled one: %w", err)
		}
		old = next
	}
	return nil
}

// maxMoments bounds how many crashes one check asks for.
const maxMoments = 10000

func storeCrash(c storeCase) error {
	o, err := c.open()
	if err != nil {
		return err
	}
	if o.d.Crash == nil {
		return inapplicable("Disk.Crash is nil: it is not checked what a crash in the middle of Save leaves")
	}
	old := promised(0)
	if err := o.save(old); err != nil {
		return err
	}
	for n := range maxMoments {
		// Records of very different lengths, so that a mix shows.
		next := promised(uint64(n)*2 + 1)
		if n%2 == 0 {
			next.Floor = leadership.Position{Term: next.Promised, Point: leadership.LogPoint{Index: 1 << 60}}
		}
		crashed := o.d.Crash(n, next)
		if err := o.reopen(); err != nil {
			return fmt.Errorf("after a crash at moment %d: %w", n, err)
		}
		want := []acceptor.State{next}
		if crashed {
			want = append(want, old)
		}
		if err := o.holds(want...); err != nil {
			return fmt.Errorf("after a crash at moment %d (died: %v): %w", n, crashed, err)
		}
		if !crashed {
			return nil
		}
		old = promised(uint64(n)*2 + 2)
		if err := errors.Join(o.save(old), o.reopen()); err != nil {
			return fmt.Errorf("the first Save after a crash at moment %d: %w", n, err)
		}
		if err := o.holds(old); err != nil {
			return fmt.Errorf("the first Save after a crash at moment %d: %w", n, err)
		}
	}
	return fmt.Errorf("the hook Disk.Crash has more than %d moments: return false when there are no more", maxMoments)
}

func storeCorrupt(c storeCase) error {
	for n := 0; ; n++ {
		o, err := c.open()
		if err != nil {
			return err
		}
		if o.d.Corrupt == nil {
			return inapplicable("Disk.Corrupt is nil: it is not checked what becomes of a record that was damaged")
		}
		good := promised(1)
		if err := errors.Join(o.save(promised(0)), o.save(good)); err != nil {
			return err
		}
		if !o.d.Corrupt(n) {
			if n == 0 {
				return errors.New("the hook Disk.Corrupt knows no way to damage a record")
			}
			return nil
		}
		for _, when := range []string{"", ", opened a second time"} {
			if err := o.distrusts(good); err != nil {
				return fmt.Errorf("damaged in way %d%s: %w", n, when, err)
			}
		}
	}
}

// distrusts checks that a damaged record is an error, now and when asked again.
// Damage that the store can make good, so that it returns the very record, does
// no harm.
func (o *opened) distrusts(good acceptor.State) error {
	s, err := o.d.Open()
	if err != nil {
		return isCorrupt(err)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		got, ok, err := s.Load(ctx)
		cancel()
		switch {
		case err != nil:
			if err := isCorrupt(err); err != nil {
				return err
			}
		case !ok:
			return errors.New("the store says that no record was ever saved: the node would forget what it promised")
		case len(differing(got, good)) > 0:
			return fmt.Errorf("it was taken for %s, saved was %s", stateText(got), stateText(good))
		}
	}
	return nil
}

func isCorrupt(err error) error {
	var corrupt *leadership.CorruptError
	if !errors.As(err, &corrupt) {
		return fmt.Errorf("the error is %w, not a *leadership.CorruptError", err)
	}
	return nil
}

// slot is one call of the register that a store is, for porcupine.
type slot struct {
	save bool
	text string // the record's
}

func storeConcurrent(c storeCase) error {
	o, err := c.open()
	if err != nil {
		return err
	}
	if !o.d.Concurrent {
		return inapplicable("Disk.Concurrent is false: an Acceptor makes one call at a time, and more is not checked")
	}
	first := promised(0)
	if err := o.save(first); err != nil {
		return err
	}
	const workers, each = 4, 10
	var clock atomic.Int64
	var mu sync.Mutex // guards ops and errs, taken by each worker
	var ops []porcupine.Operation
	var errs []error
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for i := range each {
				op := porcupine.Operation{ClientId: w, Call: clock.Add(1)}
				var err error
				keep := true
				if i%2 == 0 {
					s := first
					s.Floor = leadership.Position{Term: first.Promised, Point: leadership.LogPoint{Index: uint64(w*each + i + 1)}}
					op.Input = slot{save: true, text: stateText(s)}
					err = o.s.Save(ctx, s)
					keep = !leadership.NotExecuted(err)
				} else {
					got, ok, lerr := o.s.Load(ctx)
					op.Input, op.Output = slot{}, stateText(got)
					if err = lerr; err == nil && !ok {
						err = errors.New("loading found no record")
					}
				}
				op.Return = clock.Add(1)
				isSave := op.Input.(slot).save
				mu.Lock()
				switch {
				case err != nil && !isSave:
					errs = append(errs, err)
				case err != nil && keep:
					op.Return = math.MaxInt64 // it may take effect at any time
					op.ClientId = workers + w*each + i
					ops = append(ops, op)
				case keep:
					ops = append(ops, op)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	model := porcupine.Model{
		Init: func() any { return stateText(first) },
		Step: func(state, in, out any) (bool, any) {
			if call := in.(slot); call.save {
				return true, call.text
			}
			return out.(string) == state.(string), state
		},
	}
	if !porcupine.CheckOperations(model, ops) {
		return fmt.Errorf("the answers of %d calls fit no order of them", len(ops))
	}
	return nil
}
