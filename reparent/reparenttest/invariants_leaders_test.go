package reparenttest

import "github.com/tenure-go/tenure/leadership"

// leaderFirings are about who may lead, complete and be recorded.
func leaderFirings() []firing {
	return []firing{
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
		{"one term for two", "I7", func(s *stage) {
			s.promise(2, "n1", "n2", "n3")
			s.installing("n2", 2)
			s.installing("n3", 2)
		}, func(s *stage) {
			s.promise(2, "n1", "n2", "n3")
			s.installing("n2", 2)
			s.installing("n2", 2)
		}},
		{"one term for two logs", "I7", func(s *stage) {
			s.again(func() { s.puts(value(1, 7), "n2") })
		}, func(s *stage) { // its marker was not written, and another attempt had it catch up
			s.again(func() {
				s.w.copying("n2", term(4))
				s.puts(value(1, 7), "n2")
			})
		}},
		{"one term for two logs, whoever had it catch up", "I7", func(s *stage) {
			s.w.excuse("I10", "I13")
			s.again(func() {
				s.w.copying("n2", term(4))
				s.puts(s.marker("n2", 2), "n2")
				s.log("n2", s.of["n1"].f.Log[0], value(1, 7))
			})
		}, func(s *stage) {
			s.again(func() { s.puts(s.marker("n2", 2), "n2") })
		}},
		{"one term for two, as activated", "I7", func(s *stage) {
			s.records(leadership.Record{Fence: term(2), Active: led("n1", 2)}, leadership.Record{Fence: term(2), Active: led("n2", 2)})
		}, func(s *stage) {
			s.records(leadership.Record{Fence: term(2), Active: led("n1", 2)}, leadership.Record{Fence: term(2), Active: led("n1", 2), Addr: "a"})
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
	}
}
