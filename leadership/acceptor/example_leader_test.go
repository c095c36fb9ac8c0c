package acceptor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// begin makes the node the leader of l, with its marker in its log.
func begin(ctx context.Context, a *acceptor.Acceptor, log *journal, l leadership.Leadership) error {
	if err := a.Install(ctx, l, func(context.Context) error {
		log.append(l.Term, "marker of "+l.String())
		return nil
	}); err != nil {
		return err
	}
	// Here followers accept the marker, and leadership.Proposal says when it is durable.
	return a.Grant(ctx, l.Term, func() bool { return log.term == l.Term })
}

// A leader completes an entry when those that have it are durable by the ruleset:
// by the same predicate that a coordinator uses to prove that it cannot.
func ExampleAcceptor_Complete() {
	ctx := context.Background()
	a, remove, err := boot(ctx, "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	rs, _ := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	rules, err := rs.Compile(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	n1, _ := rules.Cohort().Member("n1")
	n2, _ := rules.Cohort().Member("n2")

	log := &journal{}
	l := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 7, Proposer: "c1"}}
	if err := begin(ctx, a, log, l); err != nil {
		fmt.Println(err)
		return
	}
	tok, err := a.Admit(l) // the leader's own log is one of those that must have it
	if err != nil {
		fmt.Println(err)
		return
	}
	log.append(l.Term, "an order")
	have := leadership.SetOf()
	if a.Confirm(tok) == nil {
		have = have.With(n1)
	}
	for _, ack := range []leadership.Set{0, leadership.SetOf(n2)} { // acknowledgements as they come
		have |= ack
		done, err := a.Complete(l.Term)
		if err != nil {
			fmt.Println(err) // somebody else leads: the outcome is not ours to tell
			return
		}
		fmt.Println(rules.Cohort().Names(have), "complete:", rules.Durable(n1, have))
		done.Done() // after the client's answer is decided
	}
	// Output:
	// [n1] complete: false
	// [n1 n2] complete: true
}

// A leader that steps down finishes what its gate let in, promises, and seals the
// gate. From then on it completes nothing, and refuses with proof.
func ExampleAcceptor_StepDown() {
	ctx := context.Background()
	a, remove, err := boot(ctx, "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	log := &journal{}
	l, next := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 7, Proposer: "c1"}}, leadership.Term{Num: 8, Proposer: "c1"}
	if err := begin(ctx, a, log, l); err != nil {
		fmt.Println(err)
		return
	}
	gate, err := lameduck.New(lameduck.Options{Term: l.Term})
	if err != nil {
		fmt.Println(err)
		return
	}

	report, err := gate.Drain(ctx, lameduck.Plan{All: time.Second, Until: next, Leader: "n2", Expire: 5 * time.Second})
	fmt.Println(report.Phase, err)
	t, err := a.StepDown(ctx, next, log.read)
	fmt.Println(t.Kind, "led", t.Led, "at", t.Read, err)
	fmt.Println("sealed:", gate.Seal(next)) // the drain does not expire any more

	_, err = a.Complete(l.Term)
	fmt.Println(err)
	_, err = gate.Enter(lameduck.Single)
	fmt.Println(err)
	// Output:
	// drained <nil>
	// demoted led 7.c1 at 7.c1@log:1 <nil>
	// sealed: <nil>
	// leadership: node n1 has promised term 8.c1, above 7.c1: a newer attempt exists
	// refused, not executed: draining (at term 7.c1), try n2
}

// What a grant opened is closed by a restart. The promise and the source are on
// disk, and whether the marker is in the log is asked of the log.
func ExampleAcceptor_Grant() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := acceptor.OpenFile(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := acceptor.Create(ctx, store, "n1", acceptor.Minted)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := &journal{}
	l := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 7, Proposer: "c1"}}
	if err := begin(ctx, a, log, l); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("leads:", a.Status().Leads)

	a, err = acceptor.Open(ctx, store, "n1", acceptor.Minted, acceptor.Options{LogTerm: log.term}) // it restarted
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("leads:", a.Status().Leads, "source:", a.Status().Source)
	_, err = a.Complete(l.Term)
	var gate *acceptor.GateError
	fmt.Println("refused:", errors.As(err, &gate))
	lost := &journal{} // what if the log had been lost?
	err = a.Grant(ctx, l.Term, func() bool { return lost.term == l.Term })
	fmt.Println(err)
	// Output:
	// leads: 7.c1
	// leads: 0 source: n1@7.c1
	// refused: true
	// leadership: n1 is not ready to lead: the marker of 7.c1 is not in its log
}

// A candidate that is staged takes entries behind its marker, so that its clients
// do not wait while that becomes durable. It completes none of them before it is
// granted.
func ExampleAcceptor_Stage() {
	ctx := context.Background()
	a, remove, err := boot(ctx, "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	log := &journal{}
	l := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 7, Proposer: "c1"}}
	if err := a.Install(ctx, l, func(context.Context) error {
		log.append(l.Term, "marker of "+l.String())
		return nil
	}); err != nil {
		fmt.Println(err)
		return
	}
	there := func() bool { return log.term == l.Term }
	if err := a.Stage(ctx, l.Term, there); err != nil {
		fmt.Println(err)
		return
	}
	tok, err := a.Admit(l)
	if err != nil {
		fmt.Println(err)
		return
	}
	log.append(l.Term, "an order")
	_, err = a.Complete(l.Term)
	fmt.Println("completes:", err == nil)

	// The marker is durable, says leadership.Proposal.
	if err := a.Grant(ctx, l.Term, there); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("confirmed:", a.Confirm(tok) == nil)
	done, err := a.Complete(l.Term)
	fmt.Println("completes:", err == nil)
	done.Done()
	// Output:
	// completes: false
	// confirmed: true
	// completes: true
}
