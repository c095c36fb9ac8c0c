package handover_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

var (
	first  = leadership.Term{Num: 1, Proposer: "c"}
	second = leadership.Term{Num: 2, Proposer: "c"}
	end    = leadership.Position{Term: first, Point: leadership.LogPoint{Index: 5, Eras: []leadership.Era{{Term: first, First: 1}}}}
)

// retiree is a leader with a drain and a step-down of its own.
type retiree struct{}

func (retiree) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{Finished: 2}, nil
}

func (retiree) StepDown(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{Node: "n1", Term: t, Kind: leadership.Demoted, Led: first, Read: &end}, nil
}

// Retire makes it a handover.Retirer.
func (n retiree) Retire(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
	return handover.Retire(ctx, n, r)
}

// heir is its successor.
type heir struct{ in *handover.Incoming }

func (n heir) TakeOver(_ context.Context, r handover.Relay) (handover.Account, error) {
	t := r.Release.Baton.Term
	// Its promise, its marker and the others' answers are made up here.
	err := errors.Join(n.in.TakeRelay(r), n.in.Hear(leadership.Testimony{Node: "n2", Term: t, Kind: leadership.Promised, Read: &end}))
	if _, proposed := n.in.Propose(t); proposed != nil {
		return handover.Account{}, errors.Join(err, proposed)
	}
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		err = errors.Join(err, n.in.Accept(leadership.Acceptance{Node: id, Term: t, Leader: "n2"}))
	}
	account, told := n.in.Account(t)
	return account, errors.Join(err, told)
}

// A coordinator that leads a change in one call of each of the two.
func ExampleRetire() {
	ctx, t, d := context.Background(), second, time.Second
	rules, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		panic(err)
	}
	baton := handover.Baton{Term: t, From: "n1", To: "n2", Mode: leadership.Full, Rulesets: []leadership.Ruleset{rules}, Within: d}
	in, err := handover.NewIncoming("n2", nil)
	if err != nil {
		panic(err)
	}
	leader, successor := retiree{}, heir{in}
	var heard []leadership.Testimony // of three members the two are enough

	retired, err := leader.Retire(ctx, handover.Retirement{Term: t, To: "n2", Drain: d})
	fmt.Println(retired.Drained.Finished, "finished,", retired.StepDown.Node, retired.StepDown.Kind, err)
	relay, err := baton.Relay(retired, heard)
	fmt.Println("relay of", relay.Release.Baton.Term, err)
	account, err := successor.TakeOver(ctx, relay)
	fmt.Println("marker of", account.Marker.Leadership(), "accepted by", len(account.Accepted), err)
	// Output:
	// 2 finished, n1 demoted <nil>
	// relay of 2.c <nil>
	// marker of n2@2.c accepted by 2 <nil>
}
