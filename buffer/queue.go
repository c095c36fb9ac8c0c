package buffer

import (
	"sync/atomic"
	"time"
)

// role says on what account a request was released.
type role uint8

const (
	roleNone  role = iota
	roleProbe      // the one request that tries the leader
	roleFlush      // one of a flush, it has a slot
)

// verdict is the fate of a waiter, set under Lane.mu, carried out by its own
// goroutine.
type verdict uint8

const (
	undecided verdict = iota
	run               // run under waiter.v
	reroute           // look at the lane again
	failAge
	failOutage
	failEvicted
	failFull
	failClosed
	failDeadline
	failCanceled
)

// waiter is one request from its first hold or failure to its end. It belongs
// to the goroutine that called Do; the fields of the second group are guarded
// by Lane.mu while it is queued.
type waiter struct {
	// state tells its goroutine that the fields below are settled. It is
	// stored after Lane.mu is released, by whoever decided; only then does
	// the waiter leave the decider's chain and may be used again.
	state atomic.Uint32
	// driving says that its goroutine also watches the lane's timer.
	driving atomic.Bool
	// ch holds at most one token: "look again". A stale token costs one look.
	ch    chan struct{}
	gen   atomic.Uint32 // counts its uses; a copy of an ended Turn has an older one
	timer *time.Timer   // for back-off; made when first needed

	prev, next *waiter // list
	link       *waiter // chain of those to wake
	list       *list
	v          *view
	seq        uint64        // place in the lane's order, kept for ever
	arrived    time.Duration // on the buffer's clock
	deadline   time.Duration // of its context, 0 for none
	bytes      int64
	outage     time.Duration // for failOutage
	tries      uint32        // for back-off
	role       role
	verdict    verdict
	unit       bool
}

const (
	stateWaiting = iota
	stateDecided
)

func (w *waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default: // a token is there already
	}
}

// list is an intrusive list ordered by waiter.seq.
type list struct {
	head, tail *waiter
	n          int
}

// insert puts w at the place its seq says. Newcomers go to the tail in O(1); a
// request put back passes only those put back before it.
func (l *list) insert(w *waiter) {
	w.list = l
	l.n++
	at := l.tail // insert after at
	if at != nil && at.seq > w.seq {
		at = nil
		for c := l.head; c.seq < w.seq; c = c.next {
			at = c
		}
	}
	w.prev = at
	if at == nil {
		w.next, l.head = l.head, w
	} else {
		w.next, at.next = at.next, w
	}
	if w.next == nil {
		l.tail = w
	} else {
		w.next.prev = w
	}
}

// remove takes w out in O(1).
func (l *list) remove(w *waiter) {
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.list = nil, nil, nil
	l.n--
}

// effects are what a step under Lane.mu leaves to be done after it is
// released: waking goroutines and calling hooks.
type effects struct {
	first, last *waiter // decided, to be published and woken
	driver      *waiter // to be told that it drives
	changed     bool    // State hook is due
	state       State
	view        *view
	news, quiet chan struct{} // to be closed
}

func (fx *effects) decide(w *waiter, v verdict) {
	w.verdict = v
	w.link = nil
	if fx.last == nil {
		fx.first = w
	} else {
		fx.last.link = w
	}
	fx.last = w
}

// apply is called without Lane.mu.
func (fx *effects) apply(l *Lane) {
	for w := fx.first; w != nil; {
		next := w.link // before the store: after it w is its goroutine's
		w.state.Store(stateDecided)
		w.wake()
		w = next
	}
	if fx.driver != nil {
		fx.driver.wake()
	}
	if fx.news != nil {
		close(fx.news)
	}
	if fx.quiet != nil {
		close(fx.quiet)
	}
	if fx.changed && l.b.cfg.Hooks.State != nil {
		l.b.cfg.Hooks.State(l.key, fx.state, fx.view.lead)
	}
}
