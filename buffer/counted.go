package buffer

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// gate counts the turns that were given at one term of a lane. Its word packs
// the closed bit and the count, so that entering and finding it open are one
// atomic step: a turn is counted before the gate closes, or not given.
//
//	bit 0       closed: the lane holds, or a newer leadership is known
//	bits 1..63  turns
type gate struct {
	_    [64]byte
	word atomic.Uint64
	term leadership.Term
	// step is called between the atomic steps of an operation by tests that
	// enumerate interleavings. nil in production.
	step func(at string, what uint64)
	_    [24]byte
}

const (
	gateClosed uint64 = 1
	gateOne    uint64 = 2
)

// enter counts a turn, unless the gate is closed. The view that named the gate
// may have been replaced since it was read: then the gate is closed, and the
// caller looks again, under Lane.mu.
func (l *Lane) enter(g *gate) bool {
	if g.step != nil {
		g.step("enter", g.term.Num)
	}
	if g.word.Add(gateOne)&gateClosed == 0 {
		return true
	}
	l.leaveGate(g) // it was seen for a moment, so leaving may be the last exit
	return false
}

// Entry is one request that TryEnter has counted. It may be moved, not copied:
// only one copy may be used. The zero Entry is nobody's.
type Entry struct{ Route }

// TryEnter is Pass for a lane that counts (Config.Counted): when everything may
// be sent at once it counts one request, until Leave, in one atomic step with
// the question. It is the cheapest way in for a caller that has the request at
// hand: one that gets false, or whose request is then refused, leaves and goes
// through Do or Enter. On a lane that does not count it is Pass.
func (l *Lane) TryEnter() (Entry, bool) {
	v := l.view.Load()
	if v == nil || !v.ready || v.gate != nil && !l.enter(v.gate) {
		return Entry{}, false
	}
	return Entry{Route{v}}, true
}

// Leave ends the request. A second Leave of the same variable does nothing.
func (e *Entry) Leave() {
	v := e.v
	e.v = nil
	if v != nil && v.gate != nil {
		v.lane.leaveGate(v.gate)
	}
}

// uncount takes a turn given by v off the count.
func (l *Lane) uncount(v *view) {
	if v.gate != nil {
		l.leaveGate(v.gate)
	}
}

// leaveGate goes by the bit of the very word that was changed: read before,
// the gate could close and somebody go to sleep in between, and the last exit
// would not wake him.
func (l *Lane) leaveGate(g *gate) {
	if g.step != nil {
		g.step("leave", g.term.Num)
	}
	if w := g.word.Add(^(gateOne - 1)); w == gateClosed || int64(w) < 0 {
		l.lastExit(g, w)
	}
}

// doCounted is Do on a lane that counts.
func (l *Lane) doCounted(ctx context.Context, req *Request, fn func(context.Context, leadership.Leadership, string) error, v *view) error {
	if !v.passes(req.Unit) || !l.enter(v.gate) {
		return l.slow(ctx, req, fn, nil, nil)
	}
	returned := false
	defer func() {
		if !returned { // fn panicked
			l.uncount(v)
		}
	}()
	err := v.send(ctx, fn)
	returned = true
	if err == nil {
		l.uncount(v)
		return nil
	}
	return l.slow(ctx, req, fn, v, err)
}

func (l *Lane) lastExit(g *gate, w uint64) {
	if int64(w) < 0 { // two copies of a turn were ended: no misuse makes a count negative
		g.word.Add(gateOne)
		return
	}
	if g.step != nil {
		g.step("last", w)
	}
	var fx effects
	l.lock()
	l.notifyQuiet(&fx)
	l.mu.Unlock()
	fx.apply(l)
}

// count counts a turn that the lane gives under its mutex, whatever the bit
// says: a probe and the released ones of a flush.
func (v *view) count() {
	if v.gate != nil {
		v.gate.word.Add(gateOne)
	}
}

func (g *gate) close()     { g.word.Or(gateClosed) }
func (g *gate) open()      { g.word.And(^gateClosed) }
func (g *gate) turns() int { return int(g.word.Load() / gateOne) }

// gateOf returns the gate of a term, closed when it is made.
func (l *Lane) gateOf(t leadership.Term) *gate {
	for _, g := range l.gates {
		if g.term == t {
			return g
		}
	}
	g := &gate{term: t, step: l.b.step}
	g.close()
	l.gates = append(l.gates, g)
	return g
}

// swing closes every gate that v does not enter by, and forgets those that are
// empty: nobody can enter a closed one.
func (l *Lane) swing(v *view) {
	v.gate = l.gateOf(v.lead.Term)
	kept := l.gates[:0]
	for _, g := range l.gates {
		if g != v.gate || v.mode != Serving && v.mode != HoldUnits {
			g.close()
		} else {
			g.open()
		}
		if g == v.gate || g.turns() > 0 {
			kept = append(kept, g)
		}
	}
	clear(l.gates[len(kept):])
	l.gates = kept
}

func (l *Lane) notifyQuiet(fx *effects) {
	if l.quiet != nil {
		fx.quiet, l.quiet = l.quiet, nil
	}
}

// Quiesced waits until no request that was routed at a term below term is in
// flight, and none can begin: the lane holds for a change announced at term or
// above, or knows a leadership of such a term, or is closed. It then returns
// nil. A router says so to the coordinator of a change whose leader cannot
// refuse (a plain database server).
//
// For a hold this is true as long as the hold: until the announced HoldFor has
// passed on the clock of this buffer, or the change is given up. It waits for
// an announcement that the lane has not seen yet. It returns
//
//   - a *NotHoldingError when a hold for term was given up, or its HoldFor
//     passed, before the lane was quiet: requests may go to the old leader
//     again;
//   - a *ConfigError on a lane that does not count, in a dry run, for the zero
//     term, or a nil ctx;
//   - context.Cause(ctx) when ctx ends.
//
// It wakes on the last Done and starts no goroutine.
func (l *Lane) Quiesced(ctx context.Context, term leadership.Term) error {
	switch {
	case ctx == nil:
		return errNoContext
	case l.b == nil || !l.b.cfg.Counted:
		return &ConfigError{"Counted", "is not set: the lane does not know what is in flight"}
	case l.b.cfg.DryRun:
		return &ConfigError{"DryRun", "is set: the lane holds nothing, and so is never quiet"}
	case term.IsZero():
		return &ConfigError{"term", "is zero: no request is routed below it"}
	}
	held := false
	for {
		if l.b.step != nil {
			l.b.step("check", 0)
		}
		l.lock()
		now := l.b.now()
		left := l.holdLeft(now, term)
		fenced := left > 0 || l.mode == Closed || l.cur.Term.Compare(term) >= 0
		busy := l.inFlight(term)
		if fenced && busy == 0 {
			l.mu.Unlock()
			return nil
		}
		if held && !fenced || l.expired(now, term) {
			err := &NotHoldingError{Lane: l.key, Term: term, Serving: l.cur, InFlight: busy}
			l.mu.Unlock()
			return err
		}
		held = fenced
		if l.quiet == nil {
			l.quiet = make(chan struct{})
		}
		quiet := l.quiet
		l.mu.Unlock()
		if err := pause(ctx, quiet, left); err != nil {
			return err
		}
	}
}

// pause waits for ch, for d unless it is 0, or for the end of ctx.
func pause(ctx context.Context, ch <-chan struct{}, d time.Duration) error {
	var tick <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		tick = t.C
	}
	select {
	case <-ch:
	case <-tick:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// holdLeft returns for how long the lane still holds, by itself, for a change
// announced at term or above; 0 when it does not.
func (l *Lane) holdLeft(now time.Duration, term leadership.Term) time.Duration {
	if a := l.announcement(); l.mode != HoldAll || a.IsZero() || a.Less(term) || a.Compare(l.rec.Active.Term) <= 0 {
		return 0
	}
	return max(0, l.announce+l.rec.Intent.HoldFor-now)
}

// expired reports whether the lane's hold for term has outlasted its HoldFor.
func (l *Lane) expired(now time.Duration, term leadership.Term) bool {
	a := l.announcement()
	return l.cur.Term.Less(term) && !a.IsZero() && term.Compare(a) <= 0 && l.mode != Closed && l.holdLeft(now, term) == 0
}

// inFlight counts the turns given at terms below term.
func (l *Lane) inFlight(term leadership.Term) (n int) {
	for _, g := range l.gates {
		if g.term.Less(term) {
			n += g.turns()
		}
	}
	return n
}

// NotHoldingError is returned by Quiesced when the lane was to hold for a
// change and stopped before it was quiet.
type NotHoldingError struct {
	Lane string
	// Term is what was asked for, Serving whom the lane knows instead.
	Term    leadership.Term
	Serving leadership.Leadership
	// InFlight is how many requests below Term were in flight then.
	InFlight int
}

func (e *NotHoldingError) Error() string {
	return fmt.Sprintf("buffer: lane %q: no longer holding for term %s, %d requests in flight", e.Lane, e.Term, e.InFlight)
}
