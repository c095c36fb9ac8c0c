package reparent_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

func (n *node) holds(pos leadership.Position) bool { return position(n.log).Extends(pos) }

func (n *node) catchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	st := n.acc().Status()
	if t.Less(st.Promised) {
		return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: st.Promised}
	}
	// A node that follows the donor gets there by itself; one that does not
	// takes the entries.
	if st.Source.Leader == donor {
		wctx, cancel := context.WithTimeout(ctx, 40*time.Millisecond)
		err := n.await(wctx, func() bool { return n.holds(pos) })
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return n.copyFrom(ctx, t, donor, pos, !n.repairs)
}

// current refuses what was asked under a term that the node has promised away
// meanwhile. Asked with the right to write, it is what keeps a late copy or
// repair from landing behind a promise's read.
func (n *node) current(t leadership.Term) error {
	if p := n.acc().Status().Promised; t.Less(p) {
		return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: p}
	}
	return nil
}

// bound refuses entries of a later term than the one they are copied under: an
// accepted entry binds like a promise, and none was made.
func (n *node) bound(t leadership.Term, log []entry) error {
	if len(log) > 0 && t.Less(log[len(log)-1].Term) {
		return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: log[len(log)-1].Term}
	}
	return nil
}

func (n *node) copyFrom(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position, truncate bool) error {
	d := n.c.nodes[donor]
	theirs, err := rpc(ctx, n.p, d.p, "fetch", func(context.Context) ([]entry, error) { return d.entries(), nil })
	if err != nil {
		return err
	}
	if !position(theirs).Extends(pos) {
		return fmt.Errorf("donor %s is at %s, not at %s", donor, position(theirs), pos)
	}
	want := pos.Point.(leadership.LogPoint).Index
	theirs = theirs[:want]
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if err := n.current(t); err != nil || n.holds(pos) {
		return err
	}
	if err := n.bound(t, theirs); err != nil {
		return err
	}
	at := common(n.log, theirs)
	if at < len(n.log) && !truncate {
		return fmt.Errorf("%s has a tail that %s has not: it needs a repair", n.id, donor)
	}
	return n.write(ctx, "copy", at, theirs[at:])
}

func common(a, b []entry) int {
	i := 0
	for i < len(a) && i < len(b) && a[i].Term == b[i].Term {
		i++
	}
	return i
}

func (n *node) repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	st := n.acc().Status()
	if t.Less(st.Promised) {
		return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: st.Promised}
	}
	d := n.c.nodes[from]
	theirs, err := rpc(ctx, n.p, d.p, "fetch", func(context.Context) ([]entry, error) { return d.entries(), nil })
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
	if err := n.bound(t, theirs); err != nil {
		return err
	}
	// A rewind goes back further than the fork, so the floor comes first.
	if len(n.log) > 0 {
		if err := n.acc().SetFloor(ctx, position(n.log)); err != nil {
			return err
		}
	}
	at := common(n.log, theirs)
	if err := n.write(ctx, "rewind", max(0, at-2), nil); err != nil {
		return err
	}
	if err := n.write(ctx, "restore", len(n.log), theirs[len(n.log):]); err != nil {
		return err
	}
	return n.acc().ClearFloor(ctx)
}
