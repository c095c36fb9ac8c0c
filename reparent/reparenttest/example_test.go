package reparenttest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// A test of a revoker of one's own, over simulated MariaDB-like servers.
func Example_revoker() {
	h := reparenttest.MariaDBLike()
	h.Name = "detach and wait"
	h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) {
		// newDetach(p.Promisers(), ...), or whatever is to be tested
		return revoke.NewSource(p.Promisers(), revoke.Options{})
	}
	_ = func(t *testing.T) { // func TestDetachAndWait(t *testing.T)
		reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{Seeds: 1000})
		reparenttest.Scenarios(t, h, reparenttest.Everything(), reparenttest.Options{})
	}
	fmt.Println(h.Validate(reparenttest.Everything()))
	// Output: <nil>
}

// What is wrong with a harness is said before anything is run.
func ExampleHarness_Validate() {
	h := reparenttest.LogStore()
	h.Policy = leadership.AtLeast(4)
	fmt.Println(strings.Split(h.Validate(reparenttest.Features{Nodes: 3}).Error(), ":")[1])
	fmt.Println(h.Validate(reparenttest.Features{Nodes: 5}))
	// Output:
	//  Harness.Policy
	// <nil>
}

// Every check has a name, under which a failure is reported, and a sentence.
func ExampleInvariants() {
	for _, i := range reparenttest.Invariants() {
		if i.Name == "I6" {
			fmt.Println(i.Name, i.Says)
		}
	}
	// Output: I6 A node's promise only rises, and is on disk before any answer that tells of it.
}

func FuzzSchedules(f *testing.F) {
	h := reparenttest.LogStore()
	if testing.Short() {
		f.Skip("some seconds")
	}
	reparenttest.Fuzz(f, h, reparenttest.Everything())
}
