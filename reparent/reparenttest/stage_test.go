package reparenttest

import (
	"context"
	"errors"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// stage is a world whose nodes are what a test says, step by step.
type stage struct {
	t   *testing.T
	w   *world
	sim *stepsim.Sim
	of  map[leadership.NodeID]*puppet
	got string // the first violation
}

type puppet struct{ f Facts }

func (p *puppet) Facts() Facts { return p.f }

var errMute = errors.New("mute")

func (*puppet) Status(context.Context) (leadership.Status, error) {
	return leadership.Status{}, errMute
}

func (*puppet) Promise(context.Context, leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, errMute
}
func (*puppet) Append(context.Context, uint64) error   { return errMute }
func (*puppet) Read(context.Context) ([]uint64, error) { return nil, errMute }

// newStage has size nodes of which the first leads under term 1 by a majority,
// with its marker everywhere and completed.
func newStage(t *testing.T, size int) *stage {
	s := &stage{t: t, sim: stepsim.New(stepsim.Quiet(), stepsim.Faults{}), of: map[leadership.NodeID]*puppet{}}
	t.Cleanup(s.sim.Close)
	h := Harness{Boot: func(h *Host) (Node, error) {
		p := s.of[h.ID]
		if p == nil {
			p = &puppet{}
			s.of[h.ID] = p
		}
		return Node{Node: reparent.Node{Status: p, Promise: p}, Client: p, Inspect: p}, nil
	}}
	w, err := newWorld(s.sim, h, size, leadership.Majority())
	if err != nil {
		t.Fatal(err)
	}
	s.w = w
	for _, p := range s.of {
		p.f.Promised, p.f.Source = term(1), led("n1", 1)
	}
	s.installing("n1", 1)
	for _, p := range s.of {
		p.f.Log = []Entry{s.marker("n1", 1)}
	}
	s.step()
	s.of["n1"].f.Leads = term(1)
	s.tell("n1", Event{Kind: Granted, Leadership: led("n1", 1)})
	s.step()
	s.completes("n1", 1, 1)
	s.step()
	if s.got != "" {
		t.Fatalf("the opening is not legal: %s: %v", s.got, s.w.err)
	}
	return s
}

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c"} }

func led(id leadership.NodeID, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: id, Term: term(n)}
}

func (s *stage) marker(id leadership.NodeID, n uint64) Entry {
	return Entry{Term: term(n), Marker: &leadership.Marker{Term: term(n), Leader: id, Ruleset: s.w.ruleset}}
}

func value(n, v uint64) Entry { return Entry{Term: term(n), Value: v} }

// step is a quiescent point.
func (s *stage) step() {
	if err := s.w.check(); err != nil && s.got == "" {
		s.got = violated(err)
	}
}

func (s *stage) tell(id leadership.NodeID, e Event) {
	e.Node = id
	s.w.saw(e)
}

func (s *stage) promise(n uint64, ids ...leadership.NodeID) {
	for _, id := range ids {
		s.of[id].f.Promised, s.of[id].f.Source = term(n), leadership.Leadership{}
	}
	s.step()
}

func (s *stage) log(id leadership.NodeID, es ...Entry) {
	s.of[id].f.Log = es
	s.step()
}

// puts adds an entry to logs.
func (s *stage) puts(e Entry, ids ...leadership.NodeID) {
	for _, id := range ids {
		f := &s.of[id].f
		f.Log = append(f.Log[:len(f.Log):len(f.Log)], e)
	}
	s.step()
}

func (s *stage) installing(id leadership.NodeID, n uint64) {
	s.tell(id, Event{Kind: Installing, Leadership: led(id, n), Marker: s.marker(id, n).Marker})
	s.step()
}

// over has n2 put down a marker of term 2 that keeps two rulesets, and then one of
// term 3 that keeps the first alone.
func (s *stage) over(rs, before leadership.Ruleset) {
	s.w.reforms = true
	for n := uint64(2); n <= 3; n++ {
		m := leadership.Marker{Term: term(n), Leader: "n2", Ruleset: rs}
		if n == 2 {
			m.Over = []leadership.Ruleset{before}
		}
		s.promise(n, "n2", "n3")
		s.tell("n2", Event{Kind: Installing, Leadership: led("n2", n), Marker: &m})
		s.step()
		s.puts(Entry{Term: term(n), Marker: &m}, "n2", "n3")
	}
}

func (s *stage) completes(id leadership.NodeID, n uint64, index int) {
	s.tell(id, Event{Kind: Completed, Leadership: led(id, n), Index: index, Entry: s.of[id].f.Log[index-1]})
	s.step()
}

func (s *stage) testifies(id leadership.NodeID, n uint64, kind EventKind, at []Entry) {
	pos := positionOf(at)
	t := leadership.Testimony{Node: id, Term: term(n), Kind: leadership.Promised, Read: &pos}
	s.tell(id, Event{Kind: kind, Testimony: &t})
	s.w.heard = append(s.w.heard, t)
	s.step()
}

// replaced makes n2 leader of term 2 with what it has, the others not asked.
func (s *stage) replaced() {
	s.promise(2, "n2", "n3")
	s.installing("n2", 2)
	s.puts(s.marker("n2", 2), "n2")
	s.log("n3", s.of["n2"].f.Log...)
	s.of["n2"].f.Leads = term(2)
	s.tell("n2", Event{Kind: Granted, Leadership: led("n2", 2)})
	s.step()
}

// rewound drops all that a node has, which it notes before.
func (s *stage) rewound(id leadership.NodeID) {
	s.of[id].f.Floor = true
	s.step()
	s.log(id)
}

func (s *stage) records(rs ...leadership.Record) {
	for i, r := range rs {
		if r.Version == 0 {
			r.Version = uint64(i + 1)
		}
		s.w.recorded(r)
		s.step()
	}
}

// relays has n2 take over by itself from n1, which stepped down. What n2 says of its
// own log is heard by no coordinator.
func (s *stage) relays(own []Entry) {
	s.w.relayed[term(2)] = true
	s.promise(2, "n1", "n2")
	s.testifies("n1", 2, SteppedDown, s.of["n1"].f.Log)
	at := positionOf(own)
	s.tell("n2", Event{Kind: Promised, Testimony: &leadership.Testimony{Node: "n2", Term: term(2), Kind: leadership.Promised, Read: &at}})
	s.step()
}

// twice has n2 say where its log ends before it promises, and again, with two
// more entries, when it did.
func (s *stage) twice() {
	first := positionOf(s.of["n2"].f.Log)
	s.w.heard = append(s.w.heard, leadership.Testimony{Node: "n2", Term: term(2), Kind: leadership.Statement, Read: &first})
	s.step()
	s.puts(value(1, 7), "n2")
	s.puts(value(1, 8), "n2")
	s.promise(2, "n2", "n3")
	s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
	s.testifies("n3", 2, Promised, s.of["n3"].f.Log)
}

// again begins the installation of n2 twice, with something in between.
func (s *stage) again(between func()) {
	s.promise(2, "n2", "n3")
	s.installing("n2", 2)
	between()
	s.installing("n2", 2)
}

// rules makes n1 leader of term 2 under another ruleset, which is decided.
func (s *stage) rules(rs leadership.Ruleset) {
	s.w.reforms = true
	s.promise(2, "n1", "n2", "n3")
	m := leadership.Marker{Term: term(2), Leader: "n1", Ruleset: rs, Over: []leadership.Ruleset{s.w.ruleset}}
	s.tell("n1", Event{Kind: Installing, Leadership: led("n1", 2), Marker: &m})
	s.step()
	s.puts(Entry{Term: term(2), Marker: &m}, "n1", "n2", "n3")
	s.completes("n1", 2, 2)
}

// shrink leaves n1 and n2 members.
func (s *stage) shrink() {
	rs := s.w.ruleset
	rs.Members = rs.Members[:2]
	s.rules(rs)
}

// tighten has every member confirm.
func (s *stage) tighten() {
	rs := s.w.ruleset
	rs.Policy = "all"
	s.rules(rs)
}
