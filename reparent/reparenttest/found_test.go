package reparenttest

import (
	"slices"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// most is how many seeds a bug may take to be found.
const most = 500

func TestEveryRuleTakenOutIsFound(t *testing.T) {
	for _, bug := range []struct {
		name string
		b    bugs
		by   []string // the checks that may see it first
	}{
		{"the promise does not survive a restart", bugs{volatilePromise: true}, []string{"I6"}},
		{"a promise alone is not on disk", bugs{volatileFence: true}, []string{"I6"}},
		{"a step-down is in memory only, and the host leads again after a restart", bugs{resumes: true}, []string{"I6"}},
		{"a lower term is promised", bugs{lowPromise: true}, []string{"I6", "I8", "I15"}},
		{"terms of one number are taken for one", bugs{tie: true}, []string{"I6"}},
		{"a torn promise is taken for that of a new node", bugs{tornOpens: true}, []string{"I6", "I15"}},
		{"a node that lost its storage takes part", bugs{amnesia: true}, []string{"I1", "I2", "I5", "I10", "I15", "I23"}},
		{"a follower takes entries of any term", bugs{noTermCheck: true}, []string{"I8"}},
		{"the position is read before the block", bugs{earlyRead: true}, []string{"I13", "I14"}},
		{"a follower says that it has the marker before it has", bugs{falseAccept: true}, []string{"I11"}},
		{"a leader takes requests before its marker is durable", bugs{selfGrant: true}, []string{"I11"}},
		{"entries of older terms are counted before the marker", bugs{selfGrant: true, earlyPrepared: true}, []string{"I11"}},
		{"the leader completes with one copy less than the policy", bugs{anyAck: true}, []string{"I11", "I20", "I22"}},
		{"a copy at an observer counts", bugs{observerCounts: true}, []string{"I11", "I20", "I22"}},
		{"entries are acknowledged before they are on disk", bugs{ackEarly: true}, []string{"I11", "I22"}},
		{"what was sent is taken for completed", bugs{earlyCommit: true}, []string{"I21"}},
		{"part of the common log is dropped first", bugs{cutsBack: true}, []string{"I16"}},
		{"a request is in the log twice", bugs{twice: true}, []string{"I4", "I23"}},
		{"what may have happened is reported as refused", bugs{lateRefusal: true}, []string{"I12"}},
		{"a leader hands over before its promise is on disk", bugs{earlyRelease: true}, []string{"I1", "I2", "I5", "I13"}},
		{"a candidate takes over without a proof", bugs{unproven: true}, []string{"I2", "I5", "I13", "I14"}},
		{"a candidate grants itself before its marker is durable", bugs{earlyGrant: true}, []string{"I11"}},
		{"reads are not confirmed", bugs{staleRead: true}, []string{"I23"}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			h := Store(Traits{bugs: bug.b, OneSlot: bug.b.tornOpens})
			for seed := range uint64(most) {
				got := h.once(t, seed+1, stepsim.Seed(seed+1, stepsim.Swarm(seed+1)), Everything(), &tally{}, false)
				if got.err == nil {
					continue
				}
				shrink := 0
				if !testing.Short() {
					shrink = 60
				}
				fail := h.failure(t, seed+1, got, Everything(), Options{Shrink: shrink, Lines: 12})
				t.Logf("found by seed %d\n%v", seed+1, fail)
				if !slices.Contains(bug.by, fail.Invariant) {
					t.Errorf("found by %s, and not by one of %v", fail.Invariant, bug.by)
				}
				return
			}
			t.Errorf("not found in %d runs", most)
		})
	}
}
