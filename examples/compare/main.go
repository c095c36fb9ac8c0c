// Command compare shows what a change of the leader costs an application that writes,
// with this library and with the tools that others use, on the same machine, under the
// same load, in alternating runs.
//
//	go run . [-rounds 3] [-planned 3] [-zombies 1] [-only postgres|mariadb] [-o ../../COMPARISON.md]
//
// PostgreSQL: the tool of examples/failover against Patroni, whose clients reach the
// leader directly and through HAProxy. MariaDB: against MHA. The registry of both sides
// is an etcd of one member. Three servers each are started on loopback, as an
// unprivileged user, in directories of their own. What is not installed is left out, and
// the result says so.
//
// Writers are processes of their own. Each notes every attempt before it begins and when
// it ends; afterwards every id that was acknowledged is looked for on every server.
//
// It exits with 1 when it could not be run, or a run of ours could not be made or broke a
// promise: an acknowledged write lost, or an error at a planned change.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
)

func main() {
	if code, ok := load.Main(openClient); ok {
		os.Exit(code)
	}
	// Children end with the thread that starts them.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := process(ctx)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func process(ctx context.Context) (err error) {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	rounds := fs.Int("rounds", 3, "how often each run is made, 1 to 50")
	planned := fs.Int("planned", 3, "how many planned changes each cluster makes in a round, 1 to 20")
	only := fs.String("only", "", "postgres or mariadb; both by default")
	out := fs.String("o", "", "write the result to this file too")
	who := fs.String("who", "", "only sides whose name has this in it")
	zombies := fs.Int("zombies", 1, "in how many of the rounds leaders are frozen too, with the quicker settings of each tool")
	if err := fs.Parse(os.Args[1:]); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("there is nothing to do with %q", fs.Args())
	case *rounds < 1 || *rounds > 50:
		return fmt.Errorf("-rounds is %d, want 1 to 50", *rounds)
	case *planned < 1 || *planned > 20:
		return fmt.Errorf("-planned is %d, want 1 to 20", *planned)
	case *only != "" && *only != string(engines.Postgres) && *only != string(engines.MariaDB):
		return fmt.Errorf("-only is %q, want postgres or mariadb", *only)
	}
	c, err := newCompare(ctx, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.who, c.planned = *who, *planned
	begin := time.Now()
	sides := c.sides(*only)
	for _, l := range c.left {
		c.say("left out: %s", l)
	}
	for n := range *rounds {
		if n >= *zombies {
			c.events = slices.DeleteFunc(c.events, func(e account.Event) bool { return e == account.Zombie })
		}
		for _, s := range order(sides, n) {
			c.say("round %d of %d, %s: %s", n+1, *rounds, time.Since(begin).Round(time.Second), s.name)
			err := s.run(ctx)
			if ctx.Err() != nil {
				return errors.Join(context.Cause(ctx), err)
			}
			if err != nil {
				c.say("  %s: %v", s.name, err)
				c.fail(s, n+1, err)
			}
		}
	}
	text := c.report(ctx, *rounds, time.Since(begin))
	fmt.Print(text)
	if *out != "" {
		if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return c.judge()
}

// order turns the sides by one with each round, so that none is always first.
func order[T any](all []T, round int) []T {
	if len(all) == 0 {
		return nil
	}
	n := round % len(all)
	return append(append([]T(nil), all[n:]...), all[:n]...)
}

// newCompare makes what all runs share: a host for servers, and the tool.
func newCompare(ctx context.Context, say func(string, ...any)) (_ *compare, err error) {
	c := &compare{say: say, events: account.Events(), conns: []int{connections, 2 * connections}, planned: 1}
	if c.dir, err = os.MkdirTemp("", "compare-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	c.tool = filepath.Join(c.dir, "failover")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", c.tool, "github.com/tenure-go/tenure/examples/failover")
	if b, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the tool cannot be built: %w\n%s", err, b)
	}
	if c.exe, err = os.Executable(); err != nil {
		return nil, err
	}
	c.host, err = engines.NewHost()
	return c, err
}

func (c *compare) close() error {
	var err error
	if c.host != nil {
		err = c.host.Close()
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}
