package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/demo"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// document is what a verb says, once, on the standard output: as JSON just so, or
// its text. Which of the parts are there depends on the verb.
type document struct {
	Verb    string `json:"verb"`
	Cluster string `json:"cluster,omitempty"`
	Exit    int    `json:"exit"`
	// DryRun says that nothing was touched, whatever else is here.
	DryRun bool `json:"dryRun,omitempty"`
	// Outcome is that of a change.
	Outcome reparent.Outcome `json:"outcome,omitempty"`
	// Error is why it is not Done, or why nothing could be found out.
	Error string `json:"error,omitempty"`

	Status   *clusterStatus     `json:"status,omitempty"`
	Findings []reparent.Finding `json:"findings,omitempty"`
	Plan     *reparent.Plan     `json:"plan,omitempty"`
	Report   *reparent.Report   `json:"report,omitempty"`
	Rejoin   *rejoined          `json:"rejoin,omitempty"`
	Demo     *demo.Result       `json:"demo,omitempty"`
	Setup    []setUp            `json:"setup,omitempty"`

	text string
}

// output is where a call writes.
type output struct {
	call     *call
	out, err *lockedWriter
	json     bool
	start    time.Time
}

func newOutput(a *app, c *call) *output {
	return &output{
		call: c, json: c.format == "json", start: time.Now(),
		out: &lockedWriter{out: a.stdout}, err: &lockedWriter{out: a.stderr},
	}
}

// hide keeps secrets out of whatever is written from here on, also where a server
// or a driver repeats one in an error. Shorter ones than a few letters could be
// part of any word.
func (o *output) hide(secrets []string, err error) error {
	if err != nil {
		return err
	}
	for _, s := range secrets {
		if len(s) < 4 {
			continue
		}
		all := []string{s}
		if quoted, err := json.Marshal(s); err == nil {
			all = append(all, strings.Trim(string(quoted), `"`))
		}
		o.out.secrets = append(o.out.secrets, all...)
		o.err.secrets = append(o.err.secrets, all...)
	}
	return nil
}

// print writes the document and returns its exit code. A reader that went away
// changes nothing about what was done.
func (o *output) print(d document) int {
	d.Verb = o.call.verb.name
	if o.call.cfg != nil {
		d.Cluster = o.call.cfg.Cluster
	}
	if !o.json {
		if d.text != "" {
			_, _ = o.out.Write([]byte(strings.TrimRight(d.text, "\n") + "\n"))
		}
		if d.Error != "" {
			o.errorf("failover: %s: %s", d.Verb, d.Error)
		}
		return d.Exit
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		o.errorf("failover: the result cannot be written as JSON: %v", err)
		return d.Exit
	}
	_, _ = o.out.Write(append(b, '\n'))
	return d.Exit
}

// fail prints an error and returns the code.
func (o *output) fail(code int, err error) int {
	d := document{Exit: code, Error: oneText(err)}
	if code == exitNotStarted {
		d.Outcome = reparent.NotStarted
	}
	return o.print(d)
}

// oneText puts the lines of joined errors after one another.
func oneText(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

func (o *output) errorf(format string, args ...any) {
	_, _ = fmt.Fprintf(o.err, format+"\n", args...)
}

// progress prints a line on the standard error, unless nobody wants to see it.
func (o *output) progress(format string, args ...any) {
	if !o.call.quiet {
		o.errorf("%7.3fs  %s", time.Since(o.start).Seconds(), fmt.Sprintf(format, args...))
	}
}

// hooks shows a change as it happens.
func (o *output) hooks() reparent.Hooks {
	what := func(e reparent.Event) string {
		s := string(e.Step)
		if e.Kind == leadership.KindUndo {
			s = "undo, " + s
		}
		return s
	}
	return reparent.Hooks{
		After: func(e reparent.Event) {
			switch {
			case e.Err != nil:
				o.progress("%-10s failed: %s", what(e), oneText(e.Err))
			case e.Step == reparent.StepBegin:
				o.progress("%-10s term %s", what(e), e.Term)
			case e.Step == reparent.StepPropose || e.Step == reparent.StepGrant:
				o.progress("%-10s %s", what(e), e.To)
			default:
				o.progress("%s", what(e))
			}
		},
		Testimony: func(t leadership.Testimony) {
			at := ""
			if t.Read != nil {
				at = " at " + clip(t.Read.String(), 60)
			}
			o.progress("  %s: %s %s%s", t.Node, t.Kind, t.Term, at)
		},
	}
}

// clip shortens what a person only has to recognise.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
