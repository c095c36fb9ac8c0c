package reparent_test

import (
	"testing"
	"testing/synctest"
)

// A property that never failed proves nothing. Each of these rules, taken out
// of the simulated nodes, must be found by the same runs that find nothing
// otherwise.
func TestTheSimulationFindsEveryRuleThatIsTakenOut(t *testing.T) {
	for _, bug := range []struct {
		name string
		b    bugs
		kind traits
	}{
		{"the promise does not survive a restart", bugs{volatilePromise: true}, logTraits},
		{"a follower takes entries of any term", bugs{noTermCheck: true}, logTraits},
		{"the position is read before the block", bugs{earlyRead: true}, logTraits},
		// The own-term rule at the node is not in this list: nothing is granted
		// before its marker is durable, so without it nothing more can happen.
		{"a follower says that it has the marker before it has", bugs{falseAccept: true}, logTraits},
		{"the leader completes with one copy less than the policy", bugs{anyAck: true}, logTraits},
		{"what may have happened is reported as refused", bugs{lateRefusal: true}, logTraits},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			reached := &sometimes{}
			for x := uint64(1); x <= 3000; x++ {
				var found error
				synctest.Test(t, func(*testing.T) { _, found = chaos(x, bug.kind, bug.b, reached) })
				if found != nil {
					t.Logf("found by seed %d: %.200s", x, found)
					return
				}
			}
			t.Errorf("not found in 3000 runs")
		})
	}
}
