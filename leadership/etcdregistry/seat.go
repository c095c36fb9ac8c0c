package etcdregistry

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// seat is the lease of one router: the value of its key.
type seat struct {
	Session string          `json:"session"`
	TTL     time.Duration   `json:"ttl"`
	Renewed uint64          `json:"renewed"` // how often, since the key was made
	Acked   leadership.Term `json:"acked"`
	// Lapsed is written by whoever measured that the seat was not renewed for its
	// TTL, in a transaction that a renewal would make fail. So of a renewal and
	// a lapse one comes first, for everybody.
	Lapsed bool `json:"lapsed,omitempty"`
}

// placed is a seat as it stands in etcd.
type placed struct {
	seat
	router       leadership.RouterID
	created, mod int64 // revisions of the key
}

func (s seat) encode() (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// decodeSeat takes only what encode can have made.
func decodeSeat(base string, kv *mvccpb.KeyValue) (placed, error) {
	p := placed{router: leadership.RouterID(bytes.TrimPrefix(kv.Key, []byte(base))), created: kv.CreateRevision, mod: kv.ModRevision}
	if err := json.Unmarshal(kv.Value, &p.seat); err != nil {
		return p, corrupt(kv, err)
	}
	again, err := p.encode()
	if err == nil && (again != string(kv.Value) || p.Renewed == 0) {
		err = errors.New("it is not in canonical form")
	}
	if err == nil {
		err = leadership.RouterLease{Router: p.router, Session: p.Session, TTL: p.TTL}.Validate()
	}
	if err != nil {
		return p, corrupt(kv, err)
	}
	return p, nil
}

// sightings is for how long one observer has seen each seat stand as it is, by its
// own clock. No clock is compared with another.
type sightings map[leadership.RouterID]sighting

type sighting struct {
	created int64
	renewed uint64
	at      time.Duration
}

// see takes in a seat as it stands at now. Acks change the key and are no renewals,
// so that its revisions do not do; and a key made anew counts from 1 again.
func (w sightings) see(p placed, now time.Duration) {
	if old, ok := w[p.router]; !ok || old.created != p.created || old.renewed != p.Renewed {
		w[p.router] = sighting{p.created, p.Renewed, now}
	}
}

// left returns how long the seat lasts yet unless it is renewed: it was renewed no
// later than when that was first seen.
func (w sightings) left(p placed, now time.Duration) time.Duration {
	if p.Lapsed {
		return 0
	}
	return w[p.router].at + p.TTL - now
}

// join is the seat that a Join makes. cur is nil when the router has none.
func join(l leadership.RouterLease, cur *placed, left time.Duration) (next seat, fresh bool, err error) {
	next = seat{Session: l.Session, TTL: l.TTL, Renewed: 1}
	switch {
	case cur == nil:
		return next, true, nil
	case !cur.Lapsed && cur.Session == l.Session:
		next.Renewed, next.Acked = cur.Renewed+1, cur.Acked
		return next, false, nil
	case left > 0:
		return next, false, &leadership.RouterTakenError{Router: l.Router, Left: left}
	}
	next.Renewed = cur.Renewed + 1
	return next, true, nil
}

// ack is the seat that an Ack makes, ok when it differs.
func ack(l leadership.RouterLease, t leadership.Term, cur *placed) (next seat, ok bool, err error) {
	if cur == nil || cur.Lapsed || cur.Session != l.Session {
		return next, false, &leadership.RouterLapsedError{Router: l.Router}
	}
	next = cur.seat
	if t.Compare(cur.Acked) <= 0 {
		return next, false, nil
	}
	next.Acked = t
	return next, true, nil
}

// roll is the roll call for term t over all seats, sorted by router. overdue are seats
// that no Wait may count out before they are marked as lapsed; again is in
// how long the next one will be, 0 for none.
func (w sightings) roll(t leadership.Term, seats []placed, now time.Duration) (rc leadership.RollCall, overdue []placed, again time.Duration, err error) {
	rc.Term = t
	var by leadership.Term
	for _, p := range seats {
		left := w.left(p, now)
		switch {
		case p.Acked == t:
			rc.Quiet = append(rc.Quiet, p.router)
			continue
		case p.Lapsed:
			rc.Lapsed = append(rc.Lapsed, p.router)
			continue
		}
		rc.Late = append(rc.Late, p.router)
		switch {
		case left <= 0:
			overdue = append(overdue, p)
		case t.Less(p.Acked):
			by = leadership.MaxTerm(by, p.Acked)
		case again == 0 || left < again:
			again = left
		}
	}
	if !by.IsZero() {
		err = &leadership.SupersededError{Term: t, By: by}
	}
	return rc, overdue, again, err
}

// forget drops what was seen of routers that have no seat any more.
func (w sightings) forget(seats []placed) {
	for id := range w {
		if !slices.ContainsFunc(seats, func(p placed) bool { return p.router == id }) {
			delete(w, id)
		}
	}
}
