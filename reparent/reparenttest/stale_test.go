package reparenttest

import (
	"context"
	"slices"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// staleView gives one coordinator the registry as it was when the coordinator
// came up: it never sees what others write.
func staleView(name string) Harness {
	return viewed(func(p *Process) {
		if p.Name != name {
			return
		}
		c := &copied{Registry: p.w.reg}
		_, _ = c.mine(context.Background())
		p.Registry = c
	})
}

// stepsDownOutOfSight has a leader step down for another, and then a rival that
// knows only the old one, and reaches it and a node that never heard of the
// new.
func stepsDownOutOfSight() scenario {
	return scenario{
		name: "leader_is_taken_from_a_view_that_is_out_of_date", size: 4, policy: leadership.AtLeast(2), mode: leadership.Shortcut,
		script: func(s *script) {
			stale := s.coordinator("stale")
			a := s.coordinator("a")
			s.apart("n4", append(s.procs("n2"), a.p)...)
			a.do(reparent.Planned("n2")).ends(reparent.Done)
			s.apart("n2", stale.p)
			s.apart("n3", stale.p)
			e := reparent.Emergency()
			e.To, e.Force = "n4", true
			stale.do(e)
			s.write("n2").wait()
		},
	}
}

func TestALeaderTakenFromAViewThatIsOutOfDateIsFound(t *testing.T) {
	t.Parallel()
	sc := stepsDownOutOfSight()
	if seed, err := sc.plays(t, LogStore(), 40); err != nil {
		t.Errorf("with a registry that is up to date, seed %d: %v", seed, err)
	}
	seed, err := sc.plays(t, staleView("stale"), 40)
	if err == nil {
		t.Fatal("not found")
	}
	t.Logf("seed %d: %v", seed, err)
	if name := violated(err); !slices.Contains([]string{"I1", "I2", "I5", "I13", "I17"}, name) {
		t.Errorf("found as %s", name)
	}
}
