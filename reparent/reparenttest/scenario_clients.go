package reparenttest

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// clientStories are about requests and their answers around a change.
func clientStories() []scenario {
	return []scenario{
		{
			name: "client/on_a_stale_route", covers: []string{"37"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				s.hold("req a>registry swap") // routing is late, in its last writes
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				for !d.over && s.leader().Leader == "n1" {
					s.free()
					s.let(1e6)
					s.hold("req a>registry swap")
				}
				w, r := s.write("n1").wait(), s.reads("n1").wait()
				s.demand(w.err != nil || s.leader().Leader == "n1", "n1 acknowledged a write after n2 was granted")
				s.demand(r.err != nil || s.leader().Leader == "n1", "n1 confirmed a read after n2 was granted")
				if s.variant == 1 {
					s.coordinator("b").do(reparent.Emergency())
				}
				s.free()
				d.wait()
			},
		},
		{
			name: "client/cannot_tell_and_asks_the_next_leader", covers: []string{"41"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				// The value reaches a follower, or none; its client is told
				// that nobody knows. Then a read at the next leader says, and
				// every later one agrees.
				s.hold("rep *>n1 entries")
				if s.variant == 1 {
					s.hold("req n1>* entries")
				}
				w := s.write("n1")
				s.let(5e6)
				reached := s.has("n2", w) || s.has("n3", w) // it may be late
				s.coordinator("a").do(reparent.Emergency())
				w.wait()
				s.demand(!leadership.NotExecuted(w.err) || !reached, "what a follower has was refused as not executed: %v", w.err)
				s.demand(reached == (s.variant == 0) || !s.quiet, "a follower has the value: %t", reached)
				l := s.leader().Leader
				s.reads(l).wait()
				s.wrote(l, 3)
				s.free()
				s.let(1e8)
				s.reads(l).wait()
				s.coordinator("b").do(reparent.Planned("n3"))
				s.reads("n3").wait()
			},
		},
	}
}
