package change

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// In simulated time nothing takes any but the injected delays, so round trips are
// exact, up to when the writers happen to be ready: they are spread over a round
// trip, so that a gap may look a few hundredths longer, and by about one writer's
// share of it, 1/32, more.
const (
	exact  = 0.01
	spread = 0.15
)

// inTime runs trials of a side in simulated time.
func inTime(t *testing.T, name string, n int, delay time.Duration, far ...int) (out results) {
	t.Helper()
	i := slices.IndexFunc(sides(), func(s side) bool { return s.name == name })
	sd := sides()[i]
	open := sd.open
	sd.open = func(ctx context.Context, d time.Duration, n int) (cluster, error) {
		c, err := open(ctx, d, n)
		if err == nil {
			for _, host := range far {
				c.wireOf().move(host, 10*d)
			}
		}
		return c, err
	}
	synctest.Test(t, func(t *testing.T) {
		ss, err := trial(t.Context(), sd, setting{n, delay}, 3)
		if err != nil {
			t.Fatalf("%s, %d nodes: %v", name, n, err)
		}
		out = results{name: ss}
	})
	return out
}

// TestBarsInSimulatedTime holds what a change costs to round trips, for every size
// and both delays. hashicorp/raft is not here: its hand-over spins until the
// successor has acknowledged, and while a goroutine runs simulated time stands
// still.
func TestBarsInSimulatedTime(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5, 7} {
		for _, d := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
			const ledGap = simLedGap
			loose := spread
			if d < 5*time.Millisecond {
				loose = 0.5 // eight writers
			}
			for _, tt := range []struct {
				bar, side string
				of        func(sample) float64
				least     float64
				most      float64
			}{
				{"L1: gap", oursLed, gap, 0, ledGap + loose},
				{"L1: taking", oursLed, taking, ledGap, ledGap + loose},
				{"L1: gap, held", oursLedHeld, gap, 0, ledGap + loose},
				{"L2: gap", oursSuccessor, gap, 0, simSuccessorGap + loose},
				{"L2: taking", oursSuccessor, taking, simSuccessorGap, simSuccessorGap + loose},
				{"L2: event", oursSuccessor, event, simSuccessorCall, simSuccessorCall + exact},
				{"L2: gap", oursOutside, gap, 0, simOutsideGap + loose},
				{"L2: taking", oursOutside, taking, simOutsideGap, simOutsideGap + loose},
				{"L2: event", oursOutside, event, simOutsideCall, simOutsideCall + exact},
				{"L3: led by a coordinator", oursHeld, failed, 0, 0},
				{"L3: led by the leader", oursLedHeld, failed, 0, 0},
				{"L4", oursSilent, found, simFound, simFound + exact},
				{"L5", oursSilent, event, simSilent - 0.5, simSilent + exact},
				{"L7", oursReset, event, simReset, simReset + exact},
			} {
				t.Run(fmt.Sprintf("%s/%s, %d nodes, %v", tt.bar, tt.side, n, d), func(t *testing.T) {
					t.Parallel()
					for _, v := range inTime(t, tt.side, n, d).all(tt.side, tt.of) {
						if v < tt.least-exact || v > tt.most {
							t.Errorf("%.3f, want %.2f to %.2f", v, tt.least, tt.most)
						}
					}
				})
			}
		}
	}
}

// TestRatiosToEtcdInSimulatedTime holds the same changes beside etcd-io/raft's.
func TestRatiosToEtcdInSimulatedTime(t *testing.T) {
	t.Parallel()
	const d = 10 * time.Millisecond
	for _, n := range []int{3, 5} {
		for _, tt := range []struct {
			bar, ours, theirs string
			of                func(sample) float64
			most              float64
		}{
			{"L1", oursLed, etcdPlanned, gap, 0.30},
			{"L2", oursSuccessor, etcdPlanned, gap, 0.65},
			{"L2: event", oursSuccessor, etcdPlanned, event, 0.70},
			{"L2", oursOutside, etcdPlanned, gap, 0.65},
			{"L2: event", oursOutside, etcdPlanned, event, 0.70},
			{"L4", oursSilent, etcdSilent, found, 0.60},
			{"L7", oursReset, etcdReset, event, 0.75},
		} {
			t.Run(fmt.Sprintf("%s, %d nodes", tt.bar, n), func(t *testing.T) {
				t.Parallel()
				ours, theirs := inTime(t, tt.ours, n, d).median(tt.ours, tt.of), inTime(t, tt.theirs, n, d).median(tt.theirs, tt.of)
				if ratio := ours / theirs; ratio > tt.most {
					t.Errorf("%.2f RTT beside %.2f: %.2fx, want at most %.2fx", ours, theirs, ratio, tt.most)
				}
			})
		}
	}
}

// TestAMemberThatIsFarAwayCostsNothingWhileItIsNotNeeded puts one member of five
// ten times as far away as the others.
func TestAMemberThatIsFarAwayCostsNothingWhileItIsNotNeeded(t *testing.T) {
	t.Parallel()
	const d, far = 10 * time.Millisecond, 4
	for _, tt := range []struct {
		side string
		of   func(sample) float64
		most float64
	}{
		{oursLed, taking, simLedGap + spread},
		{oursSilent, found, simFound + exact},
		{oursReset, event, simReset + exact},
	} {
		t.Run(tt.side, func(t *testing.T) {
			t.Parallel()
			if v := inTime(t, tt.side, 5, d, far).median(tt.side, tt.of); v > tt.most {
				t.Errorf("%.2f RTT, want at most %.2f", v, tt.most)
			}
		})
	}
}
