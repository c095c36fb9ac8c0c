package reparenttest

import "github.com/tenure-go/tenure/leadership"

// promiseFirings are about what nodes promise, and what is made of their word.
func promiseFirings() []firing {
	return []firing{
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
		{"a log that nobody reported, of a successor that takes over by itself", "I13", func(s *stage) {
			s.relays(s.of["n2"].f.Log)
			s.puts(value(2, 7), "n2")
			s.installing("n2", 2)
		}, func(s *stage) { // it has more than all others, and told nobody else
			s.puts(value(1, 7), "n2")
			s.relays(s.of["n2"].f.Log)
			s.installing("n2", 2)
		}},
		{"less than a node said last, and more than it said first", "I13", func(s *stage) {
			s.twice()
			s.log("n2", s.of["n1"].f.Log[0], value(1, 7))
			s.installing("n2", 2)
		}, func(s *stage) { // either of them is what it said
			s.twice()
			s.installing("n2", 2)
		}},
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
		{"what was in force before the last marker is left out", "I14", func(s *stage) {
			other := s.w.ruleset
			other.Version, other.Policy = 2, "all"
			s.over(other, s.w.ruleset)
		}, func(s *stage) { // its ruleset was completed before it
			other := s.w.ruleset
			other.Version, other.Policy = 2, "all"
			s.over(s.w.ruleset, other)
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
	}
}
