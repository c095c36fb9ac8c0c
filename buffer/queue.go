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
	roleGhost      // none: of a dry run
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
	failGone // failCanceled, and the waiter is the lane's
)

// waiter is one request from its first hold or failure to its end. It belongs
// to the goroutine that called Do; what is below state is guarded by Lane.mu
// while it waits. Its size is part of what a held request costs.
type waiter struct {
	// word is its state, and in the bits above how often it has been used: a
	// copy of an ended Turn remembers a lower count.
	//
	// The state is moved from waiting by whoever decides first: to claimed,
	// under Lane.mu, by the lane, which stores decided once it has released it;
	// or to gone by its own goroutine when its context ends, with no lock held.
	// After either the other side does not touch it: a gone waiter is
	// recycled by Lane.sweep, any other by its goroutine.
	word    atomic.Uint32
	role    role
	verdict verdict
	level   uint8 // of its Priority
	in      placement
	back    int32 // index in a heap, when it is in one
	victim  int32 // index in line.victims
	// ch holds at most one token: "look again". A stale token costs one look.
	ch chan struct{}

	prev, next *waiter // list
	link       *waiter // chain of those to wake, or of those gone
	key        *keyed
	v          *view
	seq        uint64        // place in the lane's order, kept for ever
	arrived    time.Duration // on the buffer's clock
	// deadline is that of its context, 0 for none; with failOutage, how long
	// the outage was.
	deadline time.Duration
	bytes    int64
}

const (
	stateWaiting = iota
	stateClaimed
	stateDecided
	stateGone

	stateMask = 3
	oneUse    = stateMask + 1
)

func (w *waiter) state() uint32 { return w.word.Load() & stateMask }

// gen tells apart the uses of w.
func (w *waiter) gen() uint32 { return w.word.Load() &^ stateMask }

// set is for whoever alone may move w.
func (w *waiter) set(state uint32) { w.word.Store(w.gen() | state) }

// move decides about w unless the other side has.
func (w *waiter) move(to uint32) bool {
	waiting := w.gen() // stateWaiting is 0
	return w.word.CompareAndSwap(waiting, waiting|to)
}

// claim takes the decision from w's goroutine, unless that has gone.
func (w *waiter) claim() bool { return w.move(stateClaimed) }

// used ends a use of w, before it goes back to the pool.
func (w *waiter) used() {
	w.v = nil
	w.word.Add(oneUse)
}

func (w *waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default: // a token is there already
	}
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
		if w.role == roleGhost {
			l.bury(w)
			w = next
			continue
		}
		w.set(stateDecided)
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
		fx.tell(l)
	}
}

//go:noinline
func (fx *effects) tell(l *Lane) { l.b.cfg.Hooks.State(l.key, fx.state, fx.view.lead) }
