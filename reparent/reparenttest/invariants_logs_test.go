package reparenttest

// logFirings are about what is in logs, and what becomes of it.
func logFirings() []firing {
	return []firing{
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
		{"completed on too few", "I22", func(s *stage) {
			s.puts(value(1, 7), "n1")
			s.completes("n1", 1, 2)
		}, func(s *stage) { // one that had it and lost it since to a repair
			s.puts(value(1, 7), "n1", "n2")
			s.rewound("n2")
			s.completes("n1", 1, 2)
		}},
		{"completed on too few, some of which are no members", "I20", func(s *stage) {
			s.shrink()
			s.puts(value(2, 7), "n1", "n3")
			s.completes("n1", 2, 3)
		}, func(s *stage) {
			s.shrink()
			s.puts(value(2, 7), "n1", "n2", "n3")
			s.completes("n1", 2, 3)
		}},
		{"completed on enough for the ruleset that was, and too few for the one that is", "I22", func(s *stage) {
			s.tighten()
			s.puts(value(2, 7), "n1", "n2")
			s.completes("n1", 2, 3)
		}, func(s *stage) {
			s.tighten()
			s.puts(value(2, 7), "n1", "n2", "n3")
			s.completes("n1", 2, 3)
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
	}
}
