package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// holdFor is how long routers hold for one change before they try for
// themselves: well above what a planned change takes.
const holdFor = time.Second

// order is what a coordinator process is told to do.
type order struct {
	By       string                       `json:"by"`
	Do       leadership.Kind              `json:"do"` // or "sweep"
	To       leadership.NodeID            `json:"to,omitempty"`
	Led      bool                         `json:"led,omitempty"` // the leader leads it
	Force    bool                         `json:"force,omitempty"`
	Veto     reparent.Step                `json:"veto,omitempty"`  // fails before this step
	Block    reparent.Step                `json:"block,omitempty"` // hangs before this step
	Registry string                       `json:"registry"`
	Peers    map[leadership.NodeID]string `json:"peers"`
	Rules    *leadership.Ruleset          `json:"rules,omitempty"`
}

const doSweep leadership.Kind = "sweep"

// message is one line that a coordinator writes.
type message struct {
	At    int64  `json:"at"`   // nanoseconds of the wall clock, which all processes share
	What  string `json:"what"` // ready, before, after, blocked, end
	By    string `json:"by"`
	Undo  bool   `json:"undo,omitempty"`
	Error string `json:"error,omitempty"`

	Step reparent.Step     `json:"step,omitempty"`
	Term string            `json:"term,omitempty"`
	To   leadership.NodeID `json:"to,omitempty"`

	Outcome reparent.Outcome  `json:"outcome,omitempty"`
	Failed  reparent.Step     `json:"failed,omitempty"`
	Leader  leadership.NodeID `json:"leader,omitempty"`
	Text    string            `json:"text,omitempty"`
}

// errVeto is what makes a change fail half way.
var errVeto = errors.New("quickstart: an operator has pulled the plug")

// teller writes messages; hooks of one change are called by one goroutine, and
// the mutex is for those of a mechanism.
type teller struct {
	mu  sync.Mutex // guards enc, and what it writes to
	enc *json.Encoder
	by  string
}

func (t *teller) tell(m message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.At, m.By = time.Now().UnixNano(), t.by
	// A parent that is gone needs no answer.
	_ = t.enc.Encode(m)
}

// coordinate is the process of a coordinator: it reads its order from its
// argument, says that it is ready, waits for a line on its standard input, does
// what it was told and ends. It ends early when its standard input does.
func coordinate(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o order
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &o) != nil {
		fmt.Fprintln(stderr, "quickstart: a coordinator takes one order")
		return exitUsage
	}
	t := &teller{enc: json.NewEncoder(stdout), by: o.By}
	g, err := o.guard(t)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitBroken
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in := bufio.NewReader(stdin)
	t.tell(message{What: "ready"})
	if _, err := in.ReadString('\n'); err != nil {
		return exitBroken
	}
	// This goroutine ends with the process: a read cannot be broken off.
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	t.tell(o.run(ctx, g))
	return exitOK
}

// guard returns the coordinator's own view of the cluster: a handle of the
// registry's file, and the members over HTTP. t may be nil.
func (o order) guard(t *teller) (*reparent.Guard, error) {
	reg, err := leadership.OpenFileRegistry(o.Registry)
	if err != nil {
		return nil, err
	}
	cfg := reparent.Config{By: o.By, Limits: reparent.Limits{
		HoldFor: holdFor, Drain: attemptTimeout, Linger: 150 * time.Millisecond,
		Revoke: 2 * attemptTimeout, Install: 2 * attemptTimeout, Prepare: 2 * attemptTimeout,
	}}
	if t != nil {
		cfg.Hooks = o.hooks(t)
	} else {
		cfg.Limits.Status = look // only to look, and a paused member must not delay that
	}
	return reparent.New(clusterName, reg, guardNodes(o.Peers), cfg)
}

// guardNodes returns the members as nodes of a change.
func guardNodes(peers map[leadership.NodeID]string) []reparent.Node {
	client := kv.NewHTTPClient()
	var nodes []reparent.Node
	for id, addr := range peers {
		r := kv.NewRemote(id, addr, client)
		nodes = append(nodes, reparent.Node{
			ID: id, Addr: addr, Status: r, Promise: r, StepDown: r, Candidate: r, Follow: r, HandOver: r, Truncates: true,
		})
	}
	return nodes
}

func (o order) hooks(t *teller) reparent.Hooks {
	say := func(what string, e reparent.Event) {
		m := message{What: what, Step: e.Step, Term: e.Term.String(), To: e.To, Undo: e.Kind == leadership.KindUndo}
		if e.Err != nil {
			m.Error = e.Err.Error()
		}
		t.tell(m)
	}
	return reparent.Hooks{
		Before: func(ctx context.Context, e reparent.Event) error {
			say("before", e)
			switch {
			case e.Kind == leadership.KindUndo:
			case e.Step == o.Block:
				say("blocked", e)
				<-ctx.Done()
				return context.Cause(ctx)
			case e.Step == o.Veto:
				return errVeto
			}
			return nil
		},
		After: func(e reparent.Event) { say("after", e) },
	}
}

func (o order) change() reparent.Change {
	c := reparent.Change{Kind: o.Do, To: o.To, Ruleset: o.Rules, Force: o.Force}
	switch o.Do {
	case leadership.KindPlanned:
		c = reparent.Planned(o.To)
		c.LeaderLed = o.Led
	case leadership.KindEmergency:
		c = reparent.Emergency()
	case leadership.KindResume:
		c = reparent.Resume()
	}
	c.Force = o.Force
	return c
}

func (o order) run(ctx context.Context, g *reparent.Guard) message {
	end := message{What: "end"}
	if o.Do == doSweep {
		rep, err := g.Sweep(ctx)
		end.Outcome, end.Text, end.Leader = reparent.Done, rep.String(), rep.Leadership.Leader
		if err != nil {
			end.Outcome, end.Error = reparent.Incomplete, err.Error()
		}
		return end
	}
	rep, err := g.Run(ctx, o.change())
	end.Outcome, end.Failed, end.Leader = rep.Outcome, rep.Failed, rep.Leader()
	end.Text, end.Term, end.To = rep.String(), rep.Term.String(), rep.To
	if err != nil {
		end.Error = err.Error()
	}
	return end
}
