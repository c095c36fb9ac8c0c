// Package demo changes the leader of three real servers in every way there is, under
// a write load, with the tool itself: each change is a process of the program, and
// three watchers of it look for a dead leader.
//
//	r, err := demo.Run(ctx, demo.Options{Engine: "mariadb", Exe: exe, Say: say})
//	fmt.Print(r.Table)
//
// It proves at the end that every acknowledged write is on every server, and that no
// planned change, and nothing outside of a change, cost a writer an error.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/measure"
)

// Options say what to show.
type Options struct {
	// Engine is one of the configuration's. Required.
	Engine string
	// Exe is the program. Required.
	Exe string
	// Writers is how many there are, in two processes. Default 8.
	Writers int
	// SVG is a file for the picture, "" for none.
	SVG string
	// Say is told what happens. Required.
	Say func(format string, args ...any)
}

// Result is what was shown.
type Result struct {
	Engine string `json:"engine"`
	// Changes are the rows of the table.
	Changes []Row `json:"changes"`
	// Attempts are writes, of which Acked were acknowledged. Unknown are those of
	// unknown outcome, of which Present are there.
	Attempts int `json:"attempts"`
	Acked    int `json:"acked"`
	Unknown  int `json:"unknown"`
	Present  int `json:"present"`
	// Problems are what must not be: a lost write, an error of a planned change.
	Problems []string `json:"problems,omitempty"`
	Table    string   `json:"-"`
}

// Row is one change.
type Row struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	// Strict says that it must not cost an error.
	Strict bool `json:"strict"`
	// Leaderless is from when the leader began to be revoked, or was gone, until
	// the next one was granted. Gap is the longest time that one writer went
	// without an acknowledgement.
	Leaderless time.Duration `json:"leaderless"`
	Gap        time.Duration `json:"gap"`
	Errors     int           `json:"errors"`
	Unknown    int           `json:"unknown"`
}

const (
	// before and after are what belongs to the window of a change, beside it.
	before = 100 * time.Millisecond
	after  = 500 * time.Millisecond
	// patience bounds each write, as an application would.
	patience = 5 * time.Second
)

// patient lets servers of a busy machine take their time. A leader of PostgreSQL that
// stepped down is restarted once the next one serves.
func patient(engine string) string {
	linger := "200ms"
	if engine == config.PostgresEngine {
		linger = "3s"
	}
	return "limits:\n  status: 3s\n  linger: " + linger + "\n"
}

// run is one demo.
type run struct {
	opt Options
	*stage.Operator
	load    *load.Load
	epoch   time.Time
	changes []measure.Change
}

// Run shows it. The result is there whenever the load ran, also beside an error,
// which says that it could not be shown to its end. Everything that was started has
// ended when it returns.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	if o.Writers == 0 {
		o.Writers = 8
	}
	// Children end with the thread that starts them, see stage.Operator.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "failover-demo-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	host, err := engines.NewHost()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	o.Say("three servers of %s are being started", o.Engine)
	s, err := stage.New(ctx, host, stage.Options{Engine: o.Engine, Dir: dir, More: patient(o.Engine) + stage.QuickWatch})
	if err != nil {
		return nil, err
	}
	r := &run{opt: o, Operator: &stage.Operator{Stage: s, Exe: o.Exe, Say: o.Say}}
	return r.show(ctx)
}

// show makes the first leadership, plays under load, and judges.
func (r *run) show(ctx context.Context) (*Result, error) {
	if err := r.Begin(ctx); err != nil {
		return nil, err
	}
	cfg, err := r.Load(r.opt.Writers, r.Exe)
	if err != nil {
		return nil, err
	}
	cfg.Spec.Pause, cfg.Spec.Patience = 2*time.Millisecond, patience
	r.epoch = time.Now()
	if r.load, err = load.Start(ctx, cfg); err != nil {
		return nil, err
	}
	played := r.Await(ctx, "the load", func(ctx context.Context) error { return r.load.AwaitAcks(ctx, 20) })
	if played == nil {
		played = r.play(ctx)
	}
	r.EndWatch()
	r.Say("the load ends")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stage.StepBound)
	defer cancel()
	h, err := r.load.Stop(stop)
	if err = errors.Join(played, err); err != nil {
		return nil, err
	}
	res, err := r.judge(ctx, h)
	if err == nil && r.opt.SVG != "" {
		err = os.WriteFile(r.opt.SVG, []byte(r.report(h).SVG()), 0o644)
	}
	return res, err
}

func (r *run) now() time.Duration { return time.Since(r.epoch) }

// report is what the changes cost.
func (r *run) report(h load.History) measure.Report {
	end := time.Now()
	return measure.Report{Changes: r.changes, Ops: h.Ops(r.epoch, end), End: end.Sub(r.epoch), Before: before, After: after}
}

// judge compares what the writers were told with what the servers have.
func (r *run) judge(ctx context.Context, h load.History) (*Result, error) {
	lead, err := r.Leader(ctx)
	if err != nil {
		return nil, err
	}
	v, err := r.Settled(ctx, h, lead)
	if err != nil {
		return nil, err
	}
	rep := r.report(h)
	res := &Result{
		Engine: r.Engine, Attempts: v.Attempts, Acked: v.Acked, Unknown: v.Unknown + v.Other, Present: v.Present,
		Table: rep.Table("three watchers look for it every 100ms"),
	}
	for i, ch := range r.changes {
		c := rep.Costs(i)
		res.Changes = append(res.Changes, Row{
			Name: ch.Name, Result: ch.Result, Strict: ch.Strict, Leaderless: ch.Leaderless, Gap: rep.Gap(i), Errors: c.Errors, Unknown: c.Unknown,
		})
	}
	res.Problems = problems(rep, v)
	return res, nil
}

// problems are what must not be: a promise to a writer that was broken, and an error
// at a change that must not cost one, or at none.
func problems(rep measure.Report, v load.Verdict) (all []string) {
	for _, p := range v.Problems {
		all = append(all, p.String())
	}
	if err := v.Err(); err != nil && len(v.Problems) == 0 {
		all = append(all, err.Error())
	}
	for i, ch := range rep.Changes {
		if c := rep.Costs(i); ch.Strict && c.Errors+c.Unknown > 0 {
			all = append(all, fmt.Sprintf("%s cost %d errors and %d unknown outcomes: %v", ch.Name, c.Errors, c.Unknown, c.First))
		}
	}
	if c := rep.Calm(); c.Errors+c.Unknown > 0 {
		all = append(all, fmt.Sprintf("%d errors and %d unknown outcomes were at no change: %v", c.Errors, c.Unknown, c.First))
	}
	return all
}
