package change_test

import (
	"math"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/examples/peers/change"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

func TestEveryRowCanBeMeasuredAndNoClientSeesAHeldChangeFail(t *testing.T) {
	rows, err := change.Measure(t.Context(), report.Options{Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.Name] {
			t.Errorf("two rows are called %q", r.Name)
		}
		seen[r.Name] = true
		if math.IsNaN(r.Ours) || r.Ours < 0 {
			t.Errorf("%s: %v", r.Name, r.Ours)
		}
		for _, p := range r.Theirs {
			if math.IsNaN(p.Value) || p.Value <= 0 {
				t.Errorf("%s: %s %v", r.Name, p.Name, p.Value)
			}
		}
		// The other bars are of time, which a short run on a busy machine cannot
		// judge; the tests in simulated time do.
		if strings.HasPrefix(r.Bar.Text, "L3") && !r.Met {
			t.Errorf("%s: %v operations failed: %s", r.Name, r.Ours, r.Note)
		}
	}
	if len(rows) < 4*8 {
		t.Errorf("%d rows", len(rows))
	}
}
