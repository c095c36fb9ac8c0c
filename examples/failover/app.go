package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
)

// app is the tool, but for what belongs to the process.
type app struct {
	stdout, stderr io.Writer
	engines        map[string]engine
}

// verb is one thing that the tool does.
type verb struct {
	name, args, about string
	// positional is how many arguments it takes.
	positional int
	// flags adds its own.
	flags func(*flag.FlagSet, *call)
	// bare says that it needs no configuration.
	bare bool
	// prepare makes the configuration what the verb needs, before any password of
	// it is read; nil: it is.
	prepare func(*call) error
	// changes says that it changes something, and so can be tried with -dry-run.
	changes bool
	run     func(context.Context, *call) int
}

func verbs() []verb {
	to := func(fs *flag.FlagSet, c *call) { fs.StringVar(&c.to, "to", "", "the node that is to lead") }
	force := func(fs *flag.FlagSet, c *call) {
		fs.BoolVar(&c.force, "force", false, "begin although another change is under way, or although it is expected to fail")
	}
	late := func(fs *flag.FlagSet, c *call) {
		fs.BoolVar(&c.late, "go-on-if-late", false, "go on although routers have requests in flight; those may fail")
	}
	waive := func(fs *flag.FlagSet, c *call) {
		fs.StringVar(&c.gone, "gone", "", "nodes, comma-separated, that will never come back; a person's statement, recorded")
		fs.BoolVar(&c.loss, "accept-loss", false, "with -gone: go on although writes may have been complete on those nodes alone")
		fs.StringVar(&c.reason, "reason", "", "with -gone: why")
	}
	all := func(fs ...func(*flag.FlagSet, *call)) func(*flag.FlagSet, *call) {
		return func(set *flag.FlagSet, c *call) {
			for _, f := range fs {
				f(set, c)
			}
		}
	}
	return []verb{
		{name: "status", about: "who leads, what holds for each node, who could lead and why not", run: status},
		{name: "doctor", about: "what in the servers' configuration can lose data, and what mends it", run: doctor},
		{name: "plan", args: "KIND", positional: 1, about: "what a change would do: planned, emergency, refresh, resume, bootstrap, adopt", flags: all(to, force, waive), run: plan},
		{name: "planned", about: "hand the leadership to the node -to, at no cost but latency", changes: true, flags: all(to, force, late), run: change},
		{name: "emergency", about: "the leader is gone: establish the best node that is reached", changes: true, flags: all(to, force, waive), run: change},
		{name: "refresh", about: "establish the leader again under a new term; brings back stranded followers", changes: true, flags: all(force, late), run: change},
		{name: "resume", about: "finish or undo what a coordinator left behind", changes: true, flags: all(force, waive), run: change},
		{name: "setup", args: "NODE", positional: 1, about: "make the record of promises of a new member, once; all: of every node", changes: true, run: setup},
		{name: "bootstrap", about: "the first leadership of empty servers, at the node -to", changes: true, flags: all(to), run: change},
		{name: "adopt", about: "take over servers that replicate already and are led by -to", changes: true, flags: all(to, late), run: change},
		{name: "rejoin", args: "NODE", positional: 1, about: "bring one node back to the leader; repairs it when it has what the leader has not", changes: true, flags: func(fs *flag.FlagSet, c *call) {
			fs.BoolVar(&c.noRepair, "no-repair", false, "only follow: discard nothing")
		}, run: rejoin},
		{name: "watch", about: "look at the leader and replace it when it is dead; off unless the configuration enables it", changes: true, flags: func(fs *flag.FlagSet, c *call) {
			fs.StringVar(&c.name, "name", "", "this observer's name, instead of the configuration's")
		}, run: watch},
		{name: "agent", args: "NODE", positional: 1, about: "serve the PostgreSQL node of this machine to the tool on other machines", prepare: prepareAgent, flags: func(fs *flag.FlagSet, c *call) {
			fs.StringVar(&c.listen, "listen", "", "host:port to listen at, instead of those of the node's agent URL")
		}, run: runAgent},
		{name: "demo", args: "ENGINE", positional: 1, about: "three local servers, load, and every kind of change: mariadb or postgres", bare: true, flags: demoFlags, run: runDemo},
		{name: "help", about: "this", bare: true, run: help},
	}
}

// call is one run of a verb.
type call struct {
	app  *app
	verb verb
	cfg  *config.Config
	out  *output
	args []string

	path, format string
	quiet, dry   bool

	to, gone, reason string
	force, late      bool
	loss, noRepair   bool
	name, listen     string
	beside           beside
	demo             demoOptions
}

// run does what the arguments say and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	c := &call{app: a}
	if err := c.parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(a.stderr, "failover:", err)
			fmt.Fprintln(a.stderr, `Run "failover help" for the verbs and their flags.`)
		}
		return exitUsage
	}
	c.out = newOutput(a, c)
	if !c.verb.bare {
		cfg, err := config.Load(c.path)
		if err != nil {
			return c.out.fail(exitUsage, err)
		}
		if c.cfg = cfg; a.engines[cfg.Engine] == nil {
			return c.out.fail(exitUsage, &usageError{"there is no engine " + cfg.Engine})
		}
		if c.verb.prepare != nil {
			if err := c.verb.prepare(c); err != nil {
				return c.out.fail(exitUsage, err)
			}
		}
		if err := c.out.hide(cfg.Secrets()); err != nil {
			return c.out.fail(exitUsage, err)
		}
	}
	return c.verb.run(ctx, c)
}

// parse reads the verb, its flags and its arguments, in any order.
func (c *call) parse(args []string) error {
	if len(args) == 0 {
		return &usageError{"no verb was given"}
	}
	vs := verbs()
	name := strings.TrimLeft(args[0], "-")
	i := slices.IndexFunc(vs, func(v verb) bool { return v.name == cmp.Or(name, "help") })
	if name == "h" {
		i = len(vs) - 1
	}
	if i < 0 {
		return &usageError{fmt.Sprintf("there is no verb %q", args[0])}
	}
	c.verb = vs[i]
	fs := c.flagSet()
	fs.SetOutput(c.app.stderr)
	for rest := args[1:]; ; {
		if err := fs.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return err
			}
			return &usageError{fmt.Sprintf("%s: %v", c.verb.name, err)}
		}
		if fs.NArg() == 0 {
			break
		}
		c.args, rest = append(c.args, fs.Arg(0)), fs.Args()[1:]
	}
	if len(c.args) != c.verb.positional {
		return &usageError{fmt.Sprintf("%s takes %d arguments, not %d: failover %s %s", c.verb.name, c.verb.positional, len(c.args), c.verb.name, c.verb.args)}
	}
	if c.format != "text" && c.format != "json" {
		return &usageError{fmt.Sprintf("-output is %q, want text or json", c.format)}
	}
	if (c.loss || c.reason != "") && c.gone == "" {
		return &usageError{"-accept-loss and -reason are about the nodes of -gone, which is missing"}
	}
	return nil
}

func (c *call) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("failover "+c.verb.name, flag.ContinueOnError)
	fs.StringVar(&c.format, "output", "text", "text or json, on the standard output")
	fs.BoolVar(&c.quiet, "quiet", false, "no progress on the standard error")
	if !c.verb.bare {
		fs.StringVar(&c.path, "config", "failover.yaml", "the configuration")
	}
	if c.verb.changes {
		fs.BoolVar(&c.dry, "dry-run", false, "touch nothing, and say what would be done")
	}
	if c.verb.flags != nil {
		c.verb.flags(fs, c)
	}
	return fs
}

// help prints the manual.
func help(_ context.Context, c *call) int {
	var b strings.Builder
	b.WriteString("failover changes the leader of a replicated MariaDB or PostgreSQL, planned or not.\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(&b, "  failover %-16s %s\n", strings.TrimSpace(v.name+" "+v.args), v.about)
	}
	b.WriteString("\nEach verb says which flags it takes: failover VERB -h\n\nExit codes\n\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "  %-4d %s\n", e.code, e.name)
	}
	_, _ = io.WriteString(c.app.stdout, b.String()) // a reader that went away needs no help
	return exitOK
}

// lockedWriter makes each Write whole, and takes out what must not be seen.
type lockedWriter struct {
	mu      sync.Mutex // guards what follows
	out     io.Writer
	secrets []string
}

// clean takes out of a text what must not be seen.
func (w *lockedWriter) clean(s string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cleaned(s)
}

func (w *lockedWriter) cleaned(s string) string {
	for _, secret := range w.secrets {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := io.WriteString(w.out, w.cleaned(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}
