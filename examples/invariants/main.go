package main

import (
	"fmt"
	"testing"

	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// options are enough to find the mistake many times over.
var options = reparenttest.Options{Seeds: 200, Lines: 25}

// faults are what these servers claim to survive. A half-written file is not
// among them: the fence is overwritten in place.
func faults() reparenttest.Features {
	f := reparenttest.Everything()
	f.Torn = false
	return f
}

// broken returns the failure of the broken fence, nil if there is none.
func broken(t *testing.T) *reparenttest.Failure {
	return reparenttest.Find(t, harness(true), faults(), options)
}

// A simulation runs inside a test. In a program of your own that is a function
// TestMyFence in a test file; here main is the test, and ends with its verdict.
func main() {
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{
		{Name: "broken", F: func(t *testing.T) {
			fail := broken(t)
			if fail == nil {
				t.Fatal("The fence that is kept in memory was not caught.")
			}
			fmt.Printf("The fence that is kept in memory, as the kit sees it:\n\n%s\n", fail)
		}},
		{Name: "fixed", F: func(t *testing.T) {
			reparenttest.Run(t, harness(false), faults(), options)
			fmt.Printf("The fence that is written before it is answered for kept every invariant in %d runs.\n", options.Seeds)
		}},
	}, nil, nil)
}
