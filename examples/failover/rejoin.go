package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// rejoined is what became of one node, or with -dry-run what would.
type rejoined struct {
	Node leadership.NodeID `json:"node"`
	// To is the leadership that it is to follow.
	To leadership.Leadership `json:"to"`
	// Did is "leads", "follows", "followed", "repaired" or "released".
	Did string `json:"did,omitempty"`
	// Would says what would be tried.
	Would string `json:"would,omitempty"`
	// Others are the nodes that were looked after on the way, and what was wrong
	// with them; none of them was repaired.
	Others []string `json:"others,omitempty"`
}

// rejoin brings one node back. Other stragglers are asked to follow as well, and
// none of them is repaired: what a repair discards is a person's decision, node by
// node.
func rejoin(ctx context.Context, c *call) int {
	id := leadership.NodeID(c.args[0])
	if !slices.Contains(c.cfg.IDs(), id) {
		return c.out.fail(exitUsage, &usageError{fmt.Sprintf("there is no node %q in %s", id, c.path)})
	}
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitNotStarted, err)
	}
	d := c.rejoin(ctx, cl, id)
	if e := cl.close(); e != nil {
		c.out.errorf("failover: closing: %v", e)
	}
	return c.out.print(d)
}

func (c *call) rejoin(ctx context.Context, cl *cluster, id leadership.NodeID) document {
	failed := func(code int, err error) document { return document{Exit: code, Error: oneText(err)} }
	if c.dry {
		r, err := cl.wouldRejoin(ctx, id, !c.noRepair)
		if err != nil {
			return failed(exitNotStarted, err)
		}
		return document{DryRun: true, Rejoin: r, text: fmt.Sprintf("%s: %s", id, r.Would)}
	}
	g, err := cl.guard(reparent.Hooks{}, func(n leadership.NodeID) bool { return n == id && !c.noRepair })
	if err != nil {
		return failed(exitNotStarted, err)
	}
	if err := c.wake(ctx, cl, id); err != nil {
		return failed(exitIncomplete, err)
	}
	c.out.progress("bringing %s back to the leader", id)
	rep, err := g.Sweep(ctx)
	r := &rejoined{Node: id, To: rep.Leadership}
	var mine *reparent.Swept
	for i, s := range rep.Nodes {
		switch {
		case s.Node == id:
			mine = &rep.Nodes[i]
		case s.Err != nil:
			r.Others = append(r.Others, fmt.Sprintf("%s: %s", s.Node, oneText(s.Err)))
		}
	}
	switch {
	case mine == nil: // it ended before any node was asked
		return failed(exitNotStarted, errors.Join(err, fmt.Errorf("%s was not asked for anything", id)))
	case mine.Err != nil:
		return document{Exit: exitIncomplete, Outcome: reparent.Incomplete, Rejoin: r, Error: oneText(mine.Err)}
	}
	r.Did = mine.Did
	text := fmt.Sprintf("%s: %s (%s)", id, r.Did, named(r.To))
	if len(r.Others) > 0 {
		text += "\nnot well: " + strings.Join(r.Others, "; ")
	}
	return document{Outcome: reparent.Done, Rejoin: r, text: text}
}

// wake asks a node that does not answer, or says that it is not well, for the promise of the term that is served
// already, which takes nothing from anybody: a node that can start its server does so
// then, as a follower of nobody.
func (c *call) wake(ctx context.Context, cl *cluster, id leadership.NodeID) error {
	rec, err := cl.reg.Load(ctx)
	if err != nil || rec.Active.IsZero() || rec.Intent.Phase != leadership.Cleared {
		return nil // the sweep says what is wrong
	}
	n := cl.servers[slices.IndexFunc(cl.servers, func(s server) bool { return s.node.ID == id })].node
	ask, cancel := context.WithTimeout(ctx, cl.statusBound())
	st, down := n.Status.Status(ask)
	cancel()
	if down == nil && st.Degraded == "" || id == rec.Active.Leader {
		return nil
	}
	why := st.Degraded
	if down != nil {
		why = oneText(down)
	}
	c.out.progress("%s is not well (%s): asking its node to start it", id, why)
	ask, cancel = context.WithTimeout(ctx, wakeBound)
	defer cancel()
	_, err = n.Promise.Promise(ask, rec.Active.Term)
	if r, ok := n.Promise.(revoke.Reader); ok && err == nil {
		// One that had promised the term before is started by whoever reads its log.
		_, err = r.Read(ask, rec.Active.Term)
	}
	var stale *leadership.StaleTermError
	switch {
	case errors.As(err, &stale):
		return fmt.Errorf("%w: refresh brings it back", err)
	case err != nil && down != nil:
		return fmt.Errorf("%s does not answer and could not be woken: %w", id, err)
	}
	return nil // a node that answers is repaired if it has to be
}

// wakeBound is how long a server may take to start and recover.
const wakeBound = time.Minute

// wouldRejoin says, from what the node and the leader say of themselves, what rejoin
// would try. It touches nothing.
func (cl *cluster) wouldRejoin(ctx context.Context, id leadership.NodeID, repair bool) (*rejoined, error) {
	rec, err := cl.reg.Load(ctx)
	switch {
	case err != nil:
		return nil, err
	case rec.Version == 0:
		return nil, reparent.ErrNoRecord
	case rec.Active.IsZero():
		return nil, reparent.ErrNoLeader
	case rec.Intent.Phase != leadership.Cleared:
		return nil, &leadership.BusyError{Intent: rec.Intent}
	}
	answers := cl.survey(ctx, cl.statusBound())
	of := func(id leadership.NodeID) answer {
		return answers[slices.IndexFunc(answers, func(a answer) bool { return a.Node == id })]
	}
	i := slices.IndexFunc(cl.servers, func(s server) bool { return s.node.ID == id })
	r := &rejoined{Node: id, To: rec.Active}
	if !slices.ContainsFunc(answers, func(a answer) bool { return a.Node == rec.Active.Leader }) {
		return nil, &leadership.UnknownNodeError{Node: rec.Active.Leader}
	}
	r.Would = would(rec.Active, of(id).Status, of(rec.Active.Leader).Status, repair && cl.servers[i].node.Repair != nil, cl.servers[i].node.Truncates)
	return r, nil
}

// would is the rule of a sweep, for a person.
func would(to leadership.Leadership, s, lead leadership.Status, repair, truncates bool) string {
	switch {
	case s.Node == to.Leader && s.Leads == to.Term:
		return "nothing to do: it leads"
	case s.Node == to.Leader:
		return fmt.Sprintf("it is to lead under %s and does not: refresh, or emergency", to.Term)
	case to.Term.Less(s.Promised):
		return fmt.Sprintf("it promised %s, above the leader's %s, and cannot follow: refresh brings it back", s.Promised, to.Term)
	case s.Reachable && s.Source == to && s.Position.Term == to.Term && !s.BelowFloor:
		return "nothing to do: it follows " + named(to)
	case truncates && !s.BelowFloor,
		s.Reachable && lead.Reachable && lead.Position.Extends(s.Position) && !s.BelowFloor:
		return "it would be made to follow " + named(to)
	case !s.Reachable:
		return "it does not answer: its node would be asked to start it, and then to follow or be repaired"
	case repair:
		return fmt.Sprintf("it would be repaired: what it has and %s has not is discarded", to.Leader)
	}
	return fmt.Sprintf("it cannot follow: it may hold what %s does not, and is not to be, or cannot be, repaired", to.Leader)
}
