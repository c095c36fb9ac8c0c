package handover_test

import (
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// The two leaders of a hand-over, with the messages between them as calls.
func Example() {
	t1, t2 := leadership.Term{Num: 1, Proposer: "c"}, leadership.Term{Num: 2, Proposer: "c"}
	rules, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		panic(err)
	}
	end := leadership.Position{Term: t1, Point: leadership.LogPoint{Index: 5, Eras: []leadership.Era{{Term: t1, First: 1}}}}
	baton := handover.Baton{Term: t2, From: "n1", To: "n2", Mode: leadership.Full, Rulesets: []leadership.Ruleset{rules}, Within: time.Second}

	// At the leader, whose promise of t2 is on disk.
	stepDown := leadership.Testimony{Node: "n1", Term: t2, Kind: leadership.Demoted, Led: t1, Read: &end}
	release, err := baton.Release(stepDown)
	fmt.Println("release:", err, "others:", baton.Others(), "ask them for:", release.Ask().Term)

	// At the candidate, which has the end of the log and promises.
	in, err := handover.NewIncoming("n2", nil)
	if err != nil {
		panic(err)
	}
	err = in.Take(release)
	fmt.Println("take:", err)
	promised := leadership.Testimony{Node: "n2", Term: t2, Kind: leadership.Promised, Read: &end}
	err = in.Hear(promised)
	fmt.Println("hear:", err)
	p, err := in.Propose(baton.Term)
	fmt.Println("propose:", p.To(), err) // from here on it takes requests

	// Its marker becomes durable.
	for _, acceptance := range []leadership.Acceptance{{Node: "n2", Term: t2, Leader: "n2"}, {Node: "n3", Term: t2, Leader: "n2"}} {
		err = in.Accept(acceptance)
		fmt.Println("accept:", acceptance.Node, err)
	}
	installed, err := in.Installed(baton.Term)
	fmt.Println("may grant itself:", installed.Leadership(), err)

	// The coordinator believes what follows from what the nodes said.
	account, err := in.Account(baton.Term)
	if err != nil {
		panic(err)
	}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: t2, Rulesets: baton.Rulesets})
	if err != nil {
		panic(err)
	}
	add := func(w leadership.Testimony) { _ = round.Add(w) }
	checked, err := account.Replay(baton, add, round.Revocation)
	if err != nil {
		panic(err)
	}
	_, err = checked.Installed()
	fmt.Println("checked:", err)
	// Output:
	// release: <nil> others: [n3] ask them for: 2.c
	// take: <nil>
	// hear: <nil>
	// propose: n2 <nil>
	// accept: n2 <nil>
	// accept: n3 <nil>
	// may grant itself: n2@2.c <nil>
	// checked: <nil>
}
