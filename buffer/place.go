package buffer

import (
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// place deals with the failure of the last try, if there was one, and finds
// the call a place: a view to run by at once, a place in a list, or why not.
func (l *Lane) place(now time.Duration, c *call, fresh bool, fx *effects) (*view, verdict, time.Duration) {
	w := c.w
	if fresh {
		w.bytes, w.role, w.deadline, w.level = c.req.Bytes, roleNone, c.deadline, c.req.Priority.level()
		w.arrived = now
	}
	l.sweep()
	w.verdict = undecided
	w.set(stateWaiting)
	old, tried := w.role, c.v
	var pause time.Duration
	if tried != nil && l.mode != Closed {
		pause = l.failed(now, c, w, fx)
	}
	if l.mode != Closed && pause == 0 && (fresh || !c.ended) && l.view.Load().passes(c.req.Unit) {
		v := l.view.Load()
		v.count()
		l.freeSlot(w, tried)
		l.settled(old, now, fx)
		return v, undecided, 0
	}
	if l.mode != Closed && fresh && !c.ended && l.passing {
		l.n.Passed++
		v := l.through()
		v.count()
		return v, undecided, 0
	}
	if why := l.admit(now, c, w, fresh, fx); why != undecided {
		l.freeSlot(w, tried)
		if !fresh {
			l.forget(w)
		}
		l.tally(why)
		l.settled(old, now, fx)
		return nil, why, 0
	}
	if fresh {
		l.seq++
		w.seq = l.seq
		l.n.Held++
	}
	if pause > 0 {
		// The cap on its age ends a back-off, too.
		pause = min(pause, max(1, w.arrived+l.b.cfg.MaxAge-now))
		w.in = inRetry
		l.retry.append(w)
		l.freeSlot(w, tried)
		l.settled(old, now, fx)
		return nil, undecided, pause
	}
	// Only whoever has just come: one that comes back may be the first to grow too old.
	idle := fresh && tried == nil && l.outageOn && l.still(now)
	if !l.outageOn && !l.flushing {
		l.outageOn, l.outageAt = true, now // a lane that never knew a leader
	}
	// Back in its place before its slot is free: the next to go is the first
	// in order, which may be w.
	l.q.attach(w, c.req.Key)
	l.q.insert(w)
	l.freeSlot(w, tried)
	if !idle {
		l.step(now, fx)
	}
	return nil, undecided, 0
}

// settled goes on with the lane when a slot was freed, or when whoever watched
// the timer was evicted.
func (l *Lane) settled(old role, now time.Duration, fx *effects) {
	if old != roleNone || l.driver.Load() == nil && l.q.n > 0 {
		l.step(now, fx)
	}
}

// failed takes in that a try came back with proof of no effect, or lost. It
// returns how long the request itself backs off, 0 for not.
func (l *Lane) failed(now time.Duration, c *call, w *waiter, fx *effects) time.Duration {
	if c.v.lead.Term.Less(l.cur.Term) {
		return 0 // of an older leadership: it says nothing about this one
	}
	if c.class == Refused {
		l.n.Refused++
		if c.v.epoch >= l.resumed { // else it is from before the lane resumed
			r, _ := refusalIn(c.err)
			l.refuse(now, c, w, r, fx)
		}
		return 0
	}
	l.n.Retried++
	switch {
	case w.role == roleProbe:
		l.nextProbe = now + l.backoff()
		return 0
	case w.role == roleFlush && l.mode != Serving:
		l.notSent(now, c, fx)
		return 0
	case l.view.Load().passes(c.req.Unit):
		c.dials++
		return backoff(c.dials - 1)
	}
	return 0
}

// refuse takes in a refusal by the leader of now, or by one that was hinted.
func (l *Lane) refuse(now time.Duration, c *call, w *waiter, r leadership.Refusal, fx *effects) {
	mode := HoldAll
	if r.Scope == leadership.ScopeUnits {
		// A request that is refused as a unit is one, whatever its caller
		// says; else it would pass HoldUnits for ever.
		mode, c.req.Unit = HoldUnits, true
	}
	until := leadership.MaxTerm(r.Until, r.Term)
	starts := l.mode == Serving || l.flushing
	l.flushing = false
	l.hold(now, mode, fx)
	if l.cur.Term.Less(until) {
		if starts {
			l.heldAt = now
		}
		l.refused = leadership.MaxTerm(l.refused, until)
		l.decided = false
		if r.Leader != "" && l.hint.Term.Less(until) {
			l.hint = leadership.Leadership{Leader: r.Leader, Term: until}
		}
		if w.role == roleProbe {
			l.nextProbe = now + max(l.probeWait, minBackoff)
		}
		return
	}
	if starts || w.role == roleProbe {
		l.paused = true
		// At least one probe falls into the life of each held request.
		d := min(r.RetryAfter, l.b.cfg.MaxAge/2)
		if d <= 0 {
			d = max(l.backoff(), l.probeWaitIf(w))
		}
		l.nextProbe = now + d
	}
}

func (l *Lane) probeWaitIf(w *waiter) time.Duration {
	if w.role == roleProbe {
		return l.probeWait
	}
	return 0
}

// admit decides whether the call may be held (on), and takes its part of the
// caps.
func (l *Lane) admit(now time.Duration, c *call, w *waiter, fresh bool, fx *effects) verdict {
	cfg := &l.b.cfg
	switch {
	case l.mode == Closed:
		return failClosed
	case c.ended:
		return failCanceled
	case !fresh:
		if now-w.arrived >= cfg.MaxAge {
			return failAge
		}
		return undecided
	case w.deadline != 0:
		need := cfg.MinService
		if l.outageOn {
			need += max(0, cfg.ExpectedOutage-(now-l.outageAt))
		}
		if w.deadline <= now+need {
			return failDeadline
		}
	}
	return l.reserve(w, fx)
}
