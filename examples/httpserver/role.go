package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/revoke"
)

// drainGrace is how long after a drain a backend waits for its step-down before
// it serves again: a coordinator may die in between.
const drainGrace = 2 * time.Second

// role is the right to take writes, as one backend holds it or not. It is what
// a coordinator asks to promise, to step down and to lead: an acceptor, which
// keeps the promises, a gate, which keeps the requests, and a log that holds
// nothing but the markers of the leaderships there were.
type role struct {
	id   leadership.NodeID
	gate *lameduck.Gate
	acc  *acceptor.Acceptor
	// fetch asks another backend for its markers.
	fetch func(ctx context.Context, from leadership.NodeID) ([]leadership.Marker, error)

	mu      sync.Mutex // guards the rest, and the file; held while that is written
	file    string
	markers []leadership.Marker // oldest first, all on disk
}

// openRole opens the role in dir. What was promised before a restart is
// promised still. create allows it to be made, on the first start only: a backend
// that lost its directory lost its promises, and must not come back as if it had
// made none, also when it never led and has no marker to miss.
func openRole(ctx context.Context, id leadership.NodeID, dir string, create bool) (*role, error) {
	r := &role{id: id, file: filepath.Join(dir, "markers")}
	b, err := os.ReadFile(r.file)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(b, &r.markers); err != nil {
			return nil, err
		}
	}
	if r.gate, err = lameduck.New(lameduck.Options{Name: string(id)}); err != nil {
		return nil, err
	}
	store, err := acceptor.OpenFile(dir)
	if err != nil {
		return nil, err
	}
	// The record lies beside the markers, so the name of the storage is in it.
	r.acc, err = acceptor.Open(ctx, store, id, acceptor.Minted, acceptor.Options{LogTerm: r.last()})
	var none *acceptor.NoRecordError
	if create && errors.As(err, &none) && len(r.markers) == 0 {
		r.acc, err = acceptor.Create(ctx, store, id, acceptor.Minted)
	}
	return r, err
}

// serving returns the leadership that this backend holds, zero for none.
func (r *role) serving() leadership.Leadership {
	if t := r.acc.Status().Leads; !t.IsZero() {
		return leadership.Leadership{Leader: r.id, Term: t}
	}
	return leadership.Leadership{}
}

// last returns the term of the newest marker.
func (r *role) last() leadership.Term {
	if len(r.markers) == 0 {
		return leadership.Term{}
	}
	return r.markers[len(r.markers)-1].Term
}

func (r *role) all() []leadership.Marker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.markers)
}

func position(markers []leadership.Marker) leadership.Position {
	p := leadership.LogPoint{Index: uint64(len(markers))}
	var term leadership.Term
	for i, m := range markers {
		term = m.Term
		p.Eras = append(p.Eras, leadership.Era{Term: m.Term, First: uint64(i + 1)})
	}
	if len(markers) == 0 {
		return leadership.Position{}
	}
	return leadership.Position{Term: term, Point: p}
}

func sightings(markers []leadership.Marker) (out []leadership.Sighting) {
	for _, m := range markers[max(0, len(markers)-2):] {
		out = append(out, leadership.Sighting{Marker: m})
	}
	return out
}

// keep writes markers to disk unless what is there is worth more: a call of an
// older term may come late, and must not take the place of a newer one.
func (r *role) keep(markers []leadership.Marker) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := position(markers).Rank(position(r.markers)); o != leadership.Same && o != leadership.Ahead {
		return errors.New("a newer leadership's markers are here")
	}
	b, err := json.Marshal(markers)
	if err != nil {
		return err
	}
	if _, err := durable.Replace(r.file, b); err != nil {
		return err
	}
	r.markers = markers
	return nil
}

func (r *role) read(context.Context) (acceptor.Reading, error) {
	m := r.all()
	return acceptor.Reading{Position: position(m), Markers: sightings(m)}, nil
}

// Promise implements revoke.Promiser.
func (r *role) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.acc.Recruit(ctx, t, r.read)
}

// Drain implements revoke.StepDowner: what is in flight ends, what comes is
// refused until the leadership of t, which is what the proxy holds it for.
func (r *role) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	if r.serving().IsZero() {
		return revoke.Drained{}, nil
	}
	report, err := r.gate.Drain(ctx, lameduck.Plan{All: d, Until: t, Reason: "another leader is on its way", Expire: drainGrace})
	var forced *lameduck.ForcedError
	if errors.As(err, &forced) {
		err = nil
	}
	return revoke.Drained{Finished: report.Finished, Survivors: report.Surviving}, err
}

// StepDown implements revoke.StepDowner.
func (r *role) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := r.acc.StepDown(ctx, t, r.read)
	if err == nil {
		_ = r.gate.Seal(t) // fails unless a drain has ended: then it does not lead
	}
	return out, err
}

// Install implements establish.Candidate.
func (r *role) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	err := r.acc.Install(ctx, m.Leadership(), func(context.Context) error {
		all := r.all()
		if len(all) > 0 && all[len(all)-1].Term == m.Term {
			return nil
		}
		return r.keep(append(all, m))
	})
	if err != nil {
		return leadership.Acceptance{}, err
	}
	return r.acceptance(m.Leadership())
}

// Grant implements establish.Candidate: from here on requests are taken.
func (r *role) Grant(ctx context.Context, t leadership.Term) error {
	installed := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.last() == t
	}
	if err := r.acc.Grant(ctx, t, installed); err != nil {
		return err
	}
	var again *lameduck.TermOrderError
	if err := r.gate.Serve(t); err != nil && !errors.As(err, &again) {
		return err
	}
	return nil
}

// CatchUp implements establish.Candidate.
func (r *role) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	markers, err := r.fetch(ctx, donor)
	if err != nil {
		return err
	}
	for i, m := range markers {
		if t.Less(m.Term) {
			markers = markers[:i] // it would bind like a promise
			break
		}
	}
	if o := position(markers).Rank(pos); o != leadership.Same && o != leadership.Ahead {
		return errors.New("the donor is behind")
	}
	if o := position(r.all()).Rank(pos); o == leadership.Same || o == leadership.Ahead {
		return nil
	}
	return r.keep(markers)
}

// Follow implements establish.Follower.
func (r *role) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	l := leadership.Leadership{Leader: leader, Term: t}
	if err := r.acc.Follow(ctx, l); err != nil {
		return leadership.Acceptance{}, err
	}
	for {
		tok, err := r.acc.Admit(l)
		if err != nil {
			return leadership.Acceptance{}, err
		}
		markers, err := r.fetch(ctx, leader)
		if err == nil && len(markers) > 0 && markers[len(markers)-1].Term == t {
			if err := errors.Join(r.keep(markers), r.acc.Confirm(tok)); err != nil {
				return leadership.Acceptance{}, err
			}
			return r.acceptance(l)
		}
		// The marker is not there yet: it is written at the same time.
		select {
		case <-ctx.Done():
			return leadership.Acceptance{}, errors.Join(context.Cause(ctx), err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// acceptance states that the marker of l is on disk here.
func (r *role) acceptance(l leadership.Leadership) (leadership.Acceptance, error) {
	pos := position(r.all())
	if st := r.acc.Status(); st.Source != l || st.Changing {
		return leadership.Acceptance{}, &leadership.StaleTermError{Node: r.id, Asked: l.Term, Promised: st.Promised}
	}
	return leadership.Acceptance{Node: r.id, Incarnation: r.acc.Status().Incarnation, Term: l.Term, Leader: l.Leader, Position: pos}, nil
}

// Status implements reparent.Statuser.
func (r *role) Status(context.Context) (leadership.Status, error) {
	st, m := r.acc.Status(), r.all()
	return leadership.Status{
		Node: r.id, Incarnation: st.Incarnation, Reachable: true, Promised: st.Promised, Leads: st.Leads, Source: st.Source,
		Position: position(m), Markers: sightings(m), Draining: !st.Leads.IsZero() && !r.gate.State().Ready(),
	}, nil
}
