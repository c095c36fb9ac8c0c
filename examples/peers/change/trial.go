package change

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// cluster is a library with a few nodes on a wire, as a trial drives it.
type cluster interface {
	// direct gives an operation to a node: errRefused proves that it was not
	// executed, errUnknown says nothing.
	direct(ctx context.Context, node int, o *op) error
	// hand hands the leadership over and returns when the library says so.
	hand(ctx context.Context, from, to int) error
	// crash ends a node at once.
	crash(node int, announce bool)
	// detectedAt returns when the first node acted on a crash.
	detectedAt() time.Time
	beaconOf() *beacon
	wireOf() *wire
	start() time.Time
	close() error
}

// sample is what one change of leader cost, in round trips.
type sample struct {
	gap     float64 // the longest time without a success around the change
	taking  float64 // last operation taken by the old leader until the first by the new one
	event   float64 // from the event to the first success at the new leader
	found   float64 // from when the failure was found to that
	ops     int     // operations that were under way in that time
	refused int     // of these, told at least once that they were not executed
	unknown int     // and those whose client never heard what became of them
	late    float64 // by how much of the delay messages were late in that trial
}

// boundOf ends a trial that does not come to an end.
func boundOf(c cluster) time.Duration { return 5*time.Second + 200*c.wireOf().rtt() }

// settle is how long a cluster runs before and after a change, in round trips:
// long enough that writers are out of step again.
const settle = 10

// planned hands the leadership of a cluster over a few times.
func planned(ctx context.Context, c cluster, n, changes int) ([]sample, error) {
	ctx, cancel := context.WithTimeout(ctx, boundOf(c))
	defer cancel()
	l := newLoad(c)
	from, err := c.beaconOf().await(ctx, func(int) bool { return true })
	if err != nil {
		return nil, err
	}
	rtt := c.wireOf().rtt()
	l.start(ctx)
	type event struct {
		at       time.Duration
		from, to int
	}
	var events []event
	run := func() error {
		for k := range changes {
			// At any phase of the writers, not always at the same one.
			if !sleep(ctx, settle*rtt+rtt*time.Duration(k%7)/7) {
				return context.Cause(ctx)
			}
			to := (from + 1) % n
			events = append(events, event{time.Since(c.start()), from, to})
			if err := c.hand(ctx, from, to); err != nil {
				return fmt.Errorf("from %d to %d: %w", from, to, err)
			}
			if _, err := c.beaconOf().await(ctx, func(l int) bool { return l == to }); err != nil {
				return fmt.Errorf("from %d to %d: %w", from, to, err)
			}
			from = to
		}
		if !sleep(ctx, settle*rtt) {
			return context.Cause(ctx)
		}
		return nil
	}
	ops, err := l.around(c, run)
	if err != nil {
		return nil, err
	}
	var out []sample
	for _, e := range events {
		s, err := judge(c, ops, e.at, e.from, e.to, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// crashed ends the leader of a cluster, once.
func crashed(ctx context.Context, c cluster, announce bool) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, boundOf(c))
	defer cancel()
	l := newLoad(c)
	from, err := c.beaconOf().await(ctx, func(int) bool { return true })
	if err != nil {
		return sample{}, err
	}
	rtt := c.wireOf().rtt()
	l.start(ctx)
	to := -1
	var at time.Duration
	run := func() error {
		if !sleep(ctx, settle*rtt) {
			return context.Cause(ctx)
		}
		at = time.Since(c.start())
		c.crash(from, announce)
		if to, err = c.beaconOf().await(ctx, func(l int) bool { return l != from }); err != nil {
			return err
		}
		if !sleep(ctx, settle*rtt) {
			return context.Cause(ctx)
		}
		return nil
	}
	ops, err := l.around(c, run)
	if err != nil {
		return sample{}, err
	}
	return judge(c, ops, at, from, to, c.detectedAt().Sub(c.start()))
}

// around ends the load when run has, and returns what it did once that was checked.
func (l *load) around(c cluster, run func() error) ([]*op, error) {
	err := run()
	ops := l.stop()
	if t, ok := c.(*tenure); ok && err == nil {
		err = t.check(ops)
	}
	return ops, err
}

func newLoad(c cluster) *load {
	l := &load{began: c.start(), beacon: c.beaconOf(), rtt: c.wireOf().rtt(), direct: c.direct}
	if t, ok := c.(*tenure); ok && t.lane != nil {
		l.submit = t.submit
	}
	return l
}

var errNoSuccess = errors.New("change: no operation succeeded at the new leader")

// judge reads from the operations what a change at a time cost.
func judge(c cluster, ops []*op, at time.Duration, from, to int, found time.Duration) (sample, error) {
	rtt := float64(c.wireOf().rtt())
	since := func(t time.Time) time.Duration { return t.Sub(c.start()) }
	first, firstTaken, lastTaken := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64), time.Duration(0)
	for _, o := range ops {
		taken := time.Duration(o.taken.Load() - 1)
		switch {
		case taken < 0:
		case int(o.at.Load()) == to && taken > at:
			firstTaken = min(firstTaken, taken)
			if !o.unknown {
				first = min(first, since(o.done))
			}
		}
	}
	if first == math.MaxInt64 {
		return sample{}, errNoSuccess
	}
	var successes []time.Duration
	s := sample{event: float64(first-at) / rtt, found: math.NaN()}
	for _, o := range ops {
		taken, done := time.Duration(o.taken.Load()-1), since(o.done)
		if int(o.at.Load()) == from && taken >= 0 && taken < first {
			lastTaken = max(lastTaken, taken)
		}
		if !o.unknown && done <= first {
			successes = append(successes, done)
		}
		if done >= at && since(o.began) < first {
			s.ops++
			if o.refused > 0 {
				s.refused++
			}
			if o.unknown {
				s.unknown++
			}
		}
	}
	slices.Sort(successes)
	for i := 1; i < len(successes); i++ {
		if successes[i] > at {
			s.gap = max(s.gap, float64(successes[i]-successes[i-1])/rtt)
		}
	}
	s.taking = float64(firstTaken-lastTaken) / rtt
	if found > 0 {
		s.found = float64(first-found) / rtt
	}
	return s, nil
}
