package reparent_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/reparent"
)

func ExampleFinding() {
	found := []reparent.Finding{
		{Node: "n1", Severity: reparent.SeverityAdvice, Subject: "slave_parallel_threads=0", Risk: "the applier lags", Remedy: "set it to 4"},
		{Node: "n1", Severity: reparent.SeverityLoss, Subject: "sync_binlog=0", Risk: "a crash loses completed writes", Remedy: "set it to 1"},
	}
	slices.SortStableFunc(found, func(a, b reparent.Finding) int { return cmp.Compare(a.Severity.Rank(), b.Severity.Rank()) })
	for _, f := range found {
		fmt.Println(f)
	}
	// Output:
	// n1: loss: sync_binlog=0: a crash loses completed writes; set it to 1
	// n1: advice: slave_parallel_threads=0: the applier lags; set it to 4
}

func TestFindingsRankWhatCannotBeReadAboveWhatCanWait(t *testing.T) {
	t.Parallel()
	order := []reparent.Severity{reparent.SeverityLoss, reparent.SeverityUnknown, reparent.SeverityOutage, reparent.SeverityAdvice, "other"}
	for i, s := range order {
		require.Equal(t, i, s.Rank(), s)
	}
}

func TestAFindingIsReadBackFromItsJSON(t *testing.T) {
	t.Parallel()
	f := reparent.Finding{Node: "n1", Severity: reparent.SeverityLoss, Subject: "s", Risk: "r", Remedy: "m"}
	text, err := json.Marshal(f)
	require.NoError(t, err)
	var back reparent.Finding
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, f, back)
}
