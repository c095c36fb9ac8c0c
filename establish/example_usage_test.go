package establish_test

import (
	"context"
	"fmt"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// Install, look whether the marker is durable, and only then grant.
func Example() {
	ctx := context.Background()
	nodes, candidates, followers := three([]string{"a"}, []string{"a"}, []string{"a"})
	proposal, err := revoked(index(1), index(1), index(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	est, err := establish.NewProposal(candidates, followers, establish.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = est.Install(ctx, proposal, func(a leadership.Acceptance) { _ = proposal.Add(a) })
	if err != nil {
		fmt.Println(err) // not the end: a durable set is enough
	}
	installed, err := proposal.Installed()
	if err != nil {
		fmt.Println(err)
		return
	}
	err = est.Grant(ctx, installed)
	fmt.Println("n2 leads:", nodes["n2"].led, err)
	// Output: n2 leads: true <nil>
}
