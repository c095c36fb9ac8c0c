package leadership

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// keepLapsed is how long a lease that lapsed is remembered, so that a Wait can
// tell a router that vanished from one that left.
const keepLapsed = time.Minute

// seat is the lease of one router in a roll.
type seat struct {
	Router  RouterID      `json:"router"`
	Session string        `json:"session"`
	TTL     time.Duration `json:"ttl"`
	Renewed uint64        `json:"renewed"` // the roll's count at the last renewal
	Acked   Term          `json:"acked"`
}

// roll is the state of a barrier: plain data, with no time in it. A renewal is a
// new number, and whoever looks measures on its own clock how long a number has
// stood still; so processes need no common clock.
type roll struct {
	Count uint64 `json:"count"`           // renewals ever; no two have one number
	Seats []seat `json:"seats,omitempty"` // sorted by router
}

// watch is what one observer has seen of a roll, and when, on its own clock.
type watch struct{ seen map[RouterID]sighting }

type sighting struct {
	renewed uint64
	at      time.Duration
}

// observe takes in the roll as it stands at now.
func (w *watch) observe(r roll, now time.Duration) {
	seen := make(map[RouterID]sighting, len(r.Seats))
	for _, s := range r.Seats {
		if old, ok := w.seen[s.Router]; ok && old.renewed == s.Renewed {
			seen[s.Router] = old
		} else {
			seen[s.Router] = sighting{renewed: s.Renewed, at: now}
		}
	}
	w.seen = seen
}

// left returns how long s lasts yet unless it is renewed; none is left of a lease
// that lapsed. It was renewed no later than when its number was first seen.
func (w *watch) left(s seat, now time.Duration) time.Duration {
	return w.seen[s.Router].at + s.TTL - now
}

// find returns where the router's seat is or belongs.
func (r roll) find(id RouterID) (int, bool) {
	return slices.BinarySearchFunc(r.Seats, id, func(s seat, id RouterID) int { return cmp.Compare(s.Router, id) })
}

// join takes or renews a lease, and forgets those that lapsed long ago. The
// watch must have observed r.
func (r roll) join(l RouterLease, w *watch, now time.Duration) (next roll, fresh bool, err error) {
	if err := l.Validate(); err != nil {
		return r, false, err
	}
	acked := Term{}
	fresh = true
	if i, ok := r.find(l.Router); ok {
		s := r.Seats[i]
		left := w.left(s, now)
		switch {
		case left <= 0:
		case s.Session != l.Session:
			return r, false, &RouterTakenError{Router: l.Router, Left: left}
		default:
			acked, fresh = s.Acked, false
		}
	}
	next = roll{Count: r.Count + 1, Seats: slices.DeleteFunc(slices.Clone(r.Seats), func(s seat) bool {
		return s.Router == l.Router || w.left(s, now) <= -keepLapsed
	})}
	i, _ := next.find(l.Router)
	next.Seats = slices.Insert(next.Seats, i, seat{l.Router, l.Session, l.TTL, next.Count, acked})
	return next, fresh, nil
}

func (r roll) ack(l RouterLease, t Term, w *watch, now time.Duration) (roll, error) {
	if err := l.Validate(); err != nil {
		return r, err
	}
	if err := t.Validate(); err != nil {
		return r, err
	}
	i, ok := r.find(l.Router)
	if !ok || r.Seats[i].Session != l.Session || w.left(r.Seats[i], now) <= 0 {
		return r, &RouterLapsedError{Router: l.Router}
	}
	if t.Compare(r.Seats[i].Acked) <= 0 {
		return r, nil
	}
	next := roll{Count: r.Count, Seats: slices.Clone(r.Seats)}
	next.Seats[i].Acked = t
	return next, nil
}

func (r roll) leave(l RouterLease) (roll, error) {
	if err := l.Validate(); err != nil {
		return r, err
	}
	i, ok := r.find(l.Router)
	if !ok || r.Seats[i].Session != l.Session {
		return r, nil
	}
	return roll{Count: r.Count, Seats: slices.Delete(slices.Clone(r.Seats), i, i+1)}, nil
}

// call is the roll call for term t. again is in how long a lease will lapse that
// is waited for, 0 when none is. It returns a *SupersededError when a router has
// acked a higher term: its attempt is the newer one, and what the router does
// when that is given up is not known to a waiter at t.
func (r roll) call(t Term, w *watch, now time.Duration) (rc RollCall, again time.Duration, err error) {
	rc.Term = t
	var by Term
	for _, s := range r.Seats {
		left := w.left(s, now)
		switch {
		case left > 0 && t.Less(s.Acked):
			by = MaxTerm(by, s.Acked)
			rc.Late = append(rc.Late, s.Router)
		case s.Acked == t:
			rc.Quiet = append(rc.Quiet, s.Router)
		case left > 0:
			rc.Late = append(rc.Late, s.Router)
			if again == 0 || left < again {
				again = left
			}
		case left > -keepLapsed:
			rc.Lapsed = append(rc.Lapsed, s.Router)
		}
	}
	if !by.IsZero() {
		err = &SupersededError{Term: t, By: by}
	}
	return rc, again, err
}

// validate refuses a roll that no calls can have made.
func (r roll) validate() error {
	for i, s := range r.Seats {
		l := RouterLease{Router: s.Router, Session: s.Session, TTL: s.TTL}
		switch {
		case l.Validate() != nil:
			return l.Validate()
		case s.Renewed == 0 || s.Renewed > r.Count:
			return fmt.Errorf("router %s was renewed %d times of %d", s.Router, s.Renewed, r.Count)
		case i > 0 && s.Router <= r.Seats[i-1].Router:
			return fmt.Errorf("router %s is out of order", s.Router)
		}
	}
	return nil
}
