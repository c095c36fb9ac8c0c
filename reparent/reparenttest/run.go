package reparenttest

import (
	"cmp"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	// Parallel is how many runs are made at a time; 0 means GOMAXPROCS. It
	// changes no result: of several failing seeds the lowest is reported.
	Parallel int
	// Shrink is how many runs may be spent on making a failing schedule
	// shorter; 0 means 400, negative means none.
	Shrink int
	// Lines is how many lines of a failing run's trace are printed, and of its
	// picture; 0 means 80.
	Lines int

	least int       // what TENURE_SEEDS may not go below
	until time.Time // when no more runs are begun; zero: when there are no more seeds

	_ struct{}
}

// Run tests h: it makes clusters of its nodes and lets rival coordinators
// change their leaders while clients write and read and all faults of f happen,
// one random schedule for each seed; then all faults end, a coordinator must
// be able to bring the cluster back, and everything that anyone was told must
// have been the truth.
//
// A failure names the invariant, says in a sentence what always has to hold and
// in another what happened, and prints the seed, a schedule made as short as
// possible, its trace, and a picture of who led when; see Failure. What f does
// not claim is not tried, and the log says so.
//
// A run is a function of its seed: there are no false positives by timing. A
// harness for which that is not so is itself reported. What passes has kept the
// invariants in that many schedules, and nothing more; what an engine does with
// fsync is for tests with real servers.
//
// The environment of the test can ask for more, or for one run again:
//
//	TENURE_SEEDS=20000        that many seeds in place of Options.Seeds
//	TENURE_FOR=30m            as many as fit into that time
//	TENURE_SEED=273           this seed alone
//	TENURE_PICKS=z1.3.z4.1    with TENURE_SEED: the schedule that a failure printed
//	TENURE_HANG=2m            how long one run may take in real time; 1m
//
// A harness that cannot be run fails with a *HarnessError before anything is.
func Run(t *testing.T, h Harness, f Features, o Options) {
	t.Helper()
	fail, tl := h.find(t, f, o)
	if fail != nil {
		t.Fatal(fail)
	}
	if never := tl.never(); len(never) > 0 && tl.runs >= enough && f == Everything() {
		if h.ours {
			t.Errorf("%d runs under all faults never reached: %s. What they show is less than it seems", tl.runs, strings.Join(never, "; "))
		} else {
			t.Logf("never reached: %s", strings.Join(never, "; "))
		}
	}
}

const defaultSeeds = 200

// enough is how many runs should have reached all that is interesting.
const enough = 200

// Find is Run for a harness that is expected to fail: it returns the failure,
// or nil when there was none, and leaves t alone. It is how to show that a test
// would notice: take a rule out of the node, and Find must find it. It ends with
// the first failure, so TENURE_SEEDS can raise Options.Seeds and not lower it.
func Find(t *testing.T, h Harness, f Features, o Options) *Failure {
	t.Helper()
	o.least = cmp.Or(o.Seeds, defaultSeeds)
	fail, _ := h.find(t, f, o)
	return fail
}

func (h Harness) find(t *testing.T, f Features, o Options) (*Failure, *tally) {
	t.Helper()
	if err := h.Validate(f); err != nil {
		t.Fatal(err)
	}
	o = o.fill(t)
	if s := f.skipped(); s != "" {
		t.Logf("not claimed by Features, and so not tried: %s", s)
	}
	tl := &tally{}
	if seed, got, failed := h.search(t, f, o, tl); failed {
		return h.failure(t, seed, got, f, o), tl
	}
	t.Log(tl)
	return nil, tl
}

// again is how often a seed is run twice, to see that it is one run.
const again = 64

// search runs the seeds in their order, several at a time, and returns the
// lowest that fails.
func (h Harness) search(t *testing.T, f Features, o Options, tl *tally) (seed uint64, got outcome, failed bool) {
	picks, replay := picksFromEnv(t)
	var next atomic.Int64
	var lowest atomic.Uint64
	lowest.Store(math.MaxUint64)
	var mu sync.Mutex // guards seed, got, failed
	try := func(s uint64) {
		run := func(tl *tally) outcome {
			c := stepsim.Seed(s, stepsim.Swarm(s))
			if replay {
				c = stepsim.Replay(picks)
			}
			return h.once(t, s, c, f, tl, false)
		}
		r := run(tl)
		if r.err == nil && (s-o.First)%again == 0 {
			if twin := run(&tally{}); twin.hash != r.hash || twin.told != r.told {
				r.err = errUnrepeatable
			}
		}
		if r.err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !failed || s < seed {
			seed, got, failed = s, r, true
			lowest.Store(s)
		}
	}
	var wg sync.WaitGroup
	for range min(o.Parallel, o.Seeds) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if !o.until.IsZero() && time.Now().After(o.until) {
					return
				}
				if i >= int64(o.Seeds) || o.First+uint64(i) > lowest.Load() {
					return
				}
				try(o.First + uint64(i))
			}
		})
	}
	wg.Wait()
	return seed, got, failed
}

func (o Options) fill(t *testing.T) Options {
	t.Helper()
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Seeds, defaultSeeds)
	def(&o.Parallel, runtime.GOMAXPROCS(0))
	def(&o.Shrink, 400)
	def(&o.Lines, 80)
	o.First, o.Parallel = max(o.First, 1), max(o.Parallel, 1)
	if o.Seeds < 0 {
		t.Fatalf("reparenttest: Options.Seeds is %d: it is a number of runs", o.Seeds)
	}
	if s := os.Getenv("TENURE_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("TENURE_SEEDS=%q is not a positive number", s)
		}
		o.Seeds = max(n, o.least)
	}
	if s := os.Getenv("TENURE_FOR"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			t.Fatalf("TENURE_FOR=%q is no time", s)
		}
		o.Seeds, o.until = math.MaxInt32, time.Now().Add(d)
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

// Fuzz makes a fuzz target of h: the fuzzer's bytes are the schedule, and its
// number the seed from which the size of the cluster, the changes and the
// clients are drawn. It is guided by the coverage of the code under test, and
// finds what random schedules seldom reach; a file that it saves is a schedule
// to keep.
//
//	func FuzzMyNodes(f *testing.F) {
//		reparenttest.Fuzz(f, myNodes(), reparenttest.Everything())
//	}
func Fuzz(f *testing.F, h Harness, feats Features) {
	f.Helper()
	if err := h.Validate(feats); err != nil {
		f.Fatal(err)
	}
	for seed := range uint64(4) {
		f.Add(seed+1, []byte{})
		f.Add(seed+1, []byte{0, 201, 0, 3, 0, 202, 1, 0, 205, 2, 0, 0, 204, 0, 1, 203})
	}
	f.Fuzz(func(t *testing.T, seed uint64, schedule []byte) {
		got := h.once(t, seed, stepsim.Bytes(schedule), feats, &tally{}, false)
		if got.err != nil {
			t.Fatal(h.failure(t, seed, got, feats, Options{}.fill(t)))
		}
	})
}
