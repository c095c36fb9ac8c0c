package report_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func page() report.Page {
	return report.Page{
		Machine: report.Machine{CPU: "Some CPU", Cores: 2, Kernel: "Linux 6.1", Go: "go1.26.2"},
		Day:     "2026-01-02",
		Peers:   []report.Module{{Path: "example.org/peer", Version: "v1.2.3"}},
		Rounds:  7,
		Rows: []report.Row{
			{
				Group: "Gate", Name: "a|b, met", Unit: "ns", Ours: 1.234, Allocs: 0, Ratio: 0.01234,
				Theirs: []report.Theirs{{Name: "peer", Value: 100.4, Allocs: 3}, {Name: "floor", Value: 0.00001, Allocs: -1, Note: "said to be so"}},
				Bar:    report.Bar{Text: "at most 0.1x", Want: true}, Met: true,
			},
			{
				Group: "Buffer", Name: "missed", Unit: "us CPU", Ours: 12.34, OursNote: "p99 20", Allocs: -1, Ratio: 2,
				Theirs: []report.Theirs{{Name: "peer", Value: 6.17, Allocs: -1}},
				Bar:    report.Bar{Text: "at most 1x", Want: true}, Note: "the reason",
			},
			{
				Group: "Buffer", Name: "hopeless", Unit: "us", Ours: 3, Allocs: -1, Ratio: 0.75,
				Theirs: []report.Theirs{{Name: "peer", Value: 4, Allocs: -1}, {Name: "floor", Value: 2.6, Allocs: -1}},
				Bar:    report.Bar{Text: "at most 0.5x", Want: true}, Floor: "0.65x",
			},
			{
				Group: "Gate", Name: "undecided", Unit: "ns", Ours: 3, Allocs: 1, Ratio: math.NaN(),
				Theirs: []report.Theirs{{Name: "peer", Value: math.NaN(), Allocs: -1}},
				Bar:    report.Bar{Text: "at most 1x", Want: true}, Inconclusive: true, Note: "one core",
			},
			{Group: "Gate", Name: "shown only", Unit: "x", Ours: 0, Allocs: -1, Ratio: math.NaN()},
		},
	}
}

func TestPageIsTheOneThatWasAgreed(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "page.md")
	got := page().Markdown()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page differs from %s (-update rewrites it):\n%s", golden, got)
	}
}

func TestRowsThatMissTheirBarAreNamedTwice(t *testing.T) {
	t.Parallel()
	p := page()
	lost := p.Lost()
	if len(lost) != 2 || lost[0].Name != "missed" || lost[1].Name != "hopeless" {
		t.Fatalf("lost: %v", lost)
	}
	_, after, found := strings.Cut(p.Markdown(), "## What we lose")
	if !found || !strings.Contains(after, "| missed |") || !strings.Contains(after, "at most 0.5x (below the floor: 0.65x)") || strings.Contains(after, "| undecided") || strings.Contains(after, "shown only") {
		t.Errorf("what is lost does not show:\n%s", after)
	}
	if _, quicker, _ := strings.Cut(after, "### What is quicker than ours"); !strings.Contains(quicker, "- Gate, a|b, met, ns: ours 1.23; floor 1.0e-05.") ||
		!strings.Contains(quicker, "- Buffer, missed, us CPU: ours 12.3; peer 6.17.") || !strings.Contains(quicker, "- Buffer, hopeless, us: ours 3.00; floor 2.60.") || strings.Contains(quicker, "undecided") {
		t.Errorf("what is quicker does not show:\n%s", quicker)
	}
	if !strings.Contains(p.Markdown(), "1 bars met, 2 missed, 1 inconclusive; 1 rows have no bar. Of those missed, 1 have a bar below") {
		t.Error("the sum is wrong")
	}
}

func TestAQuickRunSaysThatItIsOne(t *testing.T) {
	t.Parallel()
	p := page()
	if strings.Contains(p.Markdown(), "quick run, made") {
		t.Error("a full run says that it is quick")
	}
	p.Quick = true
	if !strings.Contains(p.Markdown(), "Do not quote") {
		t.Error("a quick run does not say so")
	}
}

func TestOverNothingIsNotARatio(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		ours, theirs float64
		want         float64
	}{
		{"plain", 1, 4, 0.25},
		{"nothing to divide by", 1, 0, math.NaN()},
		{"not measured here", math.NaN(), 1, math.NaN()},
		{"not measured there", 1, math.NaN(), math.NaN()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := report.Over(c.ours, c.theirs); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
