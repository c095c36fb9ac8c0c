package reparenttest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// outcome is what one run left.
type outcome struct {
	err    error
	picks  []int
	hash   uint64
	told   uint64 // digest of what coordinators and clients were told
	trace  []string
	world  *world // for its picture, when asked to show
	grants int
	steps  int
}

// once makes one run in a bubble of its own. A run that does not come to an end
// in real time is given up: its goroutines stay behind, blocked, for nothing
// can end them.
func (h Harness) once(t *testing.T, seed uint64, c stepsim.Chooser, f Features, tl *tally, show bool) outcome {
	return bubble(t, func() (got outcome) {
		var sim *stepsim.Sim
		var w *world
		sim, w, got.err = h.chaos(seed, c, f, tl, show)
		got.picks, got.hash, got.steps = stepsim.Plain(sim.Picks()), sim.Hash(), sim.Steps()
		if w != nil {
			got.grants, got.told = len(w.grants), w.account()
		}
		if show {
			got.trace, got.world = sim.Trace(0), w
		}
		return got
	})
}

// bubble runs f in a bubble and waits for it, at most TENURE_HANG.
func bubble(t *testing.T, f func() outcome) outcome {
	most := patience()
	done := make(chan outcome, 1)
	go func() {
		got := outcome{err: &hangError{"the run was given up by the testing package, see its log"}}
		defer func() {
			if r := recover(); r != nil {
				got.err = &hangError{fmt.Sprintf("goroutines were left behind when everything had ended, of Host.Go or a mechanism: %v", r)}
			}
			done <- got
		}()
		synctest.Test(t, func(*testing.T) { got = f() })
	}()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case got := <-done:
		return got
	case <-timer.C:
		return outcome{err: &hangError{fmt.Sprintf("the run made no end within %v (TENURE_HANG sets it). Goroutines that wait for something the simulation cannot give:\n\n%s", most, undurable())}}
	}
}

// hangError is a run that does not end.
type hangError struct{ says string }

func (e *hangError) Error() string { return "hang: " + e.says }

// patience is how long one run may take in real time: some milliseconds is
// usual.
func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("TENURE_HANG")); err == nil && d > 0 {
		return d
	}
	return time.Minute
}

// undurable returns the stacks of goroutines in bubbles that are neither
// running nor durably blocked: those for whom a bubble waits in vain.
func undurable() string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var out []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		head, _, _ := strings.Cut(g, "\n")
		if strings.Contains(head, "synctest bubble") && !strings.Contains(head, "durable") && !strings.Contains(head, "synctest.Run") {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		return "none: it is slow, or spins\n\n" + string(buf[:min(len(buf), 1<<14)])
	}
	return strings.Join(out, "\n\n")
}

// account digests what coordinators and clients were told, which no trace says:
// the same, in whatever order goroutines of one step put it down.
func (w *world) account() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sum uint64
	for _, r := range w.reports {
		for ; r != nil; r = r.Undo {
			h := newHasher()
			h.term(r.Term)
			h.str(string(r.Kind) + " " + string(r.From) + " " + string(r.To) + " " + string(r.Outcome) + " " + string(r.Failed))
			h.num(uint64(r.Took))
			h.num(uint64(r.Gap))
			sum += h.sum
		}
	}
	for _, o := range w.ops {
		h := newHasher()
		for _, n := range []uint64{uint64(o.client), o.value, uint64(o.began), uint64(o.ended), uint64(o.class), uint64(o.n), o.sum} {
			h.num(n)
		}
		sum += h.sum
	}
	return sum
}
