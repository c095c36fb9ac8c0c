package pgnode

import (
	"context"
	"sync"

	"github.com/tenure-go/tenure/leadership"
)

// Prepare implements reparent.Preparer: it opens the session that the operations of t
// will use, and one at each peer where there are no more than two, and looks at the servers
// in them, since the first look of a session takes several times as long as those that
// follow. A peer that does not answer is no error. It changes nothing, at the server or on disk. It
// returns a *leadership.StaleTermError when more than t was promised.
func (n *Node) Prepare(ctx context.Context, t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	o, err := n.begin(ctx, t)
	if err != nil {
		return err
	}
	defer o.end()
	if p := o.acc.Status().Promised; t.Less(p) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: p}
	}
	var meeting sync.WaitGroup
	meeting.Go(func() { n.meet(o.ctx) })
	defer meeting.Wait()
	s, err := o.local(o.ctx)
	if err != nil {
		return n.failed("prepare", err)
	}
	defer o.leave(s)
	if _, err := look(o.ctx, s, o.own.Noted, o.own.Last); err != nil {
		return n.failed("prepare", err)
	}
	if _, err = n.transactions(o.ctx, s); err == nil {
		_, err = s.row(o.ctx, "SELECT "+coming+", (SELECT count(*)"+n.clients()+")")
	}
	return n.failed("prepare", err)
}
