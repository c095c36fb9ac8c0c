package reparenttest

import (
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// calm makes of h one whose runs are three planned changes without a fault, and
// whose clients all go through a router.
func calm(h Harness, led bool) Harness {
	h.reshape = func(seed uint64, s *shape) {
		s.calm, s.clients, s.routers = true, nil, 3
		s.faults, s.dieAt, s.zombie, s.sleeper, s.regDies = stepsim.Faults{Reorder: true}, []int{-1}, false, false, false
		s.plans = [][]move{nil}
		for k := range 3 {
			m := move{change: reparent.Planned(nodeID((int(seed) + k) % s.size)), by: ownMechanism}
			if led {
				m.by, s.mode = byHandOver, leadership.Full
			}
			s.plans[0] = append(s.plans[0], m)
		}
		s.waits = []time.Duration{2*time.Microsecond + 7, 11, 0, 0}
	}
	return h
}

func TestG7_PlannedChangesCostClientsOfRoutersNoError(t *testing.T) {
	all := kinds()
	all["led by the leader"] = LogStore()
	for name, h := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h = calm(h, name == "led by the leader")
			tl := &tally{}
			h.pass(t, Features{}, tl, 1, 25)
			t.Log(tl)
			if tl.n["held"] == 0 {
				t.Error("no request was ever held")
			}
			if n := tl.n["a leader that took over by itself"]; (n > 0) != (name == "led by the leader") {
				t.Errorf("%d leaders took over by themselves", n)
			}
			if name == "led by the leader" && tl.n["catch-up of a candidate that was handed over to"] == 0 {
				t.Error("no candidate had to fetch what it was not given")
			}
		})
	}
}
