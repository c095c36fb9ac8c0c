package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

func TestAClusterIsLedChangedAndBroughtBackByTheVerbs(t *testing.T) {
	t.Parallel()
	x := newTool(t, "")
	ctx := t.Context()
	d, r := x.json(ctx, "status")
	require.Equal(t, exitAttention, r.code, "nobody leads yet")
	require.NotContains(t, d["status"], "record")

	x.bootstrapped()
	d, r = x.json(ctx, "status")
	require.Equal(t, exitOK, r.code, r.out)
	require.Equal(t, "n1", d["status"].(map[string]any)["leader"])

	d, r = x.json(ctx, "planned", "-to", "n2")
	require.Equal(t, exitOK, r.code, r.out)
	require.Equal(t, "done", d["outcome"])
	require.Contains(t, r.errOut, "revoke")

	x.m.stop("n2")
	r = x.run(ctx, "status")
	require.Equal(t, exitAttention, r.code, r.out)
	require.Contains(t, r.out, "could not lead")

	d, r = x.json(ctx, "emergency", "-quiet")
	require.Equal(t, exitOK, r.code, r.out)
	require.Empty(t, r.errOut, "-quiet says nothing on the standard error")
	to := d["report"].(map[string]any)["to"]
	require.Contains(t, []any{"n1", "n3"}, to)

	x.m.restart("n2")
	d, r = x.json(ctx, "rejoin", "n2", "-dry-run")
	require.Equal(t, exitOK, r.code, r.out)
	require.Contains(t, d["rejoin"].(map[string]any)["would"], "follow")
	d, r = x.json(ctx, "rejoin", "n2")
	require.Equal(t, exitOK, r.code, "%s %s", r.out, r.errOut)
	// A leader that sends to it meanwhile does the same.
	require.Contains(t, []any{"followed", "follows"}, d["rejoin"].(map[string]any)["did"])
	d, r = x.json(ctx, "rejoin", "n2")
	require.Equal(t, exitOK, r.code, r.out)
	require.Equal(t, "follows", d["rejoin"].(map[string]any)["did"])

	r = x.run(ctx, "refresh")
	require.Equal(t, exitOK, r.code, r.out)
	r = x.run(ctx, "resume")
	require.Equal(t, exitOK, r.code, r.out)
	r = x.run(ctx, "doctor")
	require.Equal(t, exitOK, r.code, r.out)
	require.Contains(t, r.out, "it only grows")
}

func TestOutcomesHaveExitCodesOfTheirOwn(t *testing.T) {
	t.Parallel()
	x := newTool(t, "").bootstrapped()
	ctx := t.Context()

	t.Run("not started", func(t *testing.T) {
		d, r := x.json(ctx, "planned", "-to", "n9")
		require.Equal(t, exitNotStarted, r.code, r.out)
		require.Equal(t, "not started", d["outcome"])
		require.NotEmpty(t, d["error"])
	})
	t.Run("restored", func(t *testing.T) {
		x.m.failing(thisTerm(func() error { return errors.New("the disk is full") }))
		d, r := x.json(ctx, "planned", "-to", "n2")
		x.m.failing(nil)
		require.Equal(t, exitRestored, r.code, r.out)
		require.Equal(t, "restored", d["outcome"])
		require.Contains(t, d["error"], "the disk is full")
	})
	t.Run("incomplete", func(t *testing.T) {
		x.m.failing(func(leadership.Marker) error { return errors.New("the disk is full") })
		d, r := x.json(ctx, "planned", "-to", "n2")
		x.m.failing(nil)
		require.Equal(t, exitIncomplete, r.code, r.out)
		require.Equal(t, "incomplete", d["outcome"])
		_, r = x.json(ctx, "resume")
		require.Equal(t, exitOK, r.code, r.out)
	})
	t.Run("superseded", func(t *testing.T) {
		// While it installs, another coordinator goes over it.
		var once sync.Once
		x.m.failing(thisTerm(func() error {
			once.Do(func() {
				if r := x.run(context.WithoutCancel(ctx), "emergency", "-to", "n2"); r.code != exitOK {
					t.Errorf("the other one: %d %s %s", r.code, r.out, r.errOut)
				}
			})
			return errors.New("too late")
		}))
		_, r := x.json(ctx, "planned", "-to", "n3")
		x.m.failing(nil)
		require.Equal(t, exitSuperseded, r.code, r.out)
	})
	for o, want := range map[string]int{"unknown": exitUnknown, "of the future": exitUnknown} {
		require.Equal(t, want, exitOf(reparent.Outcome(o)))
	}
}

// thisTerm fails the first term that is installed, and no later one.
func thisTerm(fail func() error) func(leadership.Marker) error {
	var mu sync.Mutex // guards first
	var first leadership.Term
	return func(k leadership.Marker) error {
		mu.Lock()
		if first.IsZero() {
			first = k.Term
		}
		mine := first == k.Term
		mu.Unlock()
		if mine {
			return fail()
		}
		return nil
	}
}

func TestADryRunTouchesNothing(t *testing.T) {
	t.Parallel()
	x := newTool(t, "watch:\n  enabled: true\n  interval: 20ms\n").bootstrapped()
	before, err := os.ReadFile(filepath.Join(x.dir, "registry"))
	require.NoError(t, err)
	asked := x.m.asked.Load()
	for _, args := range [][]string{
		{"planned", "-to", "n2"}, {"emergency"}, {"refresh"}, {"resume"}, {"rejoin", "n3"}, {"adopt", "-to", "n1"}, {"bootstrap", "-to", "n1"}, {"watch"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		r := x.run(ctx, append(args, "-dry-run", "-output", "json")...)
		cancel()
		switch args[0] {
		case "adopt", "bootstrap":
			require.Equal(t, exitNotStarted, r.code, "%v: the cluster exists already: %s", args, r.out)
		default:
			require.Equal(t, exitOK, r.code, "%v: %s %s", args, r.out, r.errOut)
		}
		if args[0] != "watch" {
			require.Contains(t, r.out, `"dryRun": true`, "%v", args)
		}
		after, err := os.ReadFile(filepath.Join(x.dir, "registry"))
		require.NoError(t, err)
		require.Equal(t, string(before), string(after), "%v wrote to the registry", args)
		require.Equal(t, asked, x.m.asked.Load(), "%v asked a node for more than its status", args)
	}
	posts, err := filepath.Glob(filepath.Join(x.dir, "registry.watch", "*"))
	require.NoError(t, err)
	require.Empty(t, posts, "watch -dry-run told the others something")
}

func TestEveryVerbThatChangesSomethingHasADryRun(t *testing.T) {
	t.Parallel()
	looks := []string{"status", "doctor", "plan", "help", "demo", "agent"}
	for _, v := range verbs() {
		require.Equal(t, !contains(looks, v.name), v.changes, v.name)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestCommandLinesThatMakeNoSenseAreRefusedBeforeAnythingIsOpened(t *testing.T) {
	t.Parallel()
	x := newTool(t, "")
	for _, c := range []struct{ name, args, want string }{
		{"no such verb", "promote", `no verb "promote"`},
		{"no such flag", "status -fast", "not defined"},
		{"an argument too many", "status n1", "takes 0 arguments"},
		{"a node is missing", "rejoin", "takes 1 arguments"},
		{"no such node", "rejoin n9", `no node "n9"`},
		{"no such kind", "plan promotion", `"promotion" is no kind of change`},
		{"to is missing", "planned", "planned needs -to"},
		{"to is missing in a plan", "plan adopt", "adopt needs -to"},
		{"no such format", "status -output yaml", "want text or json"},
		{"a statement about nobody", "emergency -accept-loss", "-gone, which is missing"},
		{"a statement without a reason", "emergency -gone n1", "reason"},
		{"a dry run of a look", "status -dry-run", "not defined"},
		{"watch is off", "watch", "watch is off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := x.run(t.Context(), strings.Fields(c.args)...)
			require.Equal(t, exitUsage, r.code, "%s %s", r.out, r.errOut)
			require.Contains(t, r.errOut, c.want)
			require.Empty(t, r.out)
		})
	}
	var out, errOut bytes.Buffer
	a := app{stdout: &out, stderr: &errOut}
	require.Equal(t, exitUsage, a.run(t.Context(), nil))
	require.Equal(t, exitOK, a.run(t.Context(), []string{"-help"}))
	require.Contains(t, out.String(), "superseded")
	require.Equal(t, exitUsage, a.run(t.Context(), []string{"status", "-config", filepath.Join(x.dir, "none")}))
	require.Contains(t, errOut.String(), "no such file")
	require.Equal(t, exitUsage, a.run(t.Context(), []string{"status", "-config", x.config}), "an engine that the program was made without")
}

// scrub takes out what differs from run to run.
func (x *tool) scrub(s string) string {
	for id, addr := range x.m.peers {
		s = strings.ReplaceAll(s, addr, "ADDR-"+string(id))
	}
	for _, r := range []struct{ re, with string }{
		{`"(took|gap|at)": [0-9]+`, `"$1": 0`},
		{`\.ops-[a-z0-9]{1,7}`, ".ops-nonce"},
		{`"incarnation": "[^"]*"`, `"incarnation": "x"`},
		// Followers hear later that a marker is decided.
		{`,\s*"decided": true`, ``},
	} {
		s = regexp.MustCompile(r.re).ReplaceAllString(s, r.with)
	}
	return s
}

func TestTheJSONOfEachVerbKeepsItsShape(t *testing.T) {
	t.Parallel()
	x := newTool(t, "")
	// Every member is there: however slow, each is waited for and none a straggler.
	text, err := os.ReadFile(x.config)
	require.NoError(t, err)
	patient := strings.Replace(string(text), "linger: 50ms", "linger: 20s", 1)
	require.NoError(t, os.WriteFile(x.config, []byte(patient), 0o600))
	for _, c := range []struct {
		name string
		args []string
	}{
		{"bootstrap", []string{"bootstrap", "-to", "n1"}},
		{"status", []string{"status"}},
		{"plan", []string{"plan", "planned", "-to", "n2"}},
		{"plan-refused", []string{"plan", "planned", "-to", "n9"}},
		{"doctor", []string{"doctor"}},
		{"rejoin", []string{"rejoin", "n2"}},
		{"rejoin-dry-run", []string{"rejoin", "n2", "-dry-run"}},
	} {
		r := x.run(t.Context(), append(c.args, "-output", "json")...)
		golden(t, c.name+".json", x.scrub(r.out))
	}
}

// golden compares with a file, which UPDATE=1 rewrites.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run with UPDATE=1 to make it")
	require.Equal(t, string(want), got, "%s; run with UPDATE=1 if it is meant to differ", name)
}

func TestAnInterruptUndoesWhatWasBegun(t *testing.T) {
	t.Parallel()
	x := newTool(t, "").bootstrapped()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x.m.failing(thisTerm(func() error {
		cancel() // what the first signal does
		return errors.New("interrupted")
	}))
	_, r := x.json(ctx, "planned", "-to", "n2")
	require.Equal(t, exitRestored, r.code, r.out)
	_, r = x.json(t.Context(), "status")
	require.Equal(t, exitOK, r.code, "somebody leads again: %s", r.out)
}

func TestWouldSaysWhatARejoinDoes(t *testing.T) {
	t.Parallel()
	t5, t6 := leadership.Term{Num: 5, Proposer: "a"}, leadership.Term{Num: 6, Proposer: "a"}
	to := leadership.Leadership{Leader: "n1", Term: t5}
	at := func(t leadership.Term, i uint64) leadership.Position {
		return leadership.Position{Term: t, Point: leadership.LogPoint{Index: i}}
	}
	lead := leadership.Status{Node: "n1", Reachable: true, Leads: t5, Promised: t5, Position: at(t5, 9)}
	for _, c := range []struct {
		name   string
		s      leadership.Status
		repair bool
		want   string
	}{
		{"the leader", lead, true, "it leads"},
		{"the leader lost its grant", leadership.Status{Node: "n1", Reachable: true}, true, "does not: refresh"},
		{"it promised more", leadership.Status{Node: "n2", Reachable: true, Promised: t6}, true, "refresh brings it back"},
		{"it follows", leadership.Status{Node: "n2", Reachable: true, Source: to, Position: at(t5, 3)}, true, "nothing to do"},
		{"it is behind", leadership.Status{Node: "n2", Reachable: true, Position: at(t5, 3)}, true, "made to follow"},
		{"it went astray", leadership.Status{Node: "n2", Reachable: true, Position: at(t5, 12)}, true, "would be repaired"},
		{"it may not be repaired", leadership.Status{Node: "n2", Reachable: true, Position: at(t5, 12)}, false, "cannot follow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, would(to, c.s, lead, c.repair, false), c.want)
		})
	}
}
