package reparent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tenure-go/tenure/leadership"
)

// Swept is what a sweep found and did at one node.
type Swept struct {
	Node leadership.NodeID `json:"node"`
	// Did is "leads", "follows", "followed", "repaired", "released" or "".
	Did string `json:"did,omitempty"`
	Err error  `json:"-"`
}

// SweepReport says what a sweep did.
type SweepReport struct {
	Leadership leadership.Leadership `json:"leadership"`
	// Saved says that the record was brought to a leadership that an earlier
	// change had granted while the registry was down.
	Saved bool    `json:"saved,omitempty"`
	Nodes []Swept `json:"nodes"`
}

// String returns the report for a person.
func (r *SweepReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sweep to %s\n", r.Leadership)
	if r.Saved {
		b.WriteString("  the record was brought up to date\n")
	}
	for _, n := range r.Nodes {
		switch {
		case n.Err != nil:
			fmt.Fprintf(&b, "  %-11s %s\n", n.Node, oneLine(n.Err.Error()))
		default:
			fmt.Fprintf(&b, "  %-11s %s\n", n.Node, n.Did)
		}
	}
	return b.String()
}

// ErrNoLeader is returned by Sweep when the record names no leadership.
var ErrNoLeader = errors.New("reparent: the record names no leadership to sweep to")

// Sweep brings every node to the current leadership: stragglers and observers
// follow it, nodes that cannot follow are repaired, isolated nodes that promised
// are released. A repair needs the word of both: of the node, that its log does
// not fit, and of the leader, that it holds the marker of its term. It takes no term and changes no leader. A node that has promised
// more than the current term cannot follow it; its error says so, and Refresh
// brings it back.
//
// While a change is under way, or was left unfinished, it only releases isolated
// nodes. Each has promised the term that it was isolated for by then: an attempt
// of a higher term that counts on an isolation has recorded it under that term,
// and one of a lower term loses nothing by such a promise.
//
// It returns ErrNoRecord, ErrNoLeader, a *ConfigError for the record of another
// cluster, a *leadership.BusyError while a change is under way, the registry's
// errors, or the nodes' errors, joined. The report is never nil. Every call ends with ctx, or with Limits.Install.
func (g *Guard) Sweep(ctx context.Context) (*SweepReport, error) {
	rep := &SweepReport{}
	if err := g.made(); err != nil {
		return rep, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Limits.Install)
	defer cancel()
	rec, err := g.current(ctx, rep)
	var busy *leadership.BusyError
	if errors.As(err, &busy) && len(rec.Held) > 0 {
		return rep, errors.Join(err, g.releaseHeld(ctx, rec, rep))
	}
	if err != nil {
		return rep, err
	}
	rep.Leadership = rec.Active
	statuses := g.survey(ctx, g.ids, nil)
	if ctx.Err() != nil {
		return rep, context.Cause(ctx)
	}
	lead := statuses[slices.Index(g.ids, rec.Active.Leader)]
	rep.Nodes = make([]Swept, len(g.ids))
	errs := make([]error, len(g.ids))
	var wg sync.WaitGroup
	for i, id := range g.ids {
		wg.Go(func() {
			rep.Nodes[i] = g.sweep(ctx, id, rec, statuses[i], lead)
			if err := rep.Nodes[i].Err; err != nil {
				errs[i] = fmt.Errorf("reparent: sweep of %s: %w", id, err)
			}
		})
	}
	wg.Wait()
	return rep, errors.Join(errs...)
}

// current loads the record, after bringing it up to date if this guard granted
// a leadership that it does not show.
func (g *Guard) current(ctx context.Context, rep *SweepReport) (leadership.Record, error) {
	g.mu.Lock()
	unsaved := g.unsaved
	g.mu.Unlock()
	if unsaved != nil {
		_, err := leadership.Update(ctx, g.reg, func(r leadership.Record) (leadership.Record, error) { return g.save(r, unsaved) })
		var super *leadership.SupersededError
		if err != nil && !errors.As(err, &super) {
			return leadership.Record{}, err
		}
		g.mu.Lock()
		if g.unsaved == unsaved {
			g.unsaved = nil
		}
		g.mu.Unlock()
		rep.Saved = err == nil
	}
	asked := g.asking()
	rec, err := g.reg.Load(ctx)
	if err == nil {
		err = g.owns(rec)
	}
	switch {
	case err != nil:
		return rec, err
	case rec.Version == 0:
		return rec, ErrNoRecord
	case rec.Intent.Phase != leadership.Cleared:
		return rec, &leadership.BusyError{Intent: rec.Intent}
	case rec.Active.IsZero():
		return rec, ErrNoLeader
	}
	if _, ok := g.nodes[rec.Active.Leader]; !ok {
		return rec, &leadership.UnknownNodeError{Node: rec.Active.Leader}
	}
	g.remember(rec, asked)
	return rec, nil
}

func (g *Guard) sweep(ctx context.Context, id leadership.NodeID, rec leadership.Record, s, lead leadership.Status) Swept {
	out := Swept{Node: id}
	n, l := g.nodes[id], rec.Active
	if slices.ContainsFunc(rec.Held, func(h leadership.Isolation) bool { return h.Node == id }) {
		out.Did, out.Err = "released", g.release(ctx, n, rec)
		if out.Err != nil {
			return out
		}
	}
	switch {
	case id == l.Leader:
		switch {
		case !s.Reachable:
			out.Err = fmt.Errorf("the record says that it leads under %s, and it did not say how it is", l.Term)
		case s.Leads.IsZero():
			out.Err = fmt.Errorf("the record says that it leads under %s, it says that it leads nothing", l.Term)
		case s.Leads != l.Term:
			out.Err = fmt.Errorf("the record says that it leads under %s, it says %q", l.Term, s.Leads)
		}
		out.Did = "leads"
		return out
	case n.Follow == nil:
		out.Err = errors.New("its adapter offers no Follower")
		return out
	case s.Reachable && s.Source == l && s.Position.Term == l.Term && !s.BelowFloor && !strays(s, lead):
		out.Did = "follows"
		return out
	}
	behind := n.Truncates || s.Reachable && lead.Reachable && lead.Position.Extends(s.Position)
	if !behind || s.BelowFloor {
		if out.Err = mends(l, s, lead); out.Err != nil {
			return out
		}
		if n.Repair == nil {
			out.Err = fmt.Errorf("it holds %s, which the leader's log may not contain, and its adapter offers no Repairer", s.Position)
			return out
		}
		if out.Err = n.Repair.Repair(ctx, l.Term, l.Leader); out.Err != nil {
			return out
		}
		out.Did = "repaired"
	}
	_, err := n.Follow.Follow(ctx, l.Term, l.Leader)
	switch {
	case err != nil:
		out.Err = err
	case out.Did == "":
		out.Did = "followed"
	}
	return out
}

// strays reports whether a follower holds what its leader has not, and lacks
// something of what it has: a statement that was run on the follower itself, for
// one. It says that it follows, and gets nothing any more.
func strays(s, lead leadership.Status) bool {
	return lead.Reachable && lead.Position.Rank(s.Position) == leadership.Diverged
}

// mends returns nil when what a node and the leader said of themselves shows that
// the one needs a repair and the other can be its source. A repair discards data
// and takes long: a node that was slow to answer is not made to pay for that, and
// a leader that came back without the marker of its term has lost what the
// repaired node would get in exchange.
func mends(l leadership.Leadership, s, lead leadership.Status) error {
	switch {
	case !s.Reachable:
		return errors.New("it did not say where its log ends: whether it can follow as it is cannot be told")
	case !lead.Reachable:
		return fmt.Errorf("the leader %s did not say where its log ends: whether this one can follow it as it is cannot be told", l.Leader)
	case lead.Position.Term != l.Term || lead.BelowFloor:
		return fmt.Errorf("it needs a repair, for which %s is no source: it is at %s, and the record says that it leads under %s", l.Leader, lead.Position, l.Term)
	}
	return nil
}

// releaseHeld releases isolated nodes whatever change is under way. It takes
// nothing from that change: Isolate records the term of every attempt that counts
// on a hold before it cuts, only ever a higher one, and neither the record nor the
// isolator lets go of a node by a promise below it.
func (g *Guard) releaseHeld(ctx context.Context, rec leadership.Record, rep *SweepReport) error {
	rep.Leadership = rec.Active
	var errs []error
	for _, h := range rec.Held {
		out := Swept{Node: h.Node}
		if n, ok := g.nodes[h.Node]; !ok {
			out.Err = &leadership.UnknownNodeError{Node: h.Node}
		} else if out.Err = g.release(ctx, n, rec); out.Err == nil {
			out.Did = "released"
		}
		if out.Err != nil {
			errs = append(errs, fmt.Errorf("reparent: sweep of %s: %w", h.Node, out.Err))
		}
		rep.Nodes = append(rep.Nodes, out)
	}
	return errors.Join(errs...)
}

// release converts an isolated node: first its promise, then its freedom. The
// promise is of the term that it is held for, when that is above the leader's.
func (g *Guard) release(ctx context.Context, n Node, rec leadership.Record) error {
	if g.cfg.Isolate == nil {
		return errors.New("it is isolated, and this guard was given no Isolate to release it with")
	}
	at := rec.Active.Term
	for _, h := range rec.Held {
		if h.Node == n.ID {
			at = leadership.MaxTerm(at, h.Term)
		}
	}
	t, err := n.Promise.Promise(ctx, at)
	var stale *leadership.StaleTermError
	if errors.As(err, &stale) && at.Less(stale.Promised) {
		// It has promised more, which binds it as well; asked again at that
		// term it says so.
		t, err = n.Promise.Promise(ctx, stale.Promised)
	}
	if err != nil {
		return fmt.Errorf("it stays isolated: %w", err)
	}
	return g.cfg.Isolate.Release(ctx, t)
}
