package reparenttest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// Options bound a Run. The zero value is usable.
type Options struct {
	// Seeds is how many random runs are made; 0 means 200. The environment
	// variable TENURE_SEEDS overrides it.
	Seeds int
	// First is the first seed; 0 means 1. TENURE_SEED overrides it and runs
	// that seed alone.
	First uint64
	// Shrink is how many runs may be spent on making a failing schedule
	// shorter; 0 means 400, negative means none.
	Shrink int
	// Lines is how many lines of a failing run's trace are printed; 0 means
	// 80.
	Lines int

	_ struct{}
}

// Run tests h: it makes clusters of its nodes and lets rival coordinators
// change their leaders while clients write and read and all faults of f happen,
// one random schedule for each seed; then all faults end, a coordinator must
// be able to bring the cluster back, and everything that anyone was told must
// have been the truth.
//
// A failure names the invariant (see Invariants), says in a sentence what
// happened, and prints the seed, a schedule made as short as possible, its
// trace, and a picture of who led when. TENURE_SEED=n, and TENURE_PICKS with
// the printed schedule, run it again alone.
//
// A run is a function of its seed: there are no false positives by timing. What
// passes has kept the invariants in that many schedules, and nothing more; what
// an engine does with fsync is for tests with real servers.
func Run(t *testing.T, h Harness, f Features, o Options) {
	t.Helper()
	if h.Boot == nil {
		t.Fatal("reparenttest: the harness has no Boot")
	}
	o = o.fill(t)
	tl := &tally{}
	for i := range o.Seeds {
		seed := o.First + uint64(i)
		picks, replay := picksFromEnv(t)
		chooser := stepsim.Seed(seed, stepsim.Swarm(seed))
		if replay {
			chooser = stepsim.Replay(picks)
		}
		got := h.once(t, seed, chooser, f, tl, false)
		if got.err != nil {
			t.Fatal(h.explain(t, seed, got, f, o))
		}
	}
	t.Logf("%d runs, reached: %v", tl.runs, tl.n)
}

func (o Options) fill(t *testing.T) Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Seeds, 200)
	def(&o.Shrink, 400)
	def(&o.Lines, 80)
	o.First = max(o.First, 1)
	if s := os.Getenv("TENURE_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("TENURE_SEEDS=%q is not a positive number", s)
		}
		o.Seeds = n
	}
	if s := os.Getenv("TENURE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("TENURE_SEED=%q is not a number", s)
		}
		o.First, o.Seeds = n, 1
	}
	return o
}

// outcome is what one run left.
type outcome struct {
	err     error
	picks   []int
	hash    uint64
	trace   []string
	picture string
	grants  int
	steps   int
}

// once makes one run in a bubble of its own.
func (h Harness) once(t *testing.T, seed uint64, c stepsim.Chooser, f Features, tl *tally, show bool) (got outcome) {
	synctest.Test(t, func(*testing.T) {
		var sim *stepsim.Sim
		var w *World
		sim, w, got.err = h.chaos(seed, c, f, tl, show)
		got.picks, got.hash, got.steps = stepsim.Plain(sim.Picks()), sim.Hash(), sim.Steps()
		if w != nil {
			got.grants = len(w.grants)
		}
		if show {
			got.trace = sim.Trace(0)
			got.picture = w.picture()
		}
	})
	return got
}

// explain shrinks a failing run and says what there is to say.
func (h Harness) explain(t *testing.T, seed uint64, got outcome, f Features, o Options) string {
	tl := &tally{}
	name := violated(got.err)
	run := func(p []int, show bool) outcome { return h.once(t, seed, stepsim.Replay(p), f, tl, show) }
	picks := got.picks
	if o.Shrink > 0 {
		picks = stepsim.Shrink(picks, o.Shrink, func(p []int) bool {
			r := run(p, false)
			return r.err != nil && violated(r.err) == name
		})
	}
	last := run(picks, true)
	if last.err == nil { // cannot be, unless the harness is not a function of its schedule
		last = got
		return fmt.Sprintf("%s\nseed %d\nThe run is not repeatable: it failed once and not again. The harness uses something that is not its host's: a clock, a random source, the order of a map.", got.err, seed)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n\nseed %d, %d decisions, of which %d are not the quiet one. Again: TENURE_SEED=%d TENURE_PICKS=%s go test -run '^%s$'\n",
		last.err, seed, len(picks), loud(picks), seed, encode(picks), t.Name())
	fmt.Fprintf(&b, "\n%s\n", last.picture)
	from := max(0, len(last.trace)-o.Lines)
	fmt.Fprintf(&b, "the last %d of %d steps:\n%s\n", len(last.trace)-from, len(last.trace), strings.Join(last.trace[from:], "\n"))
	return b.String()
}

// violated names the invariant of a failure.
func violated(err error) string {
	name, _, _ := strings.Cut(err.Error(), ":")
	return name
}

func loud(picks []int) (n int) {
	for _, p := range picks {
		if p != 0 {
			n++
		}
	}
	return n
}

// encode writes picks with runs of zeros as "z<count>".
func encode(picks []int) string {
	var parts []string
	for i := 0; i < len(picks); {
		j := i
		for j < len(picks) && picks[j] == 0 {
			j++
		}
		if j > i {
			parts = append(parts, "z"+strconv.Itoa(j-i))
			i = j
			continue
		}
		parts = append(parts, strconv.Itoa(picks[i]))
		i++
	}
	if len(parts) == 0 {
		return "z0"
	}
	return strings.Join(parts, ".")
}

func decode(s string) ([]int, error) {
	var picks []int
	for part := range strings.SplitSeq(s, ".") {
		zeros, isZeros := strings.CutPrefix(part, "z")
		n, err := strconv.Atoi(zeros)
		if err != nil || n < 0 || n > 1<<20 {
			return nil, fmt.Errorf("%q is not a schedule: %q", s, part)
		}
		if isZeros {
			picks = append(picks, make([]int, n)...)
		} else {
			picks = append(picks, n)
		}
	}
	return picks, nil
}

func picksFromEnv(t *testing.T) ([]int, bool) {
	s := os.Getenv("TENURE_PICKS")
	if s == "" {
		return nil, false
	}
	p, err := decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, true
}
