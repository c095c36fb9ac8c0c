package buffer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// plainServer is a database server without a gate: it checks no terms, cannot
// refuse, and when it is stepped down it breaks off what is under way with an
// error that proves nothing.
type plainServer struct {
	id   leadership.NodeID
	peer func(leadership.NodeID) *plainServer

	mu       sync.Mutex
	promised leadership.Term
	leads    leadership.Term
	log      []leadership.Marker // nothing else is replicated in these tests
	cut      chan struct{}       // closed when the leadership ends
	inFlight int
	cuts     int // requests broken off
	ran      map[int]int
}

func newPlainServer(id leadership.NodeID, peer func(leadership.NodeID) *plainServer) *plainServer {
	return &plainServer{id: id, peer: peer, cut: make(chan struct{}), ran: map[int]int{}}
}

var errCut = errors.New("server: the connection was lost")

// call runs one request, as a CALL of a procedure would: half of it may have run
// when it fails. A statement of the router's own asks first who leads.
func (s *plainServer) call(id int, takes time.Duration, to leadership.Leadership) error {
	s.mu.Lock()
	if s.leads != to.Term {
		s.mu.Unlock()
		return &leadership.Refusal{Term: to.Term, Until: to.Term}
	}
	s.mu.Unlock()
	time.Sleep(100 * time.Microsecond) // between the statement and the request
	s.mu.Lock()
	if s.leads.IsZero() {
		s.cuts++
		s.mu.Unlock()
		return errCut
	}
	s.inFlight++
	cut := s.cut
	s.mu.Unlock()
	t := time.NewTimer(takes)
	defer t.Stop()
	var err error
	select {
	case <-cut:
		err = errCut
	case <-t.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	if err != nil {
		s.cuts++
		return err
	}
	s.ran[id]++
	return nil
}

func (s *plainServer) position() leadership.Position {
	if len(s.log) == 0 {
		return leadership.Position{}
	}
	p := leadership.LogPoint{Index: uint64(len(s.log))}
	for i, m := range s.log {
		p.Eras = append(p.Eras, leadership.Era{Term: m.Term, First: uint64(i + 1)})
	}
	return leadership.Position{Term: s.log[len(s.log)-1].Term, Point: p}
}

func (s *plainServer) Status(context.Context) (leadership.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return leadership.Status{Node: s.id, Promised: s.promised, Leads: s.leads, Position: s.position(), Markers: s.sightings()}, nil
}

func (s *plainServer) sightings() (out []leadership.Sighting) {
	for _, m := range s.log[max(0, len(s.log)-2):] {
		out = append(out, leadership.Sighting{Marker: m, Decided: true})
	}
	return out
}

// promise needs mu.
func (s *plainServer) promise(t leadership.Term) error {
	if t.Less(s.promised) {
		return &leadership.StaleTermError{Node: s.id, Asked: t, Promised: s.promised}
	}
	if s.promised = t; s.leads.Less(t) && !s.leads.IsZero() {
		s.leads = leadership.Term{}
		close(s.cut)
		s.cut = make(chan struct{})
	}
	return nil
}

func (s *plainServer) testify(t leadership.Term, kind leadership.TestimonyKind) (leadership.Testimony, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	led := s.leads
	if err := s.promise(t); err != nil {
		return leadership.Testimony{}, err
	}
	at := s.position()
	return leadership.Testimony{Node: s.id, Term: t, Kind: kind, Read: &at, Markers: s.sightings(), Led: led}, nil
}

func (s *plainServer) Promise(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	return s.testify(t, leadership.Promised)
}

// Drain has nothing to drain with.
func (s *plainServer) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{}, nil
}

func (s *plainServer) StepDown(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	return s.testify(t, leadership.Demoted)
}

func (s *plainServer) copyFrom(o *plainServer) leadership.Position {
	o.mu.Lock()
	log := slices.Clone(o.log)
	o.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.log) < len(log) {
		s.log = log
	}
	return s.position()
}

func (s *plainServer) CatchUp(_ context.Context, _ leadership.Term, donor leadership.NodeID, _ leadership.Position) error {
	s.copyFrom(s.peer(donor))
	return nil
}

func (s *plainServer) Install(_ context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.promise(m.Term); err != nil {
		return leadership.Acceptance{}, err
	}
	if at := s.position(); at.Term != m.Term {
		s.log = append(s.log, m)
	}
	return leadership.Acceptance{Node: s.id, Term: m.Term, Leader: s.id, Position: s.position()}, nil
}

func (s *plainServer) Grant(_ context.Context, t leadership.Term) error {
	time.Sleep(3 * time.Millisecond) // the record shows it as active meanwhile
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != s.promised {
		return &leadership.StaleTermError{Node: s.id, Asked: t, Promised: s.promised}
	}
	s.leads = t
	return nil
}

func (s *plainServer) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	for {
		at := s.copyFrom(s.peer(leader))
		if at.Term == t {
			return leadership.Acceptance{Node: s.id, Term: t, Leader: leader, Position: at}, nil
		}
		select {
		case <-ctx.Done():
			return leadership.Acceptance{}, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

// plainCluster is some of them, with a registry, a barrier and a coordinator.
type plainCluster struct {
	servers map[leadership.NodeID]*plainServer
	reg     leadership.MemoryRegistry
	barrier leadership.MemoryBarrier
	guard   *reparent.Guard
}

// newPlainCluster is led by n1. With waits the coordinator waits at the barrier.
func newPlainCluster(waits bool) (*plainCluster, error) {
	c := &plainCluster{servers: map[leadership.NodeID]*plainServer{}}
	var nodes []reparent.Node
	var members []leadership.Node
	for _, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		s := newPlainServer(id, func(id leadership.NodeID) *plainServer { return c.servers[id] })
		c.servers[id] = s
		nodes = append(nodes, reparent.Node{ID: id, Addr: string(id), Status: s, Promise: s, StepDown: s, Candidate: s, Follow: s})
		members = append(members, leadership.Node{ID: id})
	}
	cfg := reparent.Config{By: "c1"}
	if waits {
		cfg.Barrier = &c.barrier
	}
	var err error
	if c.guard, err = reparent.New("plain", &c.reg, nodes, cfg); err != nil {
		return nil, err
	}
	rs, err := leadership.NewRuleset(leadership.Majority(), members...)
	if err != nil {
		return nil, err
	}
	rep, err := c.guard.Run(context.Background(), reparent.Bootstrap(rs, "n1"))
	if err != nil {
		return nil, errors.Join(err, errors.New(rep.String()))
	}
	return c, nil
}
