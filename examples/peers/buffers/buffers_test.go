package buffers_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/tenure-go/tenure/examples/peers/buffers"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

func TestShow(t *testing.T) {
	rows, err := buffers.Measure(context.Background(), report.Options{Quick: true, Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		t.Logf("%-90s ours %.4g %s theirs %v ratio %.3g allocs %v bar %q met %v", r.Name, r.Ours, r.Unit, r.Theirs, r.Ratio, r.Allocs, r.Bar.Text, r.Met)
	}
}
