package buffer

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// A dry run holds ghosts: waiters of nobody, which take their part of the caps
// and have their place in the queue, while the requests they stand for run at
// once. What ends a ghost is what would have ended the hold.

// seen takes in how a request of a dry run ended.
func (l *Lane) seen(c *call) {
	if c.class == MaybeExecuted {
		if v := l.view.Load(); v.mode != Serving || v != c.v {
			l.leaked.Add(1)
		}
		return
	}
	var fx effects
	l.lock()
	if l.mode != Closed {
		now := l.b.now()
		switch {
		case c.class == NotSentYet:
			l.n.Hidden++
			l.n.Retried++
		case c.class == Refused:
			l.n.Hidden++
			l.refusedDry(now, c, &fx)
		case c.v.final && l.mode != Serving && c.v.lead.Term == l.cur.Term && l.wouldProbe(now):
			l.answered(c.v.seen, c.v.knew)
		}
		l.step(now, &fx)
		l.news(&fx)
	}
	l.mu.Unlock()
	fx.apply(l)
}

// haunt puts a ghost in the place of a request that would be held, and lets the
// request run.
func (l *Lane) haunt(c *call) {
	c.look(l.b)
	var fx effects
	l.lock()
	if l.mode != Closed {
		now := l.b.now()
		l.ghost(now, c, &fx)
		l.step(now, &fx)
	}
	c.v = l.through()
	c.v.count()
	l.mu.Unlock()
	fx.apply(l)
}

func (l *Lane) ghost(now time.Duration, c *call, fx *effects) {
	w := &waiter{role: roleGhost, arrived: now, bytes: c.req.Bytes, deadline: c.deadline, level: c.req.Priority.level()}
	if why := l.admit(now, c, w, true, fx); why != undecided {
		l.tally(why)
		w.claim()
		fx.decide(w, why)
		return
	}
	l.seq++
	w.seq = l.seq
	l.n.Held++
	if !l.outageOn {
		l.outageOn, l.outageAt = true, now
	}
	l.q.attach(w, c.req.Key)
	l.q.insert(w)
}

// refusedDry takes in a refusal that the caller gets, and would not have got.
func (l *Lane) refusedDry(now time.Duration, c *call, fx *effects) {
	if c.v.lead.Term.Less(l.cur.Term) {
		return
	}
	l.n.Refused++
	if c.v.epoch < l.resumed {
		return
	}
	r, _ := refusalIn(c.err)
	l.refuse(now, c, &waiter{}, r, fx)
	if !c.v.final {
		l.ghost(now, c, fx)
	}
}

// wouldProbe reports whether a request would be let through now.
func (l *Lane) wouldProbe(now time.Duration) bool {
	v, _ := l.decide(now)
	return v != leadership.Hold && now >= l.nextProbe
}

// stepDry is step for a dry run. Nobody watches a timer: it is called when
// something else happens, and finds what would have happened since.
func (l *Lane) stepDry(now time.Duration, fx *effects) {
	cfg := &l.b.cfg
	end := func(w *waiter, v verdict) {
		if l.settle(w, v, fx) && v == run {
			l.n.Flushed++
			l.forget(w)
		}
	}
	for w := l.q.oldest(); w != nil && now-w.arrived >= cfg.MaxAge; w = l.q.oldest() {
		end(w, failAge)
	}
	verdict, _ := l.decide(now)
	if verdict != leadership.Hold && verdict != leadership.Probe && !l.paused {
		for l.q.n > 0 {
			w := l.q.next()
			if w.deadline != 0 && w.deadline <= now+cfg.MinService {
				end(w, failDeadline)
			} else {
				end(w, run)
			}
		}
		l.outageOn, l.open = false, false
		l.publish(fx)
		l.resumed = l.view.Load().epoch
		l.setMode(Serving, fx)
		return
	}
	if l.outageOn && now-l.outageAt >= cfg.MaxOutage {
		for l.q.n > 0 {
			w := l.q.oldest()
			outage := now - l.outageAt
			end(w, failOutage)
			w.deadline = outage
		}
	}
}

// bury tells how long the request of a ghost would have been held, and why no
// longer.
func (l *Lane) bury(w *waiter) {
	h := l.b.cfg.Hooks.Waited
	if h == nil {
		return
	}
	c := call{ctx: context.Background(), w: w}
	waited := min(l.b.now()-w.arrived, l.b.cfg.MaxAge)
	if w.verdict == run {
		h(l.key, waited, nil)
	} else {
		h(l.key, waited, l.failure(&c, w.verdict, waited))
	}
}
