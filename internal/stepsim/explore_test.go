package stepsim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// toy is a server that writes the names of its callers to its disk, and k
// callers that ask it once each. Calls end after a while.
func toy(t *testing.T, sim *stepsim.Sim, k int) (end string, err error) {
	t.Helper()
	server := sim.Proc("server")
	server.CanCrash = true
	var disk, log []string
	server.Boot = func() { log = slices.Clone(disk) }
	told := make([]string, k)
	var wg sync.WaitGroup
	for i := range k {
		c := sim.Proc(fmt.Sprintf("c%d", i))
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			got, err := stepsim.Call(ctx, c, server, "append", func(ctx context.Context) (string, error) {
				log = append(log, c.Name)
				if k < 3 {
					if err := server.Disk(ctx, "write", func(bool) { disk = append(disk, c.Name) }); err != nil {
						return "", err
					}
				}
				return strings.Join(log, ""), nil
			})
			told[i] = fmt.Sprint(got, err)
		})
	}
	err = sim.Do(1000, wg.Wait)
	return fmt.Sprint(log, disk, told), err
}

// all explores the toy and returns the end states.
func all(t *testing.T, sc stepsim.Scope, f stepsim.Faults, k int, bad func(end string) error) (stepsim.Found, []string) {
	t.Helper()
	ends := map[string]bool{}
	got := stepsim.Explore(sc, func(x *stepsim.Explorer) (sim *stepsim.Sim, err error) {
		synctest.Test(t, func(t *testing.T) {
			sim = x.Sim(f)
			defer sim.Close()
			var end string
			if end, err = toy(t, sim, k); err != nil {
				return
			}
			ends[end] = true
			if bad != nil {
				err = bad(end)
			}
		})
		return sim, err
	})
	var out []string
	for e := range ends {
		out = append(out, e)
	}
	slices.Sort(out)
	return got, out
}

func TestTheNaiveSearchRunsEveryInterleavingOnce(t *testing.T) {
	t.Parallel()
	// k requests and k answers, each answer after its request: (2k)! / 2^k. With
	// a write in between: (3k)! / 6^k.
	for k, want := range map[int]int{1: 1, 2: 20, 3: 90} {
		got, ends := all(t, stepsim.Scope{Naive: true}, stepsim.Faults{Reorder: true}, k, nil)
		if got.Runs != want || !got.Complete || got.Ambiguous != 0 {
			t.Errorf("%d callers: %+v, want %d runs", k, got, want)
		}
		// The order of arrival, and with a write in between whose answer is made
		// before the other's arrival.
		if fact := []int{0, 1, 6, 6}[k]; len(ends) != fact {
			t.Errorf("%d callers: %d end states, want %d", k, len(ends), fact)
		}
	}
}

func TestTheSearchWithStatesReachesTheSameEndsInFewerRuns(t *testing.T) {
	t.Parallel()
	for _, f := range []stepsim.Faults{
		{Reorder: true}, {Reorder: true, Drop: 1}, {Reorder: true, Crash: 1}, {Reorder: true, Torn: 1},
		{Reorder: true, Dup: 1}, {Delays: 2},
		{Reorder: true, Coarse: true}, {Reorder: true, Coarse: true, Crash: 1}, {Reorder: true, Coarse: true, Dup: 1},
		{Delays: 1, Crash: 1}, {Drop: 2},
	} {
		k := 2
		if f == (stepsim.Faults{Reorder: true}) || f == (stepsim.Faults{Delays: 2}) {
			k = 3
		}
		naive, want := all(t, stepsim.Scope{Naive: true}, f, k, nil)
		cached, got := all(t, stepsim.Scope{}, f, k, nil)
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %d end states, want %d", f, len(got), len(want))
		}
		t.Logf("%+v: %d runs, with states %d, %d end states", f, naive.Runs, cached.Runs, len(want))
		if !naive.Complete || !cached.Complete || cached.Runs > naive.Runs || f.Reorder && !f.Coarse && cached.Runs >= naive.Runs {
			t.Errorf("%+v: %+v is no better than %+v", f, cached, naive)
		}
	}
}

func TestTheSearchFindsTheOneBadOrder(t *testing.T) {
	t.Parallel()
	errBad := errors.New("bad")
	bad := func(end string) error {
		if strings.HasPrefix(end, "[c2 c0 c1]") {
			return errBad
		}
		return nil
	}
	for _, sc := range []stepsim.Scope{{}, {Naive: true}} {
		got, _ := all(t, sc, stepsim.Faults{Reorder: true}, 3, bad)
		if !errors.Is(got.Err, errBad) || got.Complete {
			t.Fatalf("%+v: %+v", sc, got)
		}
		// The picks are a schedule of their own.
		synctest.Test(t, func(t *testing.T) {
			sim := stepsim.New(stepsim.Replay(got.Picks), stepsim.Faults{Reorder: true})
			defer sim.Close()
			if end, err := toy(t, sim, 3); err != nil || bad(end) == nil {
				t.Errorf("replayed: %s, %v", end, err)
			}
		})
	}
}

func TestARunThatIsNoFunctionOfItsPicksIsFound(t *testing.T) {
	t.Parallel()
	n := 0
	got := stepsim.Explore(stepsim.Scope{}, func(x *stepsim.Explorer) (sim *stepsim.Sim, err error) {
		synctest.Test(t, func(t *testing.T) {
			sim = x.Sim(stepsim.Faults{Reorder: true})
			defer sim.Close()
			n++
			_, err = toy(t, sim, 2+n%2)
		})
		return sim, err
	})
	if !errors.Is(got.Err, stepsim.ErrDiverged) {
		t.Errorf("%+v", got)
	}
}
