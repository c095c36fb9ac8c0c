package reparenttest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// Failure is a run in which an invariant did not hold.
type Failure struct {
	// Invariant is its name, such as "I2" or "G9"; "L1" when nobody could be
	// established after all faults were over; "panic", "boot" or "hang" when
	// the code under test did that; "unrepeatable" when it is not a function
	// of its schedule.
	Invariant string
	// Rule says what always has to hold.
	Rule string
	// Says is what happened instead, with the nodes and terms.
	Says string
	// Seed and Picks run it again: see Again.
	Seed  uint64
	Picks string
	// Again is the command for it.
	Again string
	// Picture shows who led when: a lane for each node, a letter for each
	// term, and the events that mattered.
	Picture string
	// Trace is the end of the run, one line for each step, of which there
	// were Steps.
	Trace []string
	Steps int

	loud, decisions int
}

// Error returns all of it, for people.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", f.Invariant, f.Says)
	if f.Rule != "" {
		fmt.Fprintf(&b, "what has to hold: %s\n", f.Rule)
	}
	if f.Again == "" {
		fmt.Fprintf(&b, "seed %d\n", f.Seed)
		return b.String()
	}
	fmt.Fprintf(&b, "\nseed %d, %d decisions, of which %d are not the quiet one; to run it again:\n  %s\n", f.Seed, f.decisions, f.loud, f.Again)
	fmt.Fprintf(&b, "\n%s\n", f.Picture)
	fmt.Fprintf(&b, "the last %d of %d steps (req: a request arrives, rep: its answer, disk: a write is durable):\n%s\n", len(f.Trace), f.Steps, strings.Join(f.Trace, "\n"))
	return b.String()
}

// errUnrepeatable is what a seed came to that gave two traces.
var errUnrepeatable = errors.New("unrepeatable: one seed gave two different runs")

// unrepeatable explains it.
const unrepeatable = "a run is a function of its seed. The harness uses something that is not its host's: time.Now, a random source, the order of a map, a variable shared with another cluster, two goroutines that race within one step, or two messages to one host with the same name. Nothing that this harness finds or does not find can be relied on until that is mended"

// failure shrinks a failing run and says what there is to say.
func (h Harness) failure(t *testing.T, seed uint64, got outcome, f Features, o Options) *Failure {
	tl := &tally{}
	return failed(t, seed, got, o, func(p []int, show bool) outcome {
		return h.once(t, seed, stepsim.Replay(p), f, tl, show)
	})
}

// failed explains an outcome; run makes the run again by a schedule.
func failed(t *testing.T, seed uint64, got outcome, o Options, run func(picks []int, show bool) outcome) *Failure {
	fail := &Failure{Seed: seed, Invariant: violated(got.err)}
	fail.Rule = ruleOf(fail.Invariant)
	fail.Says = strings.TrimPrefix(got.err.Error(), fail.Invariant+": ")
	var hang *hangError
	if errors.As(got.err, &hang) || errors.Is(got.err, errUnrepeatable) {
		return fail
	}
	picks := got.picks
	if o.Shrink > 0 {
		picks = stepsim.Shrink(picks, o.Shrink, func(p []int) bool {
			r := run(p, false)
			return r.err != nil && violated(r.err) == fail.Invariant
		})
	}
	last := run(picks, true)
	if last.err == nil {
		how := "a schedule of its own: it went another way"
		if run(got.picks, false).hash == got.hash {
			how = "the same schedule: what differs is beside the trace, in what a node tells or in a check"
		}
		fail.Says = fmt.Sprintf("the run is not repeatable: it failed once and not again, by %s. It failed with %q", how, got.err)
		fail.Invariant, fail.Rule = "unrepeatable", unrepeatable
		return fail
	}
	fail.Says = strings.TrimPrefix(last.err.Error(), fail.Invariant+": ")
	fail.decisions, fail.loud = len(picks), loud(picks)
	fail.Picks = encode(picks)
	fail.Again = fmt.Sprintf("TENURE_SEED=%d TENURE_PICKS=%s go test -run '^%s$'", seed, fail.Picks, strings.ReplaceAll(t.Name(), "/", "$/^"))
	fail.Picture = last.world.picture(o.Lines)
	fail.Steps = len(last.trace)
	for i := max(0, len(last.trace)-o.Lines); i < len(last.trace); i++ {
		fail.Trace = append(fail.Trace, fmt.Sprintf("%6d %s", i+1, last.trace[i]))
	}
	return fail
}

// violated names the invariant of a failure.
func violated(err error) string {
	name, _, _ := strings.Cut(err.Error(), ":")
	return name
}

// ruleOf says what an invariant demands.
func ruleOf(name string) string {
	switch name {
	case "unrepeatable":
		return unrepeatable
	case "panic":
		return "code under test does not panic, whatever arrives in whatever order"
	case "boot":
		return "a node starts on whatever it had made durable, at whatever moment it died"
	case "hang":
		return "between two events every goroutine of a node comes to wait for something that only the simulation can give: a message, a write, its clock, a context, or a channel of its own. A mutex is none of these, so none may be held while one of them is waited for"
	}
	return (&Violation{Name: name}).rule()
}
