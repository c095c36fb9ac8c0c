package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // a check failed: something was lost, out of order, or cost an error that it must not
	exitUsage       = 2 // a flag makes no sense; nothing was started
	exitBroken      = 3 // the show could not be run to its end
	exitInterrupted = 130
)

// The program runs itself: roleVar says as what.
const (
	roleVar         = "TENURE_QUICKSTART_ROLE"
	roleMember      = "member"
	roleCoordinator = "coordinator"
)

func main() {
	if code, ok := asChild(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// asChild runs the process as what its parent started it for, false when it is
// the parent.
func asChild() (code int, ok bool) {
	switch os.Getenv(roleVar) {
	case roleMember:
		return kv.Main(os.Args[1:]), true
	case roleCoordinator:
		return coordinate(os.Args[1:], os.Stdin, os.Stdout, os.Stderr), true
	}
	return 0, false
}

// options are what the flags say, checked.
type options struct {
	members, clients int
	duration         time.Duration
	rules            leadership.Ruleset
	policy           string
	keep, verbose    bool
	dir, svg         string
	// acts is what is played, nil for all of it.
	acts []act
}

// flagError is returned for a flag that makes no sense. Nothing was touched.
type flagError struct{ flag, reason string }

func (e *flagError) Error() string { return "quickstart: -" + e.flag + " " + e.reason }

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.members, "members", 5, "members of the cluster, 3 to 9")
	fs.IntVar(&o.clients, "clients", 64, "clients of the closed-loop load, 1 to 1024")
	fs.DurationVar(&o.duration, "duration", 40*time.Second, "how long the load runs, at least; 1s to 1h")
	fs.StringVar(&o.policy, "policy", "majority", `durability policy, such as majority or "at-least(3)"`)
	fs.BoolVar(&o.keep, "keep", false, "keep the data directory")
	fs.StringVar(&o.dir, "dir", "", "data directory, empty or to be made; default is a temporary one")
	fs.StringVar(&o.svg, "svg", "", "write a picture of latency over time to this file")
	fs.BoolVar(&o.verbose, "v", false, "print every step, and every report in full")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, &flagError{fs.Arg(0), "is no flag"}
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.members < 3 || o.members > 9:
		return &flagError{"members", fmt.Sprintf("is %d, want 3 to 9: one of them is going to be killed", o.members)}
	case o.clients < 1 || o.clients > 1024:
		return &flagError{"clients", fmt.Sprintf("is %d, want 1 to 1024", o.clients)}
	case o.duration < time.Second || o.duration > time.Hour:
		return &flagError{"duration", fmt.Sprintf("is %s, want 1s to 1h", o.duration)}
	}
	if o.svg != "" {
		if st, err := os.Stat(filepath.Dir(o.svg)); err != nil || !st.IsDir() {
			return &flagError{"svg", "names a file in a directory that is not there"}
		}
	}
	if o.dir != "" {
		if es, err := os.ReadDir(o.dir); len(es) > 0 {
			return &flagError{"dir", "is not empty: " + o.dir}
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			return &flagError{"dir", "cannot be used: " + err.Error()}
		}
	}
	return o.checkPolicy()
}

// checkPolicy makes the ruleset and refuses one under which the loss of one
// member could not be survived: the show kills one.
func (o *options) checkPolicy() error {
	p, err := (*leadership.Catalog)(nil).ParsePolicy(o.policy)
	if err != nil {
		return &flagError{"policy", fmt.Sprintf("cannot be used: %v", err)}
	}
	var nodes []leadership.Node
	for i := range o.members {
		nodes = append(nodes, leadership.Node{ID: leadership.NodeID(fmt.Sprintf("n%d", i+1))})
	}
	if o.rules, err = leadership.NewRuleset(p, nodes...); err != nil {
		return &flagError{"policy", fmt.Sprintf("cannot be used: %v", err)}
	}
	rules, err := o.rules.Compile(nil)
	if err != nil {
		return &flagError{"policy", fmt.Sprintf("cannot be used: %v", err)}
	}
	all := rules.Members()
	for lost := range all.All() {
		name := rules.Cohort().Node(lost).ID
		alone := leadership.SetOf(lost)
		if rules.Durable(lost, alone) {
			return &flagError{"policy", fmt.Sprintf("is %s: %s could complete writes alone, so nobody could take over safely once it is killed", o.policy, name)}
		}
		for l := range all.All() {
			if l != lost && !rules.Durable(l, all.Minus(alone)) {
				return &flagError{"policy", fmt.Sprintf("is %s: without %s nothing could be completed, and the show kills members", o.policy, name)}
			}
		}
	}
	return nil
}

// run is the whole program but for the process: it returns the exit code. What
// it started has ended, and what it wrote is gone unless it was asked to stay.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitUsage
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	return o.run(ctx, stdout, stderr)
}

func (o options) run(ctx context.Context, stdout, stderr io.Writer) int {
	// Children are tied to the thread that starts them, see tie.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	failed, err := perform(ctx, o, stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "quickstart: interrupted; everything was ended and cleaned up")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "quickstart:", err)
		return exitBroken
	case failed:
		return exitFailed
	}
	return exitOK
}

// perform starts the cluster, runs the acts under load, prints the table and
// verifies. failed says that a check did not hold; err that it could not be
// run to its end.
func perform(ctx context.Context, o options, out io.Writer) (failed bool, err error) {
	c, err := newCluster(o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, c.end(ctx)) }()
	if err := c.startAll(ctx); err != nil {
		return false, err
	}
	epoch := time.Now()
	r, err := newRouter(c.registry, c.peers)
	if err != nil {
		return false, err
	}
	defer r.close()
	sh, err := newShow(out, o, c, r, epoch)
	if err != nil {
		return false, err
	}
	s := &script{o: o, c: c, r: r, show: sh, epoch: epoch}
	if err := s.bootstrap(ctx); err != nil {
		sh.close()
		return false, err
	}
	s.load = startLoad(ctx, r, o.clients, epoch)
	sh.start(ctx, s.load)
	err = s.play(ctx)
	ops := s.load.stop()
	sh.close()
	if ctx.Err() != nil {
		return false, nil
	}
	cost := report(s.changes, ops, s.load.ended)
	fmt.Fprintf(out, "\n%s", table(cost))
	if o.svg != "" {
		if e := os.WriteFile(o.svg, []byte(cost.SVG()), 0o644); e != nil {
			err = errors.Join(err, e)
		}
	}
	// An act that went wrong does not save the rest from being checked.
	v := s.verify(ctx, ops, cost)
	if ctx.Err() != nil {
		return false, nil
	}
	fmt.Fprintf(out, "\n%s", v)
	return !v.ok(), err
}
