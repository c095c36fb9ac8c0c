package acceptor_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// The data path of a follower: admit, write, confirm, acknowledge. A promise that
// comes between takes the acknowledgement back before it was given.
func ExampleAcceptor_Confirm() {
	ctx := context.Background()
	a, remove, err := boot(ctx, "n2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	log := &journal{}
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 7, Proposer: "c1"}}
	if err := a.Follow(ctx, n1); err != nil {
		fmt.Println(err)
		return
	}
	accept := func(entry string, meanwhile func()) error {
		tok, err := a.Admit(n1)
		if err != nil {
			return err
		}
		log.append(n1.Term, entry)
		meanwhile()
		return a.Confirm(tok) // nil: acknowledge
	}
	fmt.Println("first:", accept("first", func() {}))
	err = accept("second", func() {
		t, err := a.Recruit(ctx, leadership.Term{Num: 8, Proposer: "c2"}, log.read)
		fmt.Println(t.Kind, "below", t.Term, "at", t.Read, err)
	})
	fmt.Println("second:", err)
	fmt.Println("unknown:", errors.Is(err, leadership.ErrUnknownOutcome)) // it may be in the log that is kept
	err = accept("third", func() {})
	fmt.Println("third:", err)
	fmt.Println("unknown:", !leadership.NotExecuted(err))
	// Output:
	// first: <nil>
	// promised below 8.c2 at 7.c1@log:2 <nil>
	// second: acceptor: node n2 no longer accepts from n1@7.c1: what was just written may stay in the log, do not acknowledge it
	// unknown: true
	// third: leadership: node n2 has promised term 8.c2, above 7.c1: a newer attempt exists
	// unknown: false
}

// A replication stream looks its leadership up once. After the gate was shut it
// admits nothing more.
func ExampleAcceptor_Stream() {
	ctx := context.Background()
	a, remove, err := boot(ctx, "n2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 7, Proposer: "c1"}}
	if err := a.Follow(ctx, n1); err != nil {
		fmt.Println(err)
		return
	}
	stream, err := a.Stream(n1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		tok, err := stream.Admit() // one atomic load
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("acknowledge:", a.Confirm(tok) == nil)
		if _, err := a.Recruit(ctx, leadership.Term{Num: 8, Proposer: "c2"}, nil); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// acknowledge: true
	// leadership: node n2 has promised term 8.c2, above 7.c1: a newer attempt exists
}

// A repair discards entries. Until the log is back where it was, what the node
// holds is evidence of nothing, and it says so.
func ExampleAcceptor_SetFloor() {
	ctx := context.Background()
	a, remove, err := boot(ctx, "n2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	old, term := leadership.Term{Num: 7, Proposer: "c1"}, leadership.Term{Num: 8, Proposer: "c2"}
	log := &journal{term: old, entries: []string{"a", "b", "c"}}
	if _, err := a.Recruit(ctx, term, log.read); err != nil {
		fmt.Println(err)
		return
	}
	was, _ := log.read(ctx)
	if err := a.SetFloor(ctx, was.Position); err != nil { // on disk first
		fmt.Println(err)
		return
	}
	log.entries = log.entries[:1] // only then discard

	t, err := a.Recruit(ctx, term, log.read) // the same term: this only reads
	fmt.Println("below its floor:", t.BelowFloor, err)
	log.append(term, "marker of n1")
	t, err = a.Recruit(ctx, term, log.read)
	fmt.Println("below its floor:", t.BelowFloor, err)
	fmt.Println("forgotten:", a.ClearFloor(ctx))
	// Output:
	// below its floor: true <nil>
	// below its floor: false <nil>
	// forgotten: <nil>
}
