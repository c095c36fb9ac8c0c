package pgnode

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// Status implements reparent.Statuser. It changes nothing and takes no lock. Of a
// server that is down it says what the node knows, and BelowFloor, since nothing
// can be said of its log before it is started: by Promise, or by the Repair of a
// sweep, which discards nothing from a log that can follow as it is. A server that
// runs and does not answer is an error.
func (n *Node) Status(ctx context.Context) (leadership.Status, error) {
	rec, ok, err := n.store.Load(ctx)
	if err == nil && !ok {
		err = &acceptor.NoRecordError{Node: n.cfg.ID}
	}
	if err != nil {
		return leadership.Status{}, err
	}
	own, _, err := loadLineage(n.cfg.Dir)
	if err != nil {
		return leadership.Status{}, err
	}
	out := leadership.Status{
		Node: n.cfg.ID, Incarnation: own.Incarnation, Reachable: true,
		Promised: rec.Promised, Source: rec.Source, BelowFloor: !rec.Floor.IsZero() || own.Rebuild != nil,
	}
	if rec.Floor, err = n.catalog.ParsePosition(rec.Floor.String()); err != nil {
		return leadership.Status{}, n.failed("status", err)
	}
	if own.Rebuild != nil {
		out.Degraded = (&RebuildError{Node: n.cfg.ID, From: own.Rebuild.From}).Error()
		return out, nil
	}
	s, err := n.local(ctx)
	if err != nil {
		if running, rerr := n.cfg.Controller.Running(ctx); rerr == nil && !running {
			out.BelowFloor, out.Degraded = true, "its server is down"
			return out, nil
		}
		return leadership.Status{}, n.failed("status", err)
	}
	defer s.close()
	st, err := look(ctx, s, own.Noted, own.Last)
	if err != nil {
		return leadership.Status{}, n.failed("status", err)
	}
	shut := ""
	out.Position, out.Markers = st.point.position(), st.markers
	out.BelowFloor = rec.BelowFloor(out.Position)
	if st.leads(own) {
		// A grant that ended between its note and its gate left a leader that serves
		// nobody: one that does not say that it leads is replaced, or granted again.
		switch open, err := n.letsIn(ctx); {
		case err != nil:
			// Sessions that are there go on, whatever became of the file.
			out.Leads, shut = own.Granted, "whether its gate is open cannot be told: "+err.Error()
		case open:
			out.Leads = own.Granted
		default:
			shut = "it was granted, and its gate is closed: it serves nobody"
		}
	}
	switch {
	case shut != "":
		out.Degraded = shut
	case own.Shut != nil:
		out.Degraded = "it has stepped down, and its server was not stopped yet"
	case st.paused:
		out.Degraded = "replay is paused"
	case st.recovering && !out.Source.IsZero() && out.Source.Leader != n.cfg.ID && !st.receiving:
		// One that shows a receiver need not be well, but one that shows none is not.
		out.Degraded = "it receives nothing from " + string(out.Source.Leader)
	}
	return out, nil
}

// letsIn reports whether the gate is open, on disk.
func (n *Node) letsIn(ctx context.Context) (bool, error) {
	b, err := n.cfg.Files.Read(ctx, n.cfg.HBA)
	if err != nil {
		return false, err
	}
	return gateOpen(string(b))
}
