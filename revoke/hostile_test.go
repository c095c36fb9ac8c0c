package revoke_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/hostile"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

func TestG10_NothingPanicsWhateverItIsGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := &leadership.MemoryRegistry{}
		one := map[leadership.NodeID]revoke.Promiser{"n1": &node{id: "n1"}}
		steps := map[leadership.NodeID]revoke.StepDowner{"n1": &node{id: "n1"}}
		lessor := lessorFunc(func(context.Context, leadership.Term, leadership.NodeID) (time.Duration, error) {
			return -time.Second, nil
		})
		push := must[*revoke.Push](t)(revoke.NewProposal(one, revoke.Options{Retry: -1}))
		hostile.Check(t, hostile.Table{
			Funcs: map[string]any{
				"LeaseWait": revoke.LeaseWait, "NewFence": revoke.NewFence, "NewIsolate": revoke.NewIsolate, "NewLease": revoke.NewLease,
				"NewProposal": revoke.NewProposal, "NewSource": revoke.NewSource, "NewStepDown": revoke.NewStepDown, "Then": revoke.Then, "Together": revoke.Together,
			},
			Types: map[string]any{
				"Ask": revoke.Ask{}, "NodeError": &revoke.NodeError{}, "RateError": &revoke.RateError{}, "StageError": &revoke.StageError{},
				"TargetError": &revoke.TargetError{}, "UnconvertedError": &revoke.UnconvertedError{},
				"Concurrent": []any{&revoke.Concurrent{}, (*revoke.Concurrent)(nil), must[*revoke.Concurrent](t)(revoke.Together(push))},
				"Isolate":    []any{&revoke.Isolate{}, (*revoke.Isolate)(nil), must[*revoke.Isolate](t)(revoke.NewIsolate(isolatorFunc(nil), reg, "", nil))},
				"Lease":      []any{&revoke.Lease{}, (*revoke.Lease)(nil), must[*revoke.Lease](t)(revoke.NewLease(lessor, 0.5))},
				"Push":       []any{&revoke.Push{}, (*revoke.Push)(nil), push},
				"Sequence":   []any{&revoke.Sequence{}, (*revoke.Sequence)(nil), must[*revoke.Sequence](t)(revoke.Then(revoke.Stage{Revoker: push}))},
				"StepDown":   []any{&revoke.StepDown{}, (*revoke.StepDown)(nil), must[*revoke.StepDown](t)(revoke.NewStepDown(steps))},
			},
			Values: []any{
				push, (*revoke.Push)(nil), reg, (*leadership.MemoryRegistry)(nil), t7, one, steps, lessor,
				revoke.Ask{Term: t7, Targets: targets, Leader: "n1"}, revoke.Ask{Term: t7, Targets: []leadership.NodeID{"", ""}},
				revoke.Ask{Term: t7, Targets: []leadership.NodeID{"", "nobody"}, Leader: "nobody"}, promised("n1", t7),
			},
		})
		synctest.Wait()
	})
}
