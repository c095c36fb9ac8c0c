package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitBroken      = 3
	exitInterrupted = 130
)

const (
	clusterName = "orders"
	// backendVar says that the program was started as a backend.
	backendVar = "TENURE_HTTPSERVER_BACKEND"
	// slot is how much time a restart gets.
	slot = 1500 * time.Millisecond
)

func main() {
	if code, ok := asBackend(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func asBackend() (code int, ok bool) {
	if os.Getenv(backendVar) == "" {
		return 0, false
	}
	return serveBackend(os.Args[1:], os.Stdin, os.Stdout, os.Stderr), true
}

// options are what the flags say.
type options struct {
	duration time.Duration
	clients  int
	plain    bool
	verbose  bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := flag.NewFlagSet("httpserver", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.DurationVar(&o.duration, "duration", 15*time.Second, "how long the load runs, over all; 2s to 1h")
	fs.IntVar(&o.clients, "clients", 16, "clients, 1 to 1000")
	fs.BoolVar(&o.plain, "plain", true, "show the same with a plain proxy and http.Server.Shutdown")
	fs.BoolVar(&o.verbose, "v", false, "print the report of every change")
	err := fs.Parse(args)
	switch {
	case err != nil:
		return exitUsage
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "httpserver: %q is no flag\n", fs.Arg(0))
		return exitUsage
	case o.duration < 2*time.Second || o.duration > time.Hour:
		fmt.Fprintf(stderr, "httpserver: -duration is %s, want 2s to 1h\n", o.duration)
		return exitUsage
	case o.clients < 1 || o.clients > 1000:
		fmt.Fprintf(stderr, "httpserver: -clients is %d, want 1 to 1000\n", o.clients)
		return exitUsage
	}
	failed, err := perform(ctx, o, stdout)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "httpserver: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "httpserver:", err)
		return exitBroken
	case failed:
		return exitFailed
	}
	return exitOK
}

// perform plays both phases. Only the first can fail.
func perform(ctx context.Context, o options, out io.Writer) (failed bool, err error) {
	dir, err := os.MkdirTemp("", "tenure-httpserver-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	each := o.duration
	if o.plain {
		each = o.duration * 2 / 3
	}
	fmt.Fprintln(out, "With a gate in each backend and a buffer in the proxy:")
	v, steps, err := phase(ctx, o, filepath.Join(dir, "tenure"), each, false, out)
	if err != nil {
		return false, err
	}
	for _, p := range v.problems {
		fmt.Fprintln(out, "FAILED:", p)
	}
	if bad := v.all.Errors + v.all.Unknown; bad > 0 {
		fmt.Fprintf(out, "FAILED: %d of %d requests failed, the first with %s\n", bad, v.all.Requests, v.all.First)
	}
	failed = v.all.Errors+v.all.Unknown+len(v.problems) > 0 || v.writes == 0
	if o.plain {
		fmt.Fprintln(out, "\nFor contrast, with http.Server.Shutdown and a proxy that asks who is ready every "+pollEvery.String()+":")
		p, n, err := phase(ctx, o, filepath.Join(dir, "plain"), o.duration-each, true, out)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(out, "%d of %d requests failed in %d restarts\n", p.all.Errors+p.all.Unknown, p.all.Requests, n)
	}
	if !failed {
		fmt.Fprintf(out, "\nok: %d restarts, %d requests, none failed; %d writes acknowledged, each is there once, and the leaders wrote one after the other\n", steps, v.all.Requests, v.writes)
	}
	return failed, nil
}

// phase runs the load for d while both backends are restarted in turn.
func phase(ctx context.Context, o options, dir string, d time.Duration, plain bool, out io.Writer) (v verdict, restarts int, err error) {
	dep, err := newDeployment(dir, plain)
	if err != nil {
		return v, 0, err
	}
	defer func() { err = errors.Join(err, dep.stopAll()) }()
	for _, id := range ids {
		if err := dep.start(id); err != nil {
			return v, 0, err
		}
	}
	f, guard, end, err := connect(ctx, o, dep)
	if err != nil {
		return v, 0, err
	}
	defer func() { err = errors.Join(err, end()) }()
	l := startLoad(ctx, f.addr, o.clients)
	steps, err := roll(ctx, dep, guard, l.epoch, d)
	ops := l.end()
	if err != nil {
		return v, 0, err
	}
	fmt.Fprint(out, table(report(steps, ops)))
	for _, s := range steps {
		if o.verbose && s.report != "" {
			fmt.Fprintf(out, "\n%s\n%s", s.name, s.report)
		}
	}
	v, err = verify(dep.store, ops, !plain)
	return v, len(steps), err
}

// connect puts a proxy in front of the backends, and makes the first leader.
// The guard is nil in a plain phase.
func connect(ctx context.Context, o options, dep *deployment) (*front, *reparent.Guard, func() error, error) {
	if dep.plain {
		f, err := plainFront(dep.addrs, o.clients)
		if err != nil {
			return nil, nil, nil, err
		}
		return f, nil, f.end, nil
	}
	path := filepath.Join(dep.dir, "registry")
	reg, err := leadership.OpenFileRegistry(path)
	if err != nil {
		return nil, nil, nil, err
	}
	client := &http.Client{Transport: &http.Transport{}}
	end := func() error {
		client.CloseIdleConnections()
		return reg.Close()
	}
	f, err := bufferFront(path, o.clients)
	if err != nil {
		return nil, nil, nil, errors.Join(err, end())
	}
	all := func() error { return errors.Join(f.end(), end()) }
	guard, err := bootstrap(ctx, dep, reg, client)
	if err != nil {
		return nil, nil, nil, errors.Join(err, all())
	}
	return f, guard, all, nil
}

// bootstrap makes n1 the leader.
func bootstrap(ctx context.Context, dep *deployment, reg leadership.Registry, client *http.Client) (*reparent.Guard, error) {
	// A leader answers alone: nobody acknowledges what it does. So nobody may
	// lead before it is known of every other backend that it does not.
	rules, err := leadership.NewRuleset(leadership.Any(), leadership.Node{ID: ids[0]}, leadership.Node{ID: ids[1]})
	if err != nil {
		return nil, err
	}
	guard, err := reparent.New(clusterName, reg, nodes(dep.addrs, client), reparent.Config{By: "deploy", Limits: reparent.Limits{
		HoldFor: 2 * time.Second, Drain: time.Second, Linger: 50 * time.Millisecond,
	}})
	if err != nil {
		return nil, err
	}
	if _, err := guard.Run(ctx, reparent.Bootstrap(rules, ids[0])); err != nil {
		return nil, err
	}
	return guard, nil
}

// roll restarts one backend after the other, for as long as the load runs.
func roll(ctx context.Context, dep *deployment, guard *reparent.Guard, epoch time.Time, d time.Duration) (steps []*step, err error) {
	n := max(2, int(d/slot)&^1) // each as often as the other
	for i := range n {
		id := ids[i%2]
		if err := sleep(ctx, epoch.Add(d*time.Duration(2*i+1)/time.Duration(2*n+1))); err != nil {
			return steps, err
		}
		s := &step{name: fmt.Sprintf("restart %s, v%d to v%d", id, dep.versions[id], dep.versions[id]+1), result: "done", begin: time.Since(epoch)}
		steps = append(steps, s)
		if guard != nil {
			rep, err := guard.Run(ctx, reparent.Planned(other(id)))
			if rep != nil {
				s.result, s.report = string(rep.Outcome), rep.String()
			}
			if err != nil {
				return steps, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if err := dep.stop(id); err != nil {
			return steps, err
		}
		if err := dep.start(id); err != nil {
			return steps, err
		}
		s.end = time.Since(epoch)
	}
	return steps, sleep(ctx, epoch.Add(d))
}

func sleep(ctx context.Context, until time.Time) error {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
