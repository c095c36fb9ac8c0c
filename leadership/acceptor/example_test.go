package acceptor_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// journal is a host's log, in memory for brevity. What is said of it in the
// examples holds once it is on disk.
type journal struct {
	term    leadership.Term
	entries []string
}

func (j *journal) append(t leadership.Term, entry string) { // write and fsync
	j.term, j.entries = t, append(j.entries, entry)
}

func (j *journal) read(context.Context) (acceptor.Reading, error) {
	return acceptor.Reading{Position: leadership.Position{Term: j.term, Point: leadership.LogPoint{Index: uint64(len(j.entries))}}}, nil
}

// boot creates a node in a folder of its own. What it returns last removes that.
func boot(ctx context.Context, id leadership.NodeID) (*acceptor.Acceptor, func(), error) {
	dir, err := os.MkdirTemp("", "acceptor")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	store, err := acceptor.OpenFile(dir)
	if err != nil {
		return nil, remove, err
	}
	a, err := acceptor.Create(ctx, store, id, acceptor.Minted)
	return a, remove, err
}

// A node is created once in its life. After that it is opened, and knows what it
// promised before it answers anybody.
func ExampleOpenFile() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	// The first boot.
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
	_, err = a.Recruit(ctx, leadership.Term{Num: 7, Proposer: "c1"}, nil)
	fmt.Println("promised:", a.Status().Promised, err)

	// Every later one.
	store, err = acceptor.OpenFile(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err = acceptor.Open(ctx, store, "n1", acceptor.Minted, acceptor.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = a.Recruit(ctx, leadership.Term{Num: 6, Proposer: "c9"}, nil)
	fmt.Println(err)
	// Output:
	// promised: 7.c1 <nil>
	// leadership: node n1 has promised term 7.c1, above 6.c9: a newer attempt exists
}

// A disk that was replaced has forgotten what the node promised. It does not open
// as that node.
func ExampleOpen() {
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
	_, err = acceptor.Open(ctx, store, "n1", acceptor.Minted, acceptor.Options{})
	fmt.Println(err)
	var none *acceptor.NoRecordError
	fmt.Println("no record:", errors.As(err, &none))

	// It comes back under another name, which reparent.SetRuleset admits in place
	// of the lost one.
	_, err = acceptor.Create(ctx, store, "n4", acceptor.Minted)
	fmt.Println(err)
	// Output:
	// acceptor: no record of n1: a node that lost its record must come back under another node ID, which a change of the ruleset admits
	// no record: true
	// <nil>
}
