package reparent

import (
	"context"
	"fmt"
	"strings"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// Plan is what a change would do, as far as can be told without touching
// anything: it rests on what nodes say of themselves.
type Plan struct {
	Cluster string                 `json:"cluster"`
	Kind    leadership.Kind        `json:"kind"`
	From    leadership.NodeID      `json:"from,omitempty"`
	Choice  establish.Choice       `json:"choice"`
	Ruleset []leadership.Ruleset   `json:"rulesets"`
	Nodes   []NodeFindings         `json:"nodes"`
	Missing [][]leadership.NodeID  `json:"missing,omitempty"`
	Intent  leadership.Intent      `json:"intent"`
	Waiver  *leadership.Waiver     `json:"waiver,omitempty"`
	Steps   []Step                 `json:"steps"`
	Held    []leadership.Isolation `json:"held,omitempty"`
}

// NodeFindings is what was found out about one node.
type NodeFindings struct {
	Status   leadership.Status    `json:"status"`
	Findings []leadership.Finding `json:"findings"`
}

// Plan checks a change without touching anything: the same checks as Run, with
// the same code, on the nodes' own statements. A nil error says that Run would
// begin; it promises no more than that. The plan is never nil.
func (g *Guard) Plan(ctx context.Context, c Change) (*Plan, error) {
	a := g.attempt(c)
	p := &Plan{Cluster: g.cluster, Kind: c.Kind, Waiver: c.Waiver}
	if err := g.made(); err != nil {
		return p, err
	}
	for _, f := range []func(context.Context) error{a.change.validate, a.load} {
		if err := f(ctx); err != nil {
			return p, err
		}
	}
	p.From, p.Ruleset, p.Intent, p.Held = a.from, a.rulesets, a.rec.Intent, a.rec.Held
	if a.next != nil {
		p.Ruleset = append(p.Ruleset, *a.next)
	}
	p.Steps = a.steps()
	a.statuses = g.survey(ctx, g.ids, nil)
	if ctx.Err() != nil {
		return p, context.Cause(ctx)
	}
	rules, err := a.rulesets[0].Compile(g.cfg.Catalog)
	if err != nil {
		return p, err
	}
	view := leadership.View{Rules: rules, Statuses: a.statuses, Routed: a.rec.Routed}
	for _, s := range a.statuses {
		p.Nodes = append(p.Nodes, NodeFindings{Status: s, Findings: leadership.LeaderConditions().Explain(view, s.Node)})
	}
	r, choice, err := a.regard()
	p.Choice = choice
	if r != nil {
		p.Missing = r.Missing()
	}
	if err != nil {
		return p, &InfeasibleError{Missing: p.Missing, Err: err}
	}
	if a.rec.Intent.Phase != leadership.Cleared && !c.Force && !a.change.unplanned() && c.Kind != leadership.KindResume {
		return p, &leadership.BusyError{Intent: a.rec.Intent}
	}
	if err := a.leaderHelps(); err != nil {
		return p, &InfeasibleError{Err: err}
	}
	return p, nil
}

// steps lists what Run would do.
func (a *attempt) steps() []Step {
	var out []Step
	for _, s := range []Step{StepBegin, StepPrepare, StepHold, StepRevoke, StepHandOver, StepPropose, StepInstall, StepActivate, StepGrant, StepRoute} {
		if !a.skips(s) {
			out = append(out, s)
		}
	}
	return out
}

// String returns the plan for a person.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of a %s change of %s", p.Kind, p.Cluster)
	switch {
	case p.Choice.To == "":
		b.WriteString(": nobody can be established")
	case p.From != "" && p.From != p.Choice.To:
		fmt.Fprintf(&b, ": %s -> %s", p.From, p.Choice.To)
	default:
		fmt.Fprintf(&b, ": %s", p.Choice.To)
	}
	b.WriteString("\n")
	steps := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		steps[i] = string(s)
	}
	fmt.Fprintf(&b, "  steps       %s\n", strings.Join(steps, ", "))
	for _, n := range p.Nodes {
		state := "does not answer"
		if n.Status.Reachable {
			state = "at " + n.Status.Position.String() + ", promised " + n.Status.Promised.String()
			if n.Status.Degraded != "" {
				state += ", degraded: " + n.Status.Degraded
			}
		}
		fmt.Fprintf(&b, "  %-11s %s\n", n.Status.Node, state)
		for _, f := range n.Findings {
			mark := "no "
			if f.Holds {
				mark = "yes"
			}
			fmt.Fprintf(&b, "    %s %-10s %s\n", mark, f.Condition, f.Because)
		}
	}
	for _, q := range p.Choice.Passed {
		fmt.Fprintf(&b, "  passed over %s: %s\n", q.Node, q.Reason)
	}
	if p.Waiver != nil {
		fmt.Fprintf(&b, "  waived      %s\n", waived(*p.Waiver))
	}
	for _, m := range p.Missing {
		fmt.Fprintf(&b, "  missing     %s\n", idList(m))
	}
	return b.String()
}
