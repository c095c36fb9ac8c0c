package leadership_test

import (
	"testing"
	"testing/synctest"

	. "github.com/tenure-go/tenure/leadership"
)

// Every waiter that is asleep when a record is written wakes up with it, and so
// does every waiter when the registry is closed.
func TestMemoryRegistryWakesWhoSleeps(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	synctest.Test(t, func(t *testing.T) {
		var reg MemoryRegistry
		const waiters = 3
		got := make(chan error, waiters)
		wait := func(after uint64) {
			for range waiters {
				go func() {
					r, err := reg.Wait(t.Context(), after)
					if err == nil && r.Version <= after {
						t.Errorf("Wait(%d) returned version %d", after, r.Version)
					}
					got <- err
				}()
			}
			synctest.Wait() // all of them are asleep
		}
		wait(0)
		first, err := reg.Swap(t.Context(), 0, must(Record{}.Create("c", Full, rs)))
		if err != nil {
			t.Fatal(err)
		}
		for range waiters {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		wait(first.Version)
		if err := reg.Close(); err != nil {
			t.Fatal(err)
		}
		for range waiters {
			wantIs(t, <-got, ErrClosed)
		}
	})
}
