package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

func registryWaitLevel(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	first := create(ctx, t, reg)
	if got, err := reg.Wait(ctx, 0); err != nil || !got.Equal(first) {
		t.Errorf("Wait(0) = %+v, %v", got, err)
	}
	last := first
	for range 3 {
		next, err := begin(last, "kit")
		if err != nil {
			t.Fatal(err)
		}
		if last, err = reg.Swap(ctx, last.Version, next); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody was waiting during those writes, and nothing may be owed.
	if got, err := reg.Wait(ctx, first.Version); err != nil || !got.Equal(last) {
		t.Errorf("Wait(%d) = version %d, %v, want %d", first.Version, got.Version, err, last.Version)
	}
}

func registryWaitEdge(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	const waiters, writes = 4, 20
	first := create(ctx, t, reg)
	// A waiter says when it has seen a write, and the next write waits for all
	// of them: so they do wait, and do not find everything there already.
	seen := make(chan struct{}, waiters*writes)
	errs := make(chan error, waiters)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop() // before the wait above, whatever failed
	goal := leadership.Term{Num: writes}
	for range waiters {
		wg.Go(func() {
			after := uint64(0)
			var fence leadership.Term
			for fence.Num < goal.Num {
				r, err := reg.Wait(ctx, after)
				if err == nil && (r.Version <= after || r.Fence.Less(fence)) {
					err = fmt.Errorf("Wait(%d) returned version %d, fence %s after %s", after, r.Version, r.Fence, fence)
				}
				if err != nil {
					errs <- err
					return
				}
				after, fence = r.Version, r.Fence
				if !fence.IsZero() {
					seen <- struct{}{}
				}
			}
		})
	}
	for last := first; last.Fence.Num < goal.Num; {
		next, err := begin(last, "kit")
		if err != nil {
			t.Fatal(err)
		}
		if last, err = reg.Swap(ctx, last.Version, next); err != nil {
			t.Fatal(err)
		}
		for range waiters {
			select {
			case <-seen:
			case err := <-errs:
				t.Fatalf("after version %d was written: %v", last.Version, err)
			}
		}
	}
}

func registryWaitCancel(t *testing.T, open func(t *testing.T) leadership.Registry) {
	reg := open(t)
	first := create(bounded(t), t, reg)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := reg.Wait(ctx, first.Version)
		done <- err
	}()
	cancel(cause)
	select {
	case err := <-done:
		if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			t.Errorf("Wait = %v, want the cause of its context", err)
		}
	case <-bounded(t).Done():
		t.Fatal("Wait does not end with its context")
	}
}
