package main

import (
	"strings"
	"testing"

	"github.com/tenure-go/tenure/reparent/reparenttest"
)

func TestAFenceThatIsKeptInMemoryIsCaught(t *testing.T) {
	t.Parallel()
	got := broken(t)
	if got == nil {
		t.Fatal("not caught")
	}
	t.Log(got)
	if got.Invariant != "I15" && got.Invariant != "I6" {
		t.Errorf("caught as %s, want I15 or I6: a node forgot what it had promised", got.Invariant)
	}
	for _, want := range []string{"what has to hold: ", "who led when", "restart n", "TENURE_SEED=", " promised "} {
		if !strings.Contains(got.Error(), want) {
			t.Errorf("the failure does not show %q", want)
		}
	}
	if n := len(strings.Split(strings.TrimSpace(got.Picture), "\n")); n < 8 {
		t.Errorf("the picture has %d lines", n)
	}
}

func TestAFenceThatIsWrittenFirstPasses(t *testing.T) {
	t.Parallel()
	reparenttest.Run(t, harness(false), faults(), options)
}

func TestTheFixedFencePlaysTheScenarios(t *testing.T) {
	t.Parallel()
	reparenttest.Scenarios(t, harness(false), faults(), reparenttest.Options{Seeds: 2})
}
