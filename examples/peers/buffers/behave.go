package buffers

import (
	"fmt"
	"time"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

const week = 7 * 24 * time.Hour

// behaviour is a row that tells what happens rather than what it costs: one
// scenario, played against both sides.
type behaviour struct {
	name, unit, note string
	// most is the largest value that meets the bar.
	most   float64
	bar    string
	rounds int // 0: as many as the other rows
	// ours and theirs play the scenario once.
	ours, theirs func() (float64, error)
}

func (b behaviour) measure(o report.Options) (report.Row, error) {
	rounds := o.Rounds
	if b.rounds > 0 {
		rounds = min(rounds, b.rounds)
	}
	var ours, theirs measure.Timing
	for range rounds {
		for _, side := range []struct {
			play func() (float64, error)
			to   *measure.Timing
		}{{b.ours, &ours}, {b.theirs, &theirs}} {
			v, err := side.play()
			if err != nil {
				return report.Row{}, fmt.Errorf("%s: %w", b.name, err)
			}
			*side.to = append(*side.to, v)
		}
	}
	r := report.Row{
		Group: group, Name: b.name, Unit: b.unit, Ours: ours.Median(), Allocs: -1,
		Theirs: []report.Theirs{{Name: vtgate, Value: theirs.Median(), Allocs: -1}},
		Bar:    report.Bar{Text: b.bar, Want: true},
		Note:   b.note,
	}
	r.Ratio = report.Over(r.Ours, r.Theirs[0].Value)
	r.Met = r.Ours <= b.most
	o.Log.Info("played", "scenario", b.name)
	return r, nil
}

func behaviours(o report.Options, ks *keyspaces) []behaviour {
	window, long := time.Second, 200*time.Millisecond
	held := 200
	if o.Quick {
		window, long, held = 200*time.Millisecond, 50*time.Millisecond, 40
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
	return []behaviour{
		{
			name: fmt.Sprintf("%d arrivals while %d are flushed: started before one that came earlier", held/2, held),
			unit: "requests", bar: "0", rounds: 3,
			ours:   func() (float64, error) { return orderOurs(held) },
			theirs: func() (float64, error) { return orderTheirs(ks.next(), held) },
			note:   "drain concurrency 1, 1 ms of service each",
		},
		{
			name: fmt.Sprintf("longest hold past its bound of %s while flushing", ms(long/2)),
			unit: "ms", bar: "at most 5 ms", most: 5, rounds: 3,
			ours:   func() (float64, error) { return pastOurs(held, long/2) },
			theirs: func() (float64, error) { return pastTheirs(ks.next(), held, long/2) },
			note:   "drain concurrency 1, 1 ms of service each; ours fail at the bound with a proof that nothing ran, vtgate's go on waiting",
		},
		{
			name: "a refusal by a healthy leader, and no change follows: the request waits",
			unit: "ms", bar: "at most 5 ms", most: 5, rounds: 3,
			ours:   spuriousOurs,
			theirs: func() (float64, error) { return spuriousTheirs(ks.next(), window) },
			note:   "vtgate holds for its window, here " + ms(window) + ", by default 10 s, whatever health checks say meanwhile",
		},
		{
			name: "a change undone, the same leader serves again: held requests released after",
			unit: "ms", bar: "at most 5 ms, no errors", most: 5,
			ours:   undoOurs,
			theirs: func() (float64, error) { return undoTheirs(ks.next(), window, true) },
			note:   "50 requests; vtgate's health check saw the leader not serving in between",
		},
		{
			name: "the same, the time between seen by nobody",
			unit: "ms", bar: "at most 5 ms, no errors", most: 5, rounds: 3,
			ours:   undoOurs,
			theirs: func() (float64, error) { return undoTheirs(ks.next(), window, false) },
			note:   "vtgate, with its window of " + ms(window) + ", holds until that has passed: same primary, same start of its term",
		},
		{
			name: fmt.Sprintf("two clusters change, the second %s later: what the first waits for after its own", ms(long)),
			unit: "ms", bar: "at most 5 ms", most: 5, rounds: 3,
			ours:   func() (float64, error) { return twoOurs(long) },
			theirs: func() (float64, error) { return twoTheirs(ks.next(), long) },
			note:   "two lanes; two shards of one keyspace in vtgate",
		},
		{
			name: "second change right after the first: errors of 50 refused requests",
			unit: "errors", bar: "0",
			ours:   secondOurs,
			theirs: func() (float64, error) { return secondTheirs(ks.next()) },
			note:   "vtgate's default of one minute between failovers; without it a late error of the first would begin a hold that nothing ends",
		},
		{
			name: "request that ends before the change can: told so after",
			unit: "us", bar: "at most 10 us", most: 10,
			ours:   func() (float64, error) { return willExpireOurs(long / 4) },
			theirs: func() (float64, error) { return willExpireTheirs(ks.next(), long/4) },
			note:   "it has " + ms(long/4) + " left; ours knows how long changes take (ExpectedOutage), the caller keeps the rest to go elsewhere",
		},
	}
}
