package lameduck

import (
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Resume undoes a drain: at any phase before the end the gate serves again, at
// the same term, and the Drain returns ErrResumed. It is a no-op on a gate
// that serves and returns ErrTooLate after Drained or Forced. What was refused,
// cancelled or ended meanwhile stays so. A drain of a gate above goes on, and
// so does one that a child began itself.
func (g *Gate) Resume() error {
	g.expire()
	unlock := g.lock()
	if g.own.phase.Ended() {
		unlock()
		return ErrTooLate
	}
	done := g.reopen()
	unlock()
	done()
	return nil
}

// Serve opens the gate for a new leadership. The term must be above the one
// served and not below the one it is sealed by, else a *TermOrderError is
// returned and nothing happens: the same Serve twice is harmless. Serve is
// allowed in every phase; a drain under way returns ErrResumed. Requests that
// survived a forced drain keep running and counting, with their contexts
// cancelled; units that were ended stay so. Returns a *leadership.TermError for
// a term that is not valid.
func (g *Gate) Serve(term leadership.Term) error {
	if err := term.Validate(); err != nil {
		return err
	}
	g.expire()
	unlock := g.lock()
	served := g.term()
	if !served.Less(term) || term.Less(g.own.sealed) {
		err := &TermOrderError{Asked: term, Served: served, Sealed: g.own.sealed}
		unlock()
		return err
	}
	g.own.term = term
	done := g.reopen()
	unlock()
	done()
	return nil
}

// Seal makes the end of a drain final: the node has promised term and stepped
// down. The gate never opens by itself afterwards, only by Serve. Refusals
// name term in Until from now on. It needs an ended drain that has not expired,
// else it returns a *PhaseError; when it returns nil, no request was admitted
// since the end of the drain. The term must be above the one served and not
// below an earlier seal, else a *TermOrderError; equal to it, Seal is a no-op.
// Returns a *leadership.TermError for a term that is not valid.
func (g *Gate) Seal(term leadership.Term) error {
	if err := term.Validate(); err != nil {
		return err
	}
	g.expire()
	unlock := g.lock()
	served := g.term()
	var err error
	done := func() {}
	switch {
	case !g.own.phase.Ended() || g.own.expired():
		p := g.own.phase
		if p.Ended() {
			p = Serving
		}
		err = &PhaseError{Op: "seal", Phase: p}
	case !served.Less(term) || term.Less(g.own.sealed):
		err = &TermOrderError{Asked: term, Served: served, Sealed: g.own.sealed}
	default:
		g.own.sealed = term
		g.own.disarm()
		g.own.refusals = g.own.refusals.until(term)
		done = g.apply()
	}
	unlock()
	done()
	return err
}

// reopen is called with the tree locked and returns what to do after.
func (g *Gate) reopen() (after func()) {
	g.own.phase = Serving
	g.own.sealed = leadership.Term{}
	g.own.disarm()
	r := g.running.Load()
	if r != nil {
		r.undone = true
		g.running.Store(nil)
	}
	done := g.apply()
	return func() {
		done()
		if r != nil {
			r.signal()
		}
	}
}

// expiry is when an ended drain undoes itself.
type expiry struct {
	at time.Time
	// close is set when at is less than expiryMargin away: until then a
	// refusal need not read the clock, which would cost more than all the rest
	// of it. A runtime timer sets it, which is all that it does.
	close atomic.Bool
	timer *time.Timer // nil for none
}

// expiryMargin is by how much that timer may be late.
const expiryMargin = 20 * time.Millisecond

func (e *expiry) near() bool { return e != nil && e.close.Load() }

func (e *expiry) passed() bool { return e != nil && time.Until(e.at) <= 0 }

// arm starts the time after which an ended drain undoes itself.
func (g *Gate) arm(p *Plan) {
	if p.Expire <= 0 {
		return
	}
	e := &expiry{at: time.Now().Add(p.Expire)}
	if early := p.Expire - expiryMargin; early > 0 {
		e.timer = time.AfterFunc(early, func() { e.close.Store(true) })
	} else {
		e.close.Store(true)
	}
	g.own.expire = e
}

func (s *standing) disarm() {
	if s.expire != nil && s.expire.timer != nil {
		s.expire.timer.Stop()
	}
	s.expire = nil
}

func (s *standing) expired() bool { return s.phase != Serving && s.expire.passed() }

// expire opens g and the gates above it whose drain has outlived its expiry
// and was not sealed. It reports whether it opened any. No timer opens a gate:
// the first entry or question after the expiry does.
func (g *Gate) expire() bool {
	if v := g.view.Load(); v == nil || !v.expire.passed() {
		return false
	}
	unlock := g.lock()
	var after []func()
	for p := g; p != nil; p = p.parent {
		if p.own.expired() {
			after = append(after, p.reopen())
		}
	}
	unlock()
	for _, f := range after {
		f()
	}
	return len(after) > 0
}
