package establish_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

var (
	t3 = leadership.Term{Num: 3, Proposer: "a"}
	t4 = leadership.Term{Num: 4, Proposer: "b"}
	t7 = leadership.Term{Num: 7, Proposer: "c1"}
	t9 = leadership.Term{Num: 9, Proposer: "c2"}
)

// bubble runs f in a synctest bubble, which fails on a goroutine left behind.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// at is the position of a log of n entries of term t3.
func at(n uint64) *leadership.Position {
	if n == 0 {
		return &leadership.Position{}
	}
	return &leadership.Position{Term: t3, Point: leadership.LogPoint{Index: n, Eras: []leadership.Era{{Term: t3, First: 1}}}}
}

// forked is the position of a log of one entry of t3 and n of t4.
func forked(n uint64) *leadership.Position {
	return &leadership.Position{Term: t4, Point: leadership.LogPoint{Index: 1 + n, Eras: []leadership.Era{{Term: t3, First: 1}, {Term: t4, First: 2}}}}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantAs fails unless err is an E.
func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a %T", err, err, e)
	}
	return e
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

// attempt is a round over n1 to n5 at term t7, policy majority.
type attempt struct {
	*leadership.Round
	t testing.TB
}

var members = []leadership.NodeID{"n1", "n2", "n3", "n4", "n5"}

func round(t testing.TB) attempt {
	t.Helper()
	nodes := make([]leadership.Node, len(members))
	for i, id := range members {
		nodes[i].ID = id
	}
	rs := must[leadership.Ruleset](t)(leadership.NewRuleset(leadership.Majority(), nodes...))
	return attempt{must[*leadership.Round](t)(leadership.NewRound(leadership.RoundConfig{Term: t7, Rulesets: []leadership.Ruleset{rs}})), t}
}

// hear adds a promise with its position, or a nil one to be read later.
func (a attempt) hear(id leadership.NodeID, pos *leadership.Position) attempt {
	a.t.Helper()
	if err := a.Add(leadership.Testimony{Node: id, Term: t7, Kind: leadership.Promised, Read: pos}); err != nil {
		a.t.Fatal(err)
	}
	return a
}

// late adds a position that was read after the promise.
func (a attempt) late(id leadership.NodeID, pos *leadership.Position) {
	if err := a.Add(leadership.Testimony{Node: id, Term: t7, Kind: leadership.Statement, Read: pos}); err != nil {
		a.t.Error(err)
	}
}

func (a attempt) propose(to leadership.NodeID) *leadership.Proposal {
	a.t.Helper()
	return must[*leadership.Proposal](a.t)(must[*leadership.Revocation](a.t)(a.Revocation()).Propose(to, nil))
}

// installed is the proof that n1 was installed at t7.
func installed(t testing.TB) *leadership.Installed {
	t.Helper()
	p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
	for _, id := range members[:3] {
		if err := p.Add(leadership.Acceptance{Node: id, Term: t7, Leader: "n1"}); err != nil {
			t.Fatal(err)
		}
	}
	return must[*leadership.Installed](t)(p.Installed())
}

// journal notes what happens in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func (j *journal) index(s string) int { return slices.Index(j.all(), s) }

// node does what its fields say; nil fields do as a good node does, at once.
type node struct {
	id      leadership.NodeID
	j       *journal
	catchUp func(ctx context.Context, donor leadership.NodeID, pos leadership.Position) error
	install func(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error)
	grant   func(ctx context.Context, t leadership.Term) error
	follow  func(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error)
	repair  func(ctx context.Context, t leadership.Term, from leadership.NodeID) error
}

func (n *node) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	n.j.add("catch up " + string(n.id) + " from " + string(donor) + " to " + pos.String() + " at " + t.String())
	if n.catchUp != nil {
		return n.catchUp(ctx, donor, pos)
	}
	return nil
}

func (n *node) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	n.j.add("install " + string(n.id))
	if n.install != nil {
		return n.install(ctx, m)
	}
	return leadership.Acceptance{Node: n.id, Term: m.Term, Leader: m.Leader}, nil
}

func (n *node) Grant(ctx context.Context, t leadership.Term) error {
	n.j.add("grant " + string(n.id) + " " + t.String())
	if n.grant != nil {
		return n.grant(ctx, t)
	}
	return nil
}

func (n *node) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	n.j.add("follow " + string(n.id))
	if n.follow != nil {
		return n.follow(ctx, t, leader)
	}
	return leadership.Acceptance{Node: n.id, Term: t, Leader: leader}, nil
}

func (n *node) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	n.j.add("repair " + string(n.id) + " from " + string(from))
	if n.repair != nil {
		return n.repair(ctx, t, from)
	}
	return nil
}

// cluster is n1 to n5 and the journal they write.
type cluster struct {
	n map[leadership.NodeID]*node
	j *journal
}

func newCluster() cluster {
	c := cluster{n: map[leadership.NodeID]*node{}, j: &journal{}}
	for _, id := range members {
		c.n[id] = &node{id: id, j: c.j}
	}
	return c
}

func (c cluster) maps() (map[leadership.NodeID]establish.Candidate, map[leadership.NodeID]establish.Follower) {
	cs, fs := map[leadership.NodeID]establish.Candidate{}, map[leadership.NodeID]establish.Follower{}
	for id, n := range c.n {
		cs[id], fs[id] = n, n
	}
	return cs, fs
}

func (c cluster) proposal(t testing.TB, opt establish.Options) *establish.Nodes {
	cs, fs := c.maps()
	return must[*establish.Nodes](t)(establish.NewProposal(cs, fs, opt))
}

func (c cluster) source(t testing.TB, opt establish.Options, repair ...leadership.NodeID) *establish.Nodes {
	cs, fs := c.maps()
	rs := map[leadership.NodeID]establish.Repairer{}
	for _, id := range repair {
		rs[id] = c.n[id]
	}
	return must[*establish.Nodes](t)(establish.NewSource(cs, fs, rs, opt))
}

// accepted collects acceptances.
type accepted struct {
	mu  sync.Mutex
	ids []leadership.NodeID
}

func (a *accepted) report(acc leadership.Acceptance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, acc.Node)
	slices.Sort(a.ids)
}
