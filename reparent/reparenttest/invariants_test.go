package reparenttest

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// stage is a world whose nodes are what a test says, step by step.
type stage struct {
	t   *testing.T
	w   *World
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

// Each check fires on what it is for, and is silent on the nearest legal thing.
func TestEachInvariantFiresAndItsNearMissDoesNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, id string
		play     func(s *stage)
		near     func(s *stage)
	}{
		{"two leaders can complete", "I1", func(s *stage) {
			s.replaced()
			s.of["n3"].f.Promised, s.of["n3"].f.Source = term(2), led("n2", 2)
			s.w.excuse("I6", "I8", "I15")
			s.promise(1, "n3")
		}, (*stage).replaced},
		{"two leaders can complete, one of them with a node that is down", "I1", func(s *stage) {
			s.replaced()
			s.w.hosts["n3"].proc.Crash()
			s.w.excuse("I6", "I8", "I15")
			s.promise(1, "n3")
		}, func(s *stage) {
			s.replaced()
			s.w.hosts["n1"].proc.Crash()
			s.w.excuse("I6", "I8", "I15")
			s.promise(1, "n3")
		}},
		{"late completion of what the successor has not", "I1b", func(s *stage) {
			s.puts(value(1, 7), "n1")
			s.replaced()
			s.w.excuse("I22")
			s.completes("n1", 1, 2)
		}, func(s *stage) {
			s.puts(value(1, 7), "n1", "n2") // and the acknowledgement is under way
			s.replaced()
			s.completes("n1", 1, 2)
		}},
		{"installed without what was completed", "I2", func(s *stage) {
			s.puts(value(1, 7), "n1", "n3")
			s.completes("n1", 1, 2)
			s.replaced()
		}, func(s *stage) { // a late installation of a lower term misses newer completions
			s.promise(3, "n2", "n3")
			s.installing("n2", 3)
			s.puts(s.marker("n2", 3), "n2", "n3")
			s.completes("n2", 3, 2)
			s.promise(2, "n1")
			s.installing("n1", 2)
		}},
		{"two entries at one index", "I3", func(s *stage) {
			s.replaced()
			s.completes("n2", 2, 2)
			s.w.excuse("I1b", "I22", "I10")
			s.puts(value(1, 9), "n1")
			s.completes("n1", 1, 2)
		}, func(s *stage) {
			s.replaced()
			s.completes("n2", 2, 1)
			s.completes("n2", 2, 2)
			s.completes("n2", 2, 2)
		}},
		{"a gap", "I4", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.puts(value(1, 8), "n1", "n2")
			s.completes("n1", 1, 3)
		}, func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.puts(value(1, 8), "n1", "n2")
			s.completes("n1", 1, 2)
			s.completes("n1", 1, 3)
		}},
		{"a value twice", "I4", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.puts(value(1, 7), "n1", "n2")
			s.completes("n1", 1, 2)
			s.completes("n1", 1, 3)
		}, func(s *stage) {}},
		{"installed while others could complete", "I5", func(s *stage) {
			s.promise(2, "n2")
			s.installing("n2", 2)
		}, func(s *stage) { // the old leader was not reached, and need not be
			s.promise(2, "n2", "n3")
			s.installing("n2", 2)
		}},
		{"while rulesets change, installed while a leader could complete", "I5", func(s *stage) {
			s.w.reforms = true
			s.promise(2, "n2")
			s.installing("n2", 2)
		}, func(s *stage) {
			s.w.reforms = true
			s.promise(2, "n2", "n3")
			s.installing("n2", 2)
		}},
		{"a promise falls", "I6", func(s *stage) {
			s.promise(3, "n2")
			s.promise(2, "n2")
		}, func(s *stage) {
			s.promise(2, "n2")
			s.promise(3, "n2")
		}},
		{"a promise is answered before it is on disk", "I6", func(s *stage) {
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
		}, func(s *stage) {
			s.promise(2, "n2")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
		}},
		{"a node without an inspector answers less than before", "I6", func(s *stage) {
			s.w.hosts["n2"].node.Inspect, s.w.looks[1].known = nil, false
			s.testifies("n2", 3, Promised, nil)
			s.testifies("n2", 2, Promised, nil)
		}, func(s *stage) { // with another disk it is another node
			s.w.hosts["n2"].node.Inspect, s.w.looks[1].known = nil, false
			s.testifies("n2", 3, Promised, nil)
			s.tell("n2", Event{Kind: Promised, Testimony: &leadership.Testimony{Node: "n2", Incarnation: "new", Term: term(2), Kind: leadership.Promised}})
			s.step()
		}},
		{"one term for two", "I7", func(s *stage) {
			s.promise(2, "n1", "n2", "n3")
			s.installing("n2", 2)
			s.installing("n3", 2)
		}, func(s *stage) {
			s.promise(2, "n1", "n2", "n3")
			s.installing("n2", 2)
			s.installing("n2", 2)
		}},
		{"one term for two, as activated", "I7", func(s *stage) {
			s.records(leadership.Record{Fence: term(2), Active: led("n1", 2)}, leadership.Record{Fence: term(2), Active: led("n2", 2)})
		}, func(s *stage) {
			s.records(leadership.Record{Fence: term(2), Active: led("n1", 2)}, leadership.Record{Fence: term(2), Active: led("n1", 2), Addr: "a"})
		}},
		{"accepted below the promise", "I8", func(s *stage) {
			s.promise(2, "n2")
			s.tell("n2", Event{Kind: Accepted, Leadership: led("n1", 1), Index: 1})
			s.step()
		}, func(s *stage) { // in the step in which it promised more, before
			s.of["n2"].f.Promised = term(2)
			s.tell("n2", Event{Kind: Accepted, Leadership: led("n1", 1), Index: 1})
			s.step()
		}},
		{"an entry above the promise", "I8", func(s *stage) { s.puts(value(2, 7), "n2") }, func(s *stage) {
			s.promise(2, "n2")
			s.puts(value(2, 7), "n2")
		}},
		{"two entries at one place", "I9", func(s *stage) {
			s.puts(value(1, 7), "n1")
			s.puts(value(1, 8), "n2")
		}, func(s *stage) { // of two terms
			s.puts(value(1, 7), "n1")
			s.promise(2, "n2")
			s.puts(value(2, 8), "n2")
		}},
		{"terms fall along a log", "I9", func(s *stage) {
			s.promise(2, "n2")
			s.puts(value(2, 7), "n2")
			s.puts(value(1, 8), "n2")
		}, func(s *stage) {
			s.promise(2, "n2")
			s.puts(value(1, 7), "n2")
			s.puts(value(2, 8), "n2")
		}},
		{"a later log lacks what was completed", "I10", func(s *stage) {
			s.puts(value(1, 7), "n1", "n3")
			s.completes("n1", 1, 2)
			s.promise(2, "n2")
			s.puts(value(2, 8), "n2")
		}, func(s *stage) { // a log of the same term may lag
			s.puts(value(1, 7), "n1", "n3")
			s.completes("n1", 1, 2)
			s.promise(2, "n2")
		}},
		{"granted before its marker is durable", "I11", func(s *stage) {
			s.promise(2, "n2", "n3")
			s.installing("n2", 2)
			s.puts(s.marker("n2", 2), "n2")
			s.tell("n2", Event{Kind: Granted, Leadership: led("n2", 2)})
			s.step()
		}, (*stage).replaced},
		{"an older entry is completed before the marker is durable", "I11", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2", "n3")
			s.promise(2, "n2", "n3")
			s.installing("n2", 2)
			s.puts(s.marker("n2", 2), "n2")
			s.completes("n2", 2, 2)
		}, func(s *stage) {
			s.puts(value(1, 7), "n1", "n2", "n3")
			s.replaced()
			s.completes("n2", 2, 2)
		}},
		{"a completed entry is replaced", "I12", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.completes("n1", 1, 2)
			s.promise(2, "n2")
			s.w.excuse("I10")
			s.log("n2", s.of["n1"].f.Log[0], value(2, 8))
		}, func(s *stage) { // a tail that was not
			s.puts(value(1, 7), "n2")
			s.promise(2, "n2")
			s.log("n2", s.of["n1"].f.Log[0], value(2, 8))
		}},
		{"what was refused is completed", "I12", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.w.told = append(s.w.told, reply{7, refused})
			s.step()
			s.completes("n1", 1, 2)
		}, func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.w.told = append(s.w.told, reply{7, unknown})
			s.step()
			s.completes("n1", 1, 2)
		}},
		{"what nobody completed is acknowledged", "I12", func(s *stage) {
			s.w.told = append(s.w.told, reply{7, acknowledged})
			s.step()
		}, func(s *stage) { // in one step
			s.of["n1"].f.Log = append(s.of["n1"].f.Log[:1:1], value(1, 7))
			s.of["n2"].f.Log = s.of["n1"].f.Log
			s.tell("n1", Event{Kind: Completed, Leadership: led("n1", 1), Index: 2, Entry: value(1, 7)})
			s.w.told = append(s.w.told, reply{7, acknowledged})
			s.step()
		}},
		{"read before the block", "I13", func(s *stage) {
			early := s.of["n2"].f.Log
			s.puts(value(1, 7), "n2")
			s.promise(2, "n2")
			s.testifies("n2", 2, Promised, early)
		}, func(s *stage) {
			s.puts(value(1, 7), "n2")
			s.promise(2, "n2")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
		}},
		{"another log than the best of those that were read", "I13", func(s *stage) {
			s.puts(value(1, 7), "n3")
			s.promise(2, "n2", "n3")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
			s.testifies("n3", 2, Promised, s.of["n3"].f.Log)
			s.installing("n2", 2)
		}, func(s *stage) { // one that was read and came too late to be needed
			s.puts(value(1, 7), "n3")
			s.promise(2, "n1", "n2", "n3")
			s.testifies("n1", 2, Promised, s.of["n1"].f.Log)
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
			s.testifies("n3", 2, Promised, s.of["n3"].f.Log)
			s.installing("n2", 2)
		}},
		{"a log that nobody reported", "I13", func(s *stage) {
			s.promise(2, "n2", "n3")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
			s.testifies("n3", 2, Promised, s.of["n3"].f.Log)
			s.puts(value(2, 7), "n2")
			s.installing("n2", 2)
		}, func(s *stage) {}},
		{"a ruleset that may be in force is left out", "I14", func(s *stage) {
			s.w.reforms = true
			other := s.w.ruleset
			other.Policy = "all"
			s.promise(2, "n2", "n3")
			s.tell("n2", Event{Kind: Installing, Leadership: led("n2", 2), Marker: &leadership.Marker{Term: term(2), Leader: "n2", Ruleset: other}})
			s.step()
		}, func(s *stage) {
			s.w.reforms = true
			other := s.w.ruleset
			other.Policy = "all"
			s.promise(2, "n2", "n3")
			s.tell("n2", Event{Kind: Installing, Leadership: led("n2", 2), Marker: &leadership.Marker{Term: term(2), Leader: "n2", Ruleset: other, Over: []leadership.Ruleset{s.w.ruleset}}})
			s.step()
		}},
		{"a counted promise is gone", "I15", func(s *stage) {
			s.promise(2, "n2")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
			s.promise(1, "n2")
		}, func(s *stage) { // with its disk, and it takes no part
			s.promise(2, "n2")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
			s.of["n2"].f = Facts{Out: true}
			s.step()
		}},
		{"an isolated node is let go and has not promised", "I15", func(s *stage) {
			s.tell("n1", Event{Kind: Isolated, Leadership: led("n2", 2)})
			s.step()
			s.tell("n1", Event{Kind: Released})
			s.step()
		}, func(s *stage) {
			s.tell("n1", Event{Kind: Isolated, Leadership: led("n2", 2)})
			s.promise(2, "n1")
			s.tell("n1", Event{Kind: Released})
			s.step()
		}},
		{"the record lets an isolated node go that has not promised", "I15", func(s *stage) {
			s.records(leadership.Record{Fence: term(2), Held: []leadership.Isolation{{Node: "n1", Term: term(2)}}}, leadership.Record{Fence: term(2)})
		}, func(s *stage) {
			s.promise(2, "n1")
			s.records(leadership.Record{Fence: term(2), Held: []leadership.Isolation{{Node: "n1", Term: term(2)}}}, leadership.Record{Fence: term(2)})
		}},
		{"discarded without a floor", "I16", func(s *stage) { s.log("n2") }, func(s *stage) { s.rewound("n2") }},
		{"a node below its floor is evidence", "I16", func(s *stage) {
			s.rewound("n2")
			s.promise(2, "n2")
			s.testifies("n2", 2, Promised, s.of["n2"].f.Log)
		}, func(s *stage) {
			s.rewound("n2")
			s.promise(2, "n2")
			pos := positionOf(s.of["n2"].f.Log)
			s.tell("n2", Event{Kind: Promised, Testimony: &leadership.Testimony{Node: "n2", Term: term(2), Kind: leadership.Promised, Read: &pos, BelowFloor: true}})
			s.step()
		}},
		{"a node below its floor is a candidate", "I16", func(s *stage) {
			s.rewound("n2")
			s.w.excuse("I2")
			s.promise(2, "n2", "n3")
			s.installing("n2", 2)
		}, func(s *stage) {
			s.rewound("n3")
			s.promise(2, "n2", "n3")
			s.installing("n2", 2)
		}},
		{"the fence falls", "I17", func(s *stage) {
			s.records(leadership.Record{Fence: term(3)}, leadership.Record{Fence: term(2)})
		}, func(s *stage) {
			s.records(leadership.Record{Fence: term(2)}, leadership.Record{Fence: term(2)}, leadership.Record{Fence: term(3)})
		}},
		{"a record is written twice", "I17", func(s *stage) {
			s.records(leadership.Record{Version: 1}, leadership.Record{Version: 1, Addr: "b"})
		}, func(s *stage) {}},
		{"an accepted record is not seen", "I17", func(s *stage) {
			s.w.wrote(2)
			s.step()
			s.w.loading()(leadership.Record{Version: 1}, nil)
			s.step()
		}, func(s *stage) { // of a load that began before
			done := s.w.loading()
			s.w.wrote(2)
			s.step()
			done(leadership.Record{Version: 1}, nil)
			s.step()
		}},
		{"a lease outlives its leadership", "I18", func(s *stage) {
			s.replaced()
			s.tell("n1", Event{Kind: LeaseRead, Leadership: led("n1", 1)})
			s.step()
		}, func(s *stage) {
			s.tell("n1", Event{Kind: LeaseRead, Leadership: led("n1", 1)})
			s.replaced()
			s.tell("n2", Event{Kind: LeaseRead, Leadership: led("n2", 2)})
			s.step()
		}},
		{"completed after a step-down", "I19", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.promise(2, "n1")
			s.testifies("n1", 2, SteppedDown, s.of["n1"].f.Log)
			s.completes("n1", 1, 2)
		}, func(s *stage) { // just before
			s.puts(value(1, 7), "n1", "n2")
			s.promise(2, "n1")
			s.completes("n1", 1, 2)
			s.testifies("n1", 2, SteppedDown, s.of["n1"].f.Log)
		}},
		{"completed on too few", "I22", func(s *stage) {
			s.puts(value(1, 7), "n1")
			s.completes("n1", 1, 2)
		}, func(s *stage) { // one that had it and lost it since to a repair
			s.puts(value(1, 7), "n1", "n2")
			s.rewound("n2")
			s.completes("n1", 1, 2)
		}},
		{"taken for completed too early", "I21", func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.of["n2"].f.Completed = 2
			s.step()
		}, func(s *stage) {
			s.puts(value(1, 7), "n1", "n2")
			s.completes("n1", 1, 2)
			s.of["n2"].f.Completed = 2
			s.step()
		}},
	} {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			s := newStage(t, 3)
			c.play(s)
			if s.got != c.id {
				t.Errorf("%q, %v", s.got, s.w.err)
			}
			s = newStage(t, 3)
			c.near(s)
			if s.got != "" {
				t.Errorf("the near miss: %v", s.w.err)
			}
		})
	}
}

func TestI20_AnObserverMakesNothingDurable(t *testing.T) {
	t.Parallel()
	for holder, want := range map[leadership.NodeID]string{"n4": "I20", "n2": ""} {
		s := newStage(t, 4)
		rs := s.w.ruleset
		rs.Members = rs.Members[:3]
		s.w.reforms = true
		s.promise(2, "n1", "n2", "n3")
		m := leadership.Marker{Term: term(2), Leader: "n1", Ruleset: rs, Over: []leadership.Ruleset{s.w.ruleset}}
		s.tell("n1", Event{Kind: Installing, Leadership: led("n1", 2), Marker: &m})
		s.step()
		s.puts(Entry{Term: term(2), Marker: &m}, "n1", "n2", "n3")
		s.completes("n1", 2, 2)
		s.promise(2, "n4")
		s.puts(Entry{Term: term(2), Marker: &m}, "n4")
		s.puts(value(2, 7), "n1", holder)
		s.completes("n1", 2, 3)
		if s.got != want {
			t.Errorf("held by %s: %q, %v", holder, s.got, s.w.err)
		}
	}
}

func TestG9_AReportThatIsNotTrueIsFound(t *testing.T) {
	t.Parallel()
	granted, promised := map[leadership.Term]bool{term(2): true}, map[leadership.Term]bool{term(3): true}
	for _, c := range []struct {
		r    reparent.Report
		lies bool
	}{
		{reparent.Report{Term: term(2), Outcome: reparent.Done}, false},
		{reparent.Report{Term: term(3), Outcome: reparent.Done}, true},
		{reparent.Report{Term: term(2), Outcome: reparent.Done, Err: errMute}, true},
		{reparent.Report{Term: term(3), Outcome: reparent.NotStarted, Err: errMute}, true},
		{reparent.Report{Term: term(4), Outcome: reparent.NotStarted, Err: errMute}, false},
		{reparent.Report{Term: term(4), Outcome: reparent.NotStarted}, true},
		{reparent.Report{Term: term(3), Outcome: reparent.Restored, Err: errMute}, true},
		{reparent.Report{Term: term(3), Outcome: reparent.Restored, Err: errMute, Undo: &reparent.Report{Term: term(2)}}, false},
		{reparent.Report{Term: term(2), Outcome: reparent.Superseded, Err: errMute}, true},
		{reparent.Report{Term: term(2), Outcome: reparent.Superseded, Err: errMute, Failed: reparent.StepGrant}, false},
		{reparent.Report{Term: term(2), Outcome: reparent.Unknown, Err: errMute}, false},
	} {
		if says := untrue(&c.r, granted, promised); (says != "") != c.lies {
			t.Errorf("%+v: %q", c.r, says)
		}
	}
}

func TestL4_AStallWithoutAReasonIsFound(t *testing.T) {
	t.Parallel()
	w := &World{}
	for _, c := range []struct {
		err error
		ok  bool
	}{
		{&leadership.NotRevokedError{Term: term(2), Counter: leadership.CounterExample{Leader: "n1", Could: []leadership.NodeID{"n1", "n3"}}}, true},
		{&leadership.NotRevokedError{Term: term(2)}, false},
		{&leadership.NotDiscoveredError{Term: term(2)}, false},
		{&leadership.NotDurableError{Term: term(2), Missing: []leadership.NodeID{"n3"}}, true},
		{&leadership.NotDurableError{Term: term(2)}, false},
		{&leadership.NotReadyError{Node: "n2"}, false},
	} {
		err := w.named(&reparent.Report{Outcome: reparent.Incomplete, Failed: reparent.StepGrant, Err: c.err})
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

func TestEveryInvariantServesAGuarantee(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	table, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for g := range guarantees {
		var by []string
		for _, i := range Invariants() {
			if slices.Contains(i.Serves, g) {
				by = append(by, i.Name)
			}
		}
		if row := strings.Join(by, " "); row != "" && !regexp.MustCompile(`(?m)^//\t`+g+` .* `+row+`$`).Match(table) {
			t.Errorf("the table in doc.go should end the row of %s with %q", g, row)
		}
	}
	for _, i := range Invariants() {
		if seen[i.Name] {
			t.Errorf("%s is there twice", i.Name)
		}
		seen[i.Name] = true
		if i.Says == "" || i.From == "" || len(i.Serves) == 0 {
			t.Errorf("%+v", i)
		}
		for _, g := range i.Serves {
			if guarantees[g] == "" {
				t.Errorf("%s serves %s, which is none", i.Name, g)
			}
		}
		if (&Violation{Name: i.Name}).rule() == "" {
			t.Errorf("%s is not explained", i.Name)
		}
	}
}
