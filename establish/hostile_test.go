package establish_test

import (
	"testing"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/internal/hostile"
	"github.com/tenure-go/tenure/leadership"
)

func TestG10_NothingPanicsWhateverItIsGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		est := newCluster().proposal(t, establish.Options{Retry: -1})
		hostile.Check(t, hostile.Table{
			Funcs: map[string]any{"Choose": establish.Choose, "NewProposal": establish.NewProposal, "NewSource": establish.NewSource},
			Types: map[string]any{
				"CatchUpError": &establish.CatchUpError{}, "NeedsRepairError": &establish.NeedsRepairError{}, "NoCandidateError": &establish.NoCandidateError{},
				"NodeError": &establish.NodeError{}, "Nodes": []any{&establish.Nodes{}, (*establish.Nodes)(nil), est},
			},
			Values: []any{
				installed(t), &leadership.Installed{}, &leadership.Proposal{}, *at(3),
				round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1"),
				establish.Standing{Node: leadership.Node{ID: "n1"}, CanLead: true, Position: *at(3)},
				map[leadership.NodeID]establish.Candidate{"n1": (*node)(nil)}, map[leadership.NodeID]establish.Follower{"n1": nil},
			},
		})
	})
}
