// Package quorums measures the pure decisions: is this durable, is the old
// leadership revoked. The bitsets of package leadership stand beside the maps of
// etcd-io/raft and the tablet lists of Vitess.
package quorums

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/quorum"
	topodatapb "vitess.io/vitess/go/vt/proto/topodata"
	"vitess.io/vitess/go/vt/topo/topoproto"
	"vitess.io/vitess/go/vt/vtctl/reparentutil"
	"vitess.io/vitess/go/vt/vtctl/reparentutil/policy"
	"vitess.io/vitess/go/vt/vtctl/reparentutil/promotionrule"

	"github.com/tenure-go/tenure/leadership"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

const (
	group = "Quorum checks"
	nodes = 9
)

// question is one decision, asked of both sides. Each returns its answer, and both
// must answer yes.
type question struct {
	name, note   string
	peer         string
	most         float64
	ours, theirs func() bool
}

// Measure returns the rows of the group.
func Measure(ctx context.Context, o report.Options) ([]report.Row, error) {
	o = o.Filled()
	qs, err := questions()
	if err != nil {
		return nil, err
	}
	var rows []report.Row
	for _, q := range qs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !q.ours() || !q.theirs() {
			return nil, fmt.Errorf("peers: %s: the sides do not agree", q.name)
		}
		ours, theirs := side(q.ours), side(q.theirs)
		took := measure.PerOp(3*o.Rounds, 1, o.Chunk(), ours, theirs)
		r := report.Row{
			Group: group, Name: q.name, Unit: "ns CPU", Note: q.note,
			Ours: took[0].Median(), Allocs: measure.Allocs(ours),
			Theirs: []report.Theirs{{Name: q.peer, Value: took[1].Median(), Allocs: measure.Allocs(theirs)}},
			Ratio:  took[0].Over(took[1]),
			Bar:    report.Bar{Text: fmt.Sprintf("at most %gx, 0 allocations", q.most), Want: true},
		}
		r.Met = r.Ratio <= q.most && r.Allocs == 0
		rows = append(rows, r)
	}
	o.Log.Info("decided", "questions", len(rows))
	return rows, nil
}

func side(f func() bool) measure.Side {
	return measure.Same("", func(n int) {
		yes := 0
		for range n {
			if f() {
				yes++
			}
		}
		if yes != n {
			panic("peers: an answer has changed")
		}
	})
}

func questions() ([]question, error) {
	// Two rulesets in force, six nodes in common, in one bit space.
	var all []leadership.Node
	for i := range nodes + 3 {
		all = append(all, leadership.Node{ID: leadership.NodeID(fmt.Sprintf("n%d", i)), Zone: fmt.Sprintf("z%d", i%3)})
	}
	cohort, err := leadership.NewCohort(all...)
	if err != nil {
		return nil, err
	}
	compile := func(p leadership.Policy, members []leadership.Node) *leadership.Rules {
		rs, e := leadership.NewRuleset(p, members...)
		if e == nil {
			var r *leadership.Rules
			if r, e = rs.CompileIn(cohort, nil); e == nil {
				return r
			}
		}
		err = errors.Join(err, e)
		return nil
	}
	before, after := compile(leadership.Majority(), all[:nodes]), compile(leadership.Majority(), all[3:])
	two, zones := compile(leadership.AtLeast(2), all[:nodes]), compile(leadership.Zones(2), all[:nodes])
	if err != nil {
		return nil, err
	}
	// Nodes 2 to 8: seven of the one, six of the other.
	var have leadership.Set
	votes := map[uint64]bool{}
	for i := 2; i < nodes; i++ {
		have = have.With(leadership.Member(i))
		votes[uint64(i)] = true
	}
	config := func(from, to int) quorum.MajorityConfig {
		c := quorum.MajorityConfig{}
		for i := from; i < to; i++ {
			c[uint64(i)] = struct{}{}
		}
		return c
	}
	one := config(0, nodes)
	joint := quorum.JointConfig{one, config(3, nodes+3)}
	leader := leadership.Member(4)

	const etcd, vitess = "etcd-io/raft quorum", "Vitess durability policies"
	return []question{
		{
			name: "durable under a majority of 9", peer: etcd + ", MajorityConfig.VoteResult", most: 0.05,
			ours:   func() bool { return before.Durable(leader, have) },
			theirs: func() bool { return one.VoteResult(votes) == quorum.VoteWon },
		},
		{
			name: "durable under two rulesets in force, majorities of 9", peer: etcd + ", JointConfig.VoteResult", most: 0.05,
			ours:   func() bool { return before.Durable(leader, have) && after.Durable(leader, have) },
			theirs: func() bool { return joint.VoteResult(votes) == quorum.VoteWon },
		},
		revocation("revoked from every leader that 9 nodes could have, two copies", vitess+", semi_sync", two, policy.DurabilitySemiSync, all[:nodes], 1),
		revocation("the same, copies in two zones", vitess+", cross_cell", zones, policy.DurabilityCrossCell, all[:nodes], 3),
	}, nil
}

// revocation asks whether any leader could still complete a request when all nodes
// but the last left have promised not to.
func revocation(name, peer string, rules *leadership.Rules, durability string, members []leadership.Node, left int) question {
	durabler, err := policy.GetDurabilityPolicy(durability)
	if err != nil {
		durabler = nil // then the sides do not agree
	}
	// In three zones by turns: those left are of one zone.
	var unreached leadership.Set
	var tablets, reached []*topodatapb.Tablet
	for i, n := range members {
		t := &topodatapb.Tablet{
			Alias: &topodatapb.TabletAlias{Cell: n.Zone, Uid: uint32(100 + i)},
			Type:  topodatapb.TabletType_REPLICA,
		}
		tablets = append(tablets, t)
		if i%3 == 2 && i >= len(members)-1-3*(left-1) {
			unreached = unreached.With(leadership.Member(i))
		} else {
			reached = append(reached, t)
		}
	}
	return question{
		name: name, peer: peer, most: 0.01,
		note: "the test itself is not exported by Vitess: here the functions it is made of are called as often as it must",
		ours: func() bool {
			_, could := rules.Could(rules.Leaders(), unreached)
			return !could
		},
		theirs: func() bool { return durabler != nil && revoked(durabler, tablets, reached) },
	}
}

// revoked asks Vitess, leader by leader, for the ackers that are left.
func revoked(d policy.Durabler, all, reached []*topodatapb.Tablet) bool {
	for _, leader := range all {
		if policy.PromotionRule(d, leader) == promotionrule.MustNot || topoproto.IsTabletInList(leader, reached) {
			continue
		}
		left := len(reparentutil.SemiSyncAckersForPrimary(d, leader, all)) - len(reparentutil.SemiSyncAckersForPrimary(d, leader, reached))
		if left >= policy.SemiSyncAckers(d, leader) {
			return false
		}
	}
	return true
}
