package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/peers/buffers"
	"github.com/tenure-go/tenure/examples/peers/change"
	"github.com/tenure-go/tenure/examples/peers/gates"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
	"github.com/tenure-go/tenure/examples/peers/quorums"
)

// group is a part of the comparison.
type group struct {
	name    string
	measure func(context.Context, report.Options) ([]report.Row, error)
}

func groups() []group {
	return []group{
		{"buffer", buffers.Measure},
		{"gate", gates.Measure},
		{"quorum", quorums.Measure},
		{"change", change.Measure},
	}
}

// flags are what the command line says.
type flags struct {
	quick       bool
	rounds      int
	out, groups string
	cpuProfile  string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	var f flags
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&f.quick, "quick", false, "measure each row small; the figures are not worth quoting")
	fs.IntVar(&f.rounds, "rounds", 0, "rounds per row; 0 is 7, and 1 with -quick")
	fs.StringVar(&f.out, "o", "", "file to write; none is standard output")
	fs.StringVar(&f.groups, "groups", "", "limit the run to groups whose names contain one of these, separated by commas")
	fs.StringVar(&f.cpuProfile, "cpuprofile", "", "write a CPU profile of the run to this file")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if f.cpuProfile != "" {
		file, err := os.Create(f.cpuProfile)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	text := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	page, err := measure(ctx, f, text)
	if err != nil {
		return err
	}
	if f.out == "" {
		_, err = io.WriteString(stdout, page.Markdown())
		return err
	}
	return os.WriteFile(f.out, []byte(page.Markdown()), 0o644)
}

// measure runs the groups, one after the other, and gathers their rows.
func measure(ctx context.Context, f flags, log *slog.Logger) (report.Page, error) {
	o := report.Options{Quick: f.quick, Rounds: f.rounds, Log: log}.Filled()
	page := report.Page{
		Machine: here(), Day: time.Now().UTC().Format(time.DateOnly),
		Peers: modules(), Rounds: o.Rounds, Quick: f.quick,
	}
	for _, g := range groups() {
		if !wanted(g.name, f.groups) {
			continue
		}
		log.Info("measuring", "group", g.name)
		rows, err := g.measure(ctx, o)
		if err != nil {
			return report.Page{}, fmt.Errorf("peers: group %s: %w", g.name, err)
		}
		page.Rows = append(page.Rows, rows...)
	}
	if len(page.Rows) == 0 {
		return report.Page{}, fmt.Errorf("peers: no group is called anything like %q", f.groups)
	}
	return page, nil
}

func wanted(name, list string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.Contains(name, strings.TrimSpace(part)) {
			return true
		}
	}
	return false
}
