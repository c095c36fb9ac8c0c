package reparenttest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
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

// A test of one story: the registry is down when the leader dies.
func ExampleDirect() {
	story := func(t *testing.T, c *reparenttest.Cluster) {
		p := c.Process("c1")
		g, err := p.Guard(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Crash("n1")
		c.CrashRegistry()
		var unsaved *reparent.UnsavedError
		if err := c.Do(func() { _, err = p.Run(context.Background(), g, reparent.Emergency()) }); err != nil {
			t.Fatal(err) // an invariant was broken
		}
		if !errors.As(err, &unsaved) || c.Leader() != unsaved.Leadership.Leader {
			t.Errorf("%q leads: %v", c.Leader(), err)
		}
		if _, err := c.Heal("c2"); err != nil {
			t.Error(err)
		}
	}
	_ = func(t *testing.T) { // func TestEmergencyWithoutTheRegistry(t *testing.T)
		reparenttest.Direct(t, reparenttest.MariaDBLike(), reparenttest.Setup{}, story)
	}
	// Output:
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
