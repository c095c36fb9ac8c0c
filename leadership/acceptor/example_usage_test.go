package acceptor_test

import (
	"context"
	"fmt"
	"os"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// A node that was created before comes up, takes an entry from its leader, and
// promises a higher term to a coordinator.
func Example() {
	ctx, log, entry := context.Background(), &journal{}, "an order"
	l, t := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 7, Proposer: "c1"}}, leadership.Term{Num: 8, Proposer: "c2"}
	dir, err := os.MkdirTemp("", "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := firstBoot(ctx, dir, l); err != nil {
		fmt.Println(err)
		return
	}

	store, err := acceptor.OpenFile(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := acceptor.Open(ctx, store, "n1", acceptor.Minted, acceptor.Options{LogTerm: log.term})
	if err != nil {
		fmt.Println(err)
		return
	}
	tok, err := a.Admit(l)
	if err != nil {
		fmt.Println(err)
		return
	}
	log.append(l.Term, entry)
	err = a.Confirm(tok)
	fmt.Println("acknowledged:", err == nil)

	testimony, err := a.Recruit(ctx, t, log.read)
	fmt.Println(testimony.Kind, "below", testimony.Term, "at", testimony.Read, err)
	// Output:
	// acknowledged: true
	// promised below 8.c2 at 7.c1@log:1 <nil>
}

// firstBoot creates n1 and lets it follow l.
func firstBoot(ctx context.Context, dir string, l leadership.Leadership) error {
	store, err := acceptor.OpenFile(dir)
	if err != nil {
		return err
	}
	a, err := acceptor.Create(ctx, store, "n1", acceptor.Minted)
	if err != nil {
		return err
	}
	return a.Follow(ctx, l)
}
