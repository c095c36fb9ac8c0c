package main

import (
	"context"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// quick measures everything small, once for all tests. The change of leader is
// left to the test of its package, which takes as long as all the rest.
var quick = sync.OnceValues(func() (report.Page, error) {
	return measure(context.Background(), flags{quick: true, groups: "buffer,gate,quorum"}, slog.New(slog.DiscardHandler))
})

// It keeps the page from rotting. What it measures, on a machine that does other
// things too, is not judged but for what cannot be.
func TestEachRowCanBeMeasured(t *testing.T) {
	began := time.Now()
	page, err := quick()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %v", len(page.Rows), time.Since(began).Round(time.Millisecond))
	if len(page.Peers) < 2 || page.Machine.Cores < 1 || page.Machine.CPU == "" {
		t.Errorf("the page does not say where and with whom it was made: %+v %+v", page.Machine, page.Peers)
	}
	names := map[string]bool{}
	for _, r := range page.Rows {
		t.Run(r.Group+"/"+r.Name, func(t *testing.T) { plausible(t, r) })
		if names[r.Group+r.Name] {
			t.Errorf("two rows are called %q", r.Name)
		}
		names[r.Group+r.Name] = true
	}
	if text := page.Markdown(); strings.Contains(text, "NaN") || !strings.Contains(text, "## What we lose") {
		t.Error("the page does not render as it should")
	}
}

func plausible(t *testing.T, r report.Row) {
	t.Helper()
	if r.Group == "" || r.Name == "" || r.Unit == "" || len(r.Theirs) == 0 {
		t.Fatalf("something is missing: %+v", r)
	}
	if math.IsNaN(r.Ours) || math.IsInf(r.Ours, 0) || r.Ours < 0 || r.Ours > 1e9 {
		t.Errorf("ours is %v %s", r.Ours, r.Unit)
	}
	measured := false
	for _, p := range r.Theirs {
		if p.Name == "" || math.IsInf(p.Value, 0) || p.Value < 0 || p.Value > 1e9 {
			t.Errorf("%q is %v %s", p.Name, p.Value, r.Unit)
		}
		measured = measured || !math.IsNaN(p.Value)
	}
	if !measured {
		t.Error("no peer was measured")
	}
	if r.Bar.Want != (r.Bar.Text != "") {
		t.Errorf("the bar contradicts itself: %+v", r.Bar)
	}
	if r.Inconclusive && r.Note == "" {
		t.Error("it is inconclusive and does not say why")
	}
	if r.Allocs > 100 {
		t.Errorf("%v objects per operation", r.Allocs)
	}
}

// What happens, unlike what it costs, does not depend on the machine: a request
// that is held out of order is no noise.
func TestBehaviourMeetsItsBarsOnAnyMachine(t *testing.T) {
	page, err := quick()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, r := range page.Rows {
		switch r.Unit {
		case "requests", "errors", "goroutines":
			seen++
			if !r.Met {
				t.Errorf("%s: ours %v, bar %s", r.Name, r.Ours, r.Bar.Text)
			}
			if r.Theirs[0].Value <= 0 {
				t.Errorf("%s: %s does it too, the row shows nothing: %v", r.Name, r.Theirs[0].Name, r.Theirs[0].Value)
			}
		}
	}
	if seen != 3 {
		t.Errorf("%d rows of behaviour, want 3", seen)
	}
}

func TestUnknownGroupsAndFlagsAreRefused(t *testing.T) {
	if err := run([]string{"-groups", "nobody"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("got %v", err)
	}
	if err := run([]string{"-nonsense"}, io.Discard, io.Discard); err == nil {
		t.Error("a flag that is none was taken")
	}
}
