package buffer

import (
	"math"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

const (
	minBackoff = time.Millisecond
	maxBackoff = 20 * time.Millisecond
)

// backoff doubles from 1ms to 20ms.
func backoff(tries uint32) time.Duration {
	if tries > 4 {
		return maxBackoff
	}
	return min(minBackoff<<tries, maxBackoff)
}

// effective is the record with what was learned from responses put in. A
// leadership that answers is both active and routed, whatever the registry
// shows yet; an intent that a probe showed to be over is none.
func (l *Lane) effective() (leadership.Record, string) {
	r, addr := l.rec, l.rec.Addr
	if r.Routed.Term.Less(r.Active.Term) {
		addr = "" // nobody recorded where the active leader is yet, but for who announced it
		if i := r.Intent; i.Term == r.Active.Term && i.To == r.Active.Leader {
			addr = i.Addr
		}
	}
	if top := leadership.MaxTerm(r.Active.Term, r.Routed.Term); top.Less(l.learned.Term) {
		r.Active, r.Routed, addr = l.learned, l.learned, l.learnedAddr
	} else if top == l.learned.Term && !top.IsZero() {
		if addr == "" {
			addr = l.learnedAddr
		}
		r.Routed = l.learned
	}
	if r.Intent.Term.Compare(l.cleared) <= 0 {
		r.Intent = leadership.Intent{}
	}
	return r, addr
}

// evaluate takes in a changed record or a learned leadership.
func (l *Lane) evaluate(now time.Duration, fx *effects) {
	if l.mode == Closed {
		return
	}
	l.decided = false
	r, addr := l.effective()
	to := r.Routed
	if to.Term.Less(r.Active.Term) {
		to = r.Active
	}
	raised := l.cur.Term.Less(to.Term)
	moved := raised || l.cur == to && l.addr != addr
	if raised {
		// What was known of the older leadership is void: its refusals, its
		// requests in flight, the probe that may hang there.
		l.cur = to
		l.paused, l.probe, l.running, l.tries, l.nextProbe = false, nil, 0, 0, 0
		l.flushing = false
		if l.refused.Compare(to.Term) <= 0 {
			l.refused = leadership.Term{}
		}
		if l.hint.Term.Compare(to.Term) <= 0 {
			l.hint = leadership.Leadership{}
		}
	}
	if l.routed.Less(r.Routed.Term) {
		l.routed = r.Routed.Term
		if r.Routed == l.cur && !raised {
			// It has been granted since: what it refused as a probe while its
			// marker was becoming durable, it takes now, not a probe's pace later.
			l.paused, l.tries, l.nextProbe = false, 0, 0
		}
	}
	if moved {
		l.addr = addr
		l.publish(fx)
		for l.retry.head != nil {
			l.settle(l.retry.head, reroute, fx)
		}
	}
	if r.Intent.Phase == leadership.Holding && r.Routed.Term.Less(r.Intent.Term) {
		if l.announced.Less(r.Intent.Term) {
			l.announced, l.announce = r.Intent.Term, now
			l.flushing = false
			l.hold(now, HoldUnits, fx)
		}
	}
	l.step(now, fx)
	l.news(fx)
}

// hold makes the lane hold at least what mode says.
func (l *Lane) hold(now time.Duration, mode State, fx *effects) {
	if l.mode == Serving {
		l.heldAt = now
	}
	l.decided = false
	if !l.outageOn {
		l.outageOn, l.outageAt = true, now
	}
	if l.b.cfg.Counted {
		mode = HoldAll // the server could not refuse the singles that pass
	}
	if l.mode < mode {
		l.setMode(mode, fx)
	}
}

// decide asks the one function that all routers ask, and keeps its answer
// until its time is over or something it depends on changes.
func (l *Lane) decide(now time.Duration) (v leadership.Verdict, again time.Duration) {
	if l.suspended {
		return leadership.Hold, never
	}
	if !l.decided || now >= l.askAgain {
		l.ask(now)
	}
	return l.verdict, l.askAgain
}

// ask is kept out of line: a Record is large, and goroutines that queue should
// not have to grow their stacks for it.
//
//go:noinline
func (l *Lane) ask(now time.Duration) {
	r, _ := l.effective()
	since := now - l.heldAt
	if r.Intent.Phase == leadership.Holding && r.Intent.Term == l.announced && r.Routed.Term.Less(r.Intent.Term) {
		since = now - l.announce
	}
	d := r.Decide(since, l.refused)
	l.decided, l.verdict, l.askAgain, l.probePace = true, d.Verdict, math.MaxInt64, d.Wait
	if d.Verdict == leadership.Hold {
		l.askAgain = now + min(max(d.Wait, minBackoff), longest) // a record may say any HoldFor
	}
}

// step does what is due in a holding lane: fails who waited too long, lets a
// probe through, goes on with a flush, and ends the hold when the queue is
// empty. Everything that changes the lane ends here, and so does its timer.
func (l *Lane) step(now time.Duration, fx *effects) {
	l.sweep()
	if l.mode == Serving || l.mode == Closed {
		l.disarm()
		return
	}
	cfg := &l.b.cfg
	if cfg.DryRun {
		l.stepDry(now, fx)
		return
	}
	for h := l.q.oldest(); h != nil && now-h.arrived >= cfg.MaxAge; h = l.q.oldest() {
		l.settle(h, failAge, fx)
	}
	if l.outageOn && now-l.outageAt >= cfg.MaxOutage {
		l.open = true
	}
	next := time.Duration(math.MaxInt64)
	verdict, again := l.decide(now)
	stuck := verdict == leadership.Hold || verdict == leadership.Probe || l.paused
	if stuck {
		l.flushing = false
	}
	through := l.open && cfg.AtOutage == PassThrough && l.cur.Leader != "" && !l.suspended
	l.passing = through && stuck // else a flush, to another leader, is in order
	switch {
	case l.passing:
		l.passAll(now, fx)
	case verdict == leadership.Hold:
		next = again
	case verdict == leadership.Probe || l.paused:
		next = l.tryProbe(now, fx)
	default:
		next = l.flush(now, fx)
		if l.q.n == 0 {
			// In the same critical section as the last release: who arrives
			// from here on finds nobody to queue behind.
			l.flushing, l.open = false, false
			// The outage is over when one of those that were released is
			// answered: a leader that refuses them all has ended nothing.
			l.outageOn = l.outageOn && l.running > 0
			l.setMode(Serving, fx)
			l.disarm()
			return
		}
	}
	if l.open && !through {
		l.failAll(now, fx)
	}
	l.arm(now, next, fx)
}

// passAll lets everybody through.
//
//go:noinline
func (l *Lane) passAll(now time.Duration, fx *effects) {
	for w, v := l.pick(now, fx), l.through(); w != nil; w = l.pick(now, fx) {
		l.n.Passed++
		l.release(w, v, roleNone, fx)
	}
}

// failAll tells everybody that there is no leader.
//
//go:noinline
func (l *Lane) failAll(now time.Duration, fx *effects) {
	for l.q.n > 0 {
		h := l.q.oldest()
		if l.settle(h, failOutage, fx) {
			h.deadline = now - l.outageAt
		}
	}
}

// still reports that step would find nothing to do for a request that has just
// joined the others: all of them wait for the same news, or for the timer.
func (l *Lane) still(now time.Duration) bool {
	return l.decided && l.verdict == leadership.Hold && now < l.askAgain && now < l.armed &&
		!l.flushing && !l.open && !l.passing && l.driver.Load() != nil
}

// tryProbe lets the head of the queue through, unless a probe is out or the
// next is not due, and returns when to look again.
func (l *Lane) tryProbe(now time.Duration, fx *effects) time.Duration {
	if l.probe != nil && now < l.probeAt+l.b.cfg.ProbeTimeout {
		return l.probeAt + l.b.cfg.ProbeTimeout
	}
	if now < l.nextProbe {
		return l.nextProbe
	}
	w := l.pick(now, fx)
	if w == nil {
		return math.MaxInt64
	}
	v := l.asking()
	if !l.hint.IsZero() && l.cur.Term.Less(l.hint.Term) {
		// Both are asked in turn: the hint may be all there is while the
		// registry is down, and may be wrong when a change was given up.
		if l.hintTurn = !l.hintTurn; l.hintTurn {
			v.lead, v.addr, v.gate = l.hint, "", nil
			if l.b.cfg.Counted {
				v.gate = l.gateOf(l.hint.Term)
			}
		}
	}
	l.probe, l.probeAt, l.probeWait = w, now, l.probePace
	l.release(w, v, roleProbe, fx)
	return now + l.b.cfg.ProbeTimeout
}

// pick claims whose turn is next, failing those whose deadline is too near for
// them to be worth a turn.
func (l *Lane) pick(now time.Duration, fx *effects) *waiter {
	for w := l.q.next(); w != nil; w = l.q.next() {
		switch {
		case w.deadline != 0 && w.deadline <= now+l.b.cfg.MinService:
			l.settle(w, failDeadline, fx)
		case w.claim():
			return w
		default:
			l.unlist(w) // its context has ended
		}
	}
	return nil
}

// release lets w, which is claimed, run. It keeps its part of the caps, so that
// there is always room to put it back.
func (l *Lane) release(w *waiter, v *view, r role, fx *effects) {
	w.v, w.role = v, r
	if r != roleProbe || l.b.cfg.Probe == nil { // else it is not sent
		v.count()
	}
	if w.key != nil {
		w.key.serving = w
	}
	l.unlist(w)
	fx.decide(w, run)
}

// settle takes w out of its list and tells its goroutine why, unless that has
// gone by itself.
func (l *Lane) settle(w *waiter, v verdict, fx *effects) bool {
	l.unlist(w)
	if !w.claim() {
		return false
	}
	if v > reroute {
		l.forget(w)
		l.tally(v)
	}
	fx.decide(w, v)
	return true
}

// unlist takes w out of its list.
func (l *Lane) unlist(w *waiter) {
	switch w.in {
	case inNone:
	case inRetry:
		l.retry.remove(w)
	default:
		l.q.remove(w)
	}
	w.in = inNone
	l.undrive(w)
}

// undrive ends w's watch over the timer. arm finds another.
func (l *Lane) undrive(w *waiter) {
	if l.driver.Load() == w {
		l.driver.Store(nil)
	}
}

// forget gives back w's part of the caps and of its key.
func (l *Lane) forget(w *waiter) {
	l.adjust(-1, -w.bytes)
	l.drop(w)
}

// drop ends w's part in its key.
func (l *Lane) drop(w *waiter) {
	if w.key != nil {
		l.q.detach(w)
	}
}

// arm sets the timer for the next thing to do, and finds somebody who is
// waiting anyway to watch it. The last in the queue is chosen: it is the one
// that will stay longest.
func (l *Lane) arm(now, next time.Duration, fx *effects) {
	if l.q.n == 0 {
		l.disarm()
		return
	}
	next = min(next, l.q.oldest().arrived+l.b.cfg.MaxAge)
	if l.outageOn && !l.open {
		next = min(next, l.outageAt+l.b.cfg.MaxOutage)
	}
	// A timer that is set for an earlier time stays: its tick finds nothing due
	// and sets it again. The oldest is another after each release of a flush.
	if l.armed == 0 || next < l.armed {
		l.armed = next
		if l.timer == nil {
			l.timer = time.NewTimer(max(next-now, 0))
		} else {
			l.timer.Reset(max(next-now, 0))
		}
	}
	if l.driver.Load() == nil {
		fx.driver = l.q.last()
		l.driver.Store(fx.driver)
	}
}

func (l *Lane) disarm() {
	if l.armed != 0 {
		l.armed = 0
		l.timer.Stop()
	}
}

// tick is called by whoever took a tick of the timer.
func (l *Lane) tick() {
	var fx effects
	l.lock()
	l.armed = 0
	l.step(l.b.now(), &fx)
	l.mu.Unlock()
	fx.apply(l)
}

// asking is a view for one request alone, whose answer ends what is known now.
func (l *Lane) asking() *view {
	v := *l.view.Load()
	v.seen, v.knew = l.announced, l.refused
	return &v
}

// through is the view of requests that are let through.
func (l *Lane) through() *view {
	v := l.asking()
	v.final = true
	return v
}
