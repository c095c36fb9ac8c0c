package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// clusterStatus is what status found.
type clusterStatus struct {
	// Leader is the one for which every condition holds, empty when none or
	// more than one: then nobody can be said to serve.
	Leader leadership.NodeID `json:"leader,omitempty"`
	// Record is the registry's, nil when there is none yet.
	Record *leadership.Record `json:"record,omitempty"`
	Nodes  []nodeStatus       `json:"nodes"`
}

// nodeStatus is one node.
type nodeStatus struct {
	leadership.Status
	// Error is why it did not answer.
	Error string `json:"error,omitempty"`
	// Conditions are what makes a leader, each with why, and what would mend it.
	Conditions []leadership.Finding `json:"conditions,omitempty"`
	// CouldLead says that an emergency change to this node would begin now, and
	// WhyNot why it would not.
	CouldLead bool   `json:"couldLead"`
	WhyNot    string `json:"whyNot,omitempty"`
}

// status looks at the whole cluster. It is exitOK only when exactly one node leads
// by every condition.
func status(ctx context.Context, c *call) int {
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitFailed, err)
	}
	st, err := cl.look(ctx)
	if err = errors.Join(err, cl.close()); err != nil {
		return c.out.fail(lookExit(ctx, err), err)
	}
	d := document{Status: st, text: st.String()}
	if st.Leader == "" {
		d.Exit = exitAttention
	}
	return c.out.print(d)
}

// look surveys the cluster and tries, for each node, whether it could lead.
func (cl *cluster) look(ctx context.Context) (*clusterStatus, error) {
	st := &clusterStatus{}
	load, cancel := context.WithTimeout(ctx, 5*time.Second)
	rec, err := cl.reg.Load(load)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("the registry cannot be read: %w", err)
	}
	view := leadership.View{Routed: rec.Routed}
	if rec.Version > 0 {
		st.Record = &rec
		if rec.Cluster != cl.cfg.Cluster {
			return nil, &usageError{fmt.Sprintf("the registry holds the cluster %q, the configuration is of %q", rec.Cluster, cl.cfg.Cluster)}
		}
		if view.Rules, err = rec.Ruleset.Compile(nil); err != nil {
			return nil, err
		}
	}
	answers := cl.survey(ctx, cl.statusBound())
	for _, a := range answers {
		view.Statuses = append(view.Statuses, a.Status)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g, err := cl.guard(reparent.Hooks{}, nil)
	if err != nil {
		return nil, err
	}
	st.Nodes = make([]nodeStatus, len(answers))
	var wg sync.WaitGroup
	for i, a := range answers {
		n := &st.Nodes[i]
		n.Status = a.Status
		if a.err != nil {
			n.Error = oneText(a.err)
		}
		n.Conditions = leadership.LeaderConditions().Explain(view, a.Node)
		wg.Go(func() {
			e := reparent.Emergency()
			e.To = a.Node
			_, err := g.Plan(ctx, e)
			n.CouldLead, n.WhyNot = err == nil, oneText(err)
		})
	}
	wg.Wait()
	if hs := leadership.LeaderConditions().Holders(view); len(hs) == 1 {
		st.Leader = hs[0]
	}
	return st, nil
}

// String returns the status for a person.
func (st *clusterStatus) String() string {
	var b strings.Builder
	switch {
	case st.Record == nil:
		b.WriteString("the registry has no record of this cluster yet: bootstrap or adopt it\n")
	case st.Leader != "":
		fmt.Fprintf(&b, "%s leads %s; policy %s, %s mode, record %d\n", st.Leader, st.Record.Cluster, st.Record.Ruleset.Policy, st.Record.Mode, st.Record.Version)
	default:
		fmt.Fprintf(&b, "nobody leads %s by every condition; the record says %s\n", st.Record.Cluster, named(st.Record.Active))
	}
	if r := st.Record; r != nil && r.Intent.Phase != leadership.Cleared {
		fmt.Fprintf(&b, "under way: %s\n", r.Intent)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, n := range st.Nodes {
		fmt.Fprintf(w, "\n%s\t%s\n", n.Node, n.does())
		if n.Reachable {
			fmt.Fprintf(w, "\tpromised %s, log at %s\n", n.Promised, n.Position)
		}
		if n.Degraded != "" {
			fmt.Fprintf(w, "\tdegraded: %s\n", n.Degraded)
		}
		if n.Node == st.Leader {
			continue
		}
		if !n.Leads.IsZero() || st.Record != nil && st.Record.Active.Leader == n.Node {
			for _, f := range n.Conditions {
				fmt.Fprintf(w, "\t%s\n", conditionText(f))
			}
		}
		if n.CouldLead {
			fmt.Fprintf(w, "\tcould lead\n")
		} else {
			fmt.Fprintf(w, "\tcould not lead: %s\n", n.WhyNot)
		}
	}
	_ = w.Flush() // into memory
	return b.String()
}

// does is what a node does, in a few words.
func (n nodeStatus) does() string {
	switch {
	case !n.Reachable:
		return "does not answer: " + n.Error
	case !n.Leads.IsZero() && n.Draining:
		return "leads under " + n.Leads.String() + " and refuses new work"
	case !n.Leads.IsZero():
		return "leads under " + n.Leads.String()
	case n.Source.IsZero():
		return "follows nobody"
	}
	return "follows " + named(n.Source)
}

func conditionText(f leadership.Finding) string {
	if f.Holds {
		return f.Condition + ": " + f.Because
	}
	return "not " + f.Condition + ": " + f.Because + "; " + f.Mend
}

// named is a leadership for a person.
func named(l leadership.Leadership) string {
	if l.IsZero() {
		return "nobody"
	}
	return string(l.Leader) + " under " + l.Term.String()
}
