package reparenttest

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// CatchUp implements establish.Candidate.
func (n *store) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	if err := n.current(t); err != nil {
		return err
	}
	// A node that follows the donor gets there by itself; one that does not
	// takes the entries.
	if n.acc.Status().Source.Leader == donor {
		wctx, cancel := context.WithTimeout(ctx, 40*time.Millisecond)
		err := n.await(wctx, func() bool { return n.read().Position.Extends(pos) })
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	theirs, err := n.fetch(ctx, donor)
	if err != nil {
		return err
	}
	if !positionOf(theirs).Extends(pos) {
		return fmt.Errorf("donor %s is at %s, not at %s", donor, positionOf(theirs), pos)
	}
	point, ok := pos.Point.(leadership.LogPoint)
	if !ok {
		return nil // an empty position: any log extends it
	}
	theirs = theirs[:point.Index]
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if err := n.current(t); err != nil || n.position().Extends(pos) {
		return err
	}
	if n.disk.own > 0 {
		return errBroken
	}
	if err := n.bound(ctx, t, theirs); err != nil {
		return err
	}
	ours := n.entries()
	at := common(ours, theirs)
	if at < len(ours) {
		// What is taken out must be known to be superseded: this attempt's round
		// selected the other log, and it is of a later term.
		if n.Repairs || len(theirs) == 0 || n.acc.Status().Promised != t || !ours[len(ours)-1].Term.Less(theirs[len(theirs)-1].Term) {
			return fmt.Errorf("%s has a tail that %s has not: it needs a repair, or a promise of %s", n.h.ID, donor, t)
		}
	}
	return n.write(ctx, "copy", at, theirs[at:])
}

func (n *store) fetch(ctx context.Context, donor leadership.NodeID) ([]Entry, error) {
	return Send(ctx, n.h, donor, "fetch", func(_ context.Context, peer Node) ([]Entry, error) {
		return peer.Client.(*store).entries(), nil
	})
}

// source fetches the log of a node that stands by t. Another may hold anything:
// what is copied from it, instead of what is discarded, need not contain what was
// completed.
func (n *store) source(ctx context.Context, t leadership.Term, from leadership.NodeID) ([]Entry, error) {
	if n.bugs.anySource {
		return n.fetch(ctx, from)
	}
	return Send(ctx, n.h, from, "fetch "+t.String(), func(_ context.Context, peer Node) ([]Entry, error) {
		s := peer.Client.(*store)
		if s.out {
			return nil, errOut
		}
		if st := s.acc.Status(); st.Promised != t || st.BelowFloor(s.position()) {
			s.h.w.count("a source that does not stand by its term")
			return nil, fmt.Errorf("%s is no source for a repair under %s: it has promised %s and its floor is %s", from, t, st.Promised, st.Floor)
		}
		return s.entries(), nil
	})
}

// current refuses what was asked under a term that the node has promised away
// meanwhile. Asked with the right to write, it is what keeps a late copy or
// repair from landing behind a promise's read.
func (n *store) current(t leadership.Term) error {
	if p := n.acc.Status().Promised; t.Less(p) {
		return &leadership.StaleTermError{Node: n.h.ID, Asked: t, Promised: p}
	}
	return nil
}

// bound promises the term of the last entry before the entries are copied: an
// accepted entry binds like a promise. It refuses what is of a later term than
// the one it is copied under.
func (n *store) bound(ctx context.Context, t leadership.Term, log []Entry) error {
	if len(log) == 0 {
		return nil
	}
	last := log[len(log)-1].Term
	if t.Less(last) {
		return &leadership.StaleTermError{Node: n.h.ID, Asked: t, Promised: last}
	}
	if n.acc.Status().Promised.Less(last) {
		_, err := n.recruit(ctx, last, nil)
		return err
	}
	return nil
}

func common(a, b []Entry) int {
	i := 0
	for i < len(a) && i < len(b) && a[i].Term == b[i].Term {
		i++
	}
	return i
}

// Repair implements establish.Repairer.
func (n *store) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	if err := n.current(t); err != nil || n.lies.ghostAck {
		return err
	}
	theirs, err := n.source(ctx, t, from)
	if err != nil {
		return err
	}
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if err := n.current(t); err != nil {
		return err
	}
	if err := n.bound(ctx, t, theirs); err != nil {
		return err
	}
	required, err := n.required(ctx, from)
	if err != nil {
		return err
	}
	if !required {
		n.disk.adrift = true
		return nil
	}
	// A rewind goes back further than the fork, so the floor comes first.
	ours := n.entries()
	if len(ours) > 0 {
		if err := n.decides(ctx, func(func()) error { return n.acc.SetFloor(ctx, positionOf(ours)) }); err != nil {
			return err
		}
	}
	at := max(0, common(ours, theirs)-2)
	n.saw(Event{Kind: Truncated, Index: at + 1})
	if err := n.write(ctx, "rewind", at, nil); err != nil {
		return err
	}
	if err := n.write(ctx, "restore", at, theirs[at:]); err != nil {
		return err
	}
	n.mu.Lock()
	n.disk.adrift, n.disk.own, n.last = false, 0, lastRead{}
	n.mu.Unlock()
	if err := n.inside(ctx, from); err != nil {
		return err
	}
	return n.decides(ctx, func(func()) error { return n.acc.ClearFloor(ctx) })
}
