package buffer

import "math"

// suspend makes the lane hold everything, probes included, whatever the record
// says, until resume: it may not send as a member of a barrier.
func (l *Lane) suspend() {
	var fx effects
	l.lock()
	if !l.suspended && l.mode != Closed {
		l.suspended = true
		now := l.b.now()
		l.hold(now, HoldAll, &fx)
		l.step(now, &fx)
	}
	l.mu.Unlock()
	fx.apply(l)
}

// resume ends a suspension. What was held goes out as after any other hold.
func (l *Lane) resume() {
	var fx effects
	l.lock()
	if l.suspended {
		l.suspended, l.decided = false, false
		l.step(l.b.now(), &fx)
	}
	l.mu.Unlock()
	fx.apply(l)
}

// idle reports whether nothing is in flight. On a lane that is suspended it
// stays true: its gates are closed.
func (l *Lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.gates {
		if g.turns() > 0 {
			return false
		}
	}
	return true
}

// never is when a lane that is suspended looks at its record again.
const never = math.MaxInt64
