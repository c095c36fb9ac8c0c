package stepsim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/race"
	"github.com/tenure-go/tenure/internal/stepsim"
)

// crowd is a run in which many goroutines post in one step, from timers that
// tie on purpose too.
func crowd(t *testing.T, c stepsim.Chooser) (hash uint64, picks []stepsim.Pick, ties int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(c, stepsim.Faults{Reorder: true, Drop: 2, Dup: 2, Late: 2, Crash: 2, Torn: 1, Pause: 2, Cut: 1, Tick: 5, Clock: 1})
		defer sim.Close()
		var ps []*stepsim.Proc
		for i := range 5 {
			p := sim.Proc(fmt.Sprintf("p%d", i))
			p.CanCrash, p.CanPause, p.CanCut, p.CanSkew = true, true, true, true
			ps = append(ps, p)
		}
		var wg sync.WaitGroup
		for i, from := range ps {
			for j, to := range ps {
				if i == j {
					continue
				}
				wg.Go(func() {
					for n := range 2 {
						ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
						_, _ = stepsim.Call(ctx, from, to, fmt.Sprintf("op%d", n), func(ctx context.Context) (int, error) {
							return 0, to.Disk(ctx, "write", func(bool) {})
						})
						cancel()
						time.Sleep(5 * time.Millisecond)
					}
				})
			}
		}
		if err := sim.Do(20_000, wg.Wait); err != nil {
			t.Error(err)
		}
		hash, picks, ties = sim.Hash(), sim.Picks(), sim.Ambiguous()
	})
	return hash, picks, ties
}

// Not parallel: it changes GOMAXPROCS.
func TestTheSamePicksGiveTheSameTraceWhateverTheOrderOfGoroutines(t *testing.T) {
	runs := 200
	switch {
	case testing.Short() || race.Enabled:
		runs = 40
	case os.Getenv("TENURE_EXPLORE") != "":
		runs = 1000
	}
	want, picks, ties := crowd(t, stepsim.Seed(1, stepsim.Swarm(4)))
	if ties != 0 {
		t.Fatalf("%d events are told apart by nothing but the order of goroutines", ties)
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		})
	}
	defer busy.Wait()
	defer close(stop)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	plain := stepsim.Plain(picks)
	for i := range runs {
		runtime.GOMAXPROCS([]int{1, 2, 8}[i%3])
		c := stepsim.Replay(plain)
		if i%2 == 0 {
			c = stepsim.Seed(1, stepsim.Swarm(4))
		}
		if got, _, _ := crowd(t, c); got != want {
			t.Fatalf("run %d: trace %x, want %x", i, got, want)
		}
	}
}

func TestBytesAndReplaysAreChoosersOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := make([]byte, 4000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range b {
		b[i] = byte(rng.UintN(256))
	}
	want, picks, _ := crowd(t, stepsim.Bytes(slices.Clone(b)))
	again, _, _ := crowd(t, stepsim.Bytes(slices.Clone(b)))
	replayed, _, _ := crowd(t, stepsim.Replay(stepsim.Plain(picks)))
	quiet, _, _ := crowd(t, stepsim.Quiet())
	if again != want || replayed != want || quiet == want {
		t.Errorf("%x: again %x, replayed %x, quiet %x", want, again, replayed, quiet)
	}
	// What is out of range is taken modulo, and never panics.
	if got, _, _ := crowd(t, stepsim.Replay([]int{-4, 1 << 30, 7, 9999})); got == 0 {
		t.Error("no trace")
	}
}

func TestShrinkFindsTheFewPicksThatMatter(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(8, 9))
	for range 20 {
		picks := make([]int, 200)
		for i := range picks {
			picks[i] = rng.IntN(4)
		}
		at := 20 + rng.IntN(150)
		picks[3], picks[at] = 3, 2
		runs := 0
		got := stepsim.Shrink(picks, 400, func(p []int) bool {
			runs++
			// It fails on a 3 that is followed by a 2 later on.
			i := slices.Index(p, 3)
			return i >= 0 && slices.Contains(p[i+1:], 2)
		})
		loud := 0
		for _, p := range got {
			if p != 0 {
				loud++
			}
		}
		if loud != 2 || len(got) > 3 || runs > 400 {
			t.Errorf("%v after %d runs", got, runs)
		}
	}
}
