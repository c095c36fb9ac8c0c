package mariadbnode

import (
	"context"
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// CatchUp implements establish.Candidate: it returns when everything in pos is
// applied here. A server that follows the donor already only waits. Another one
// is pointed at the donor up to pos and no further, without acknowledging
// anything that a leader could complete, and stopped again. It never removes anything: MariaDB cannot, so a
// conflicting tail is a *leadership.DivergedError.
//
// It returns a *leadership.StaleTermError when more than t was promised, a
// *PeerError, a *ReplicationError, or what Promise returns.
func (n *Node) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	if err := t.Validate(); err != nil {
		return err
	}
	want, ok := asPoint(pos.Point)
	if !ok {
		return &leadership.TextError{What: "position", Text: clip(pos.String()), Reason: "it is of no MariaDB server"}
	}
	if _, _, ok := n.peer(donor); !ok || donor == n.cfg.ID {
		return &PeerError{Node: n.cfg.ID, Peer: donor}
	}
	if t.Less(pos.Term) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: pos.Term}
	}
	at, err := n.here(ctx, n.pool())
	if err != nil {
		return err
	}
	if at.covers(pos) {
		return nil
	}
	if !pos.Extends(at.Position) && at.record.Source.Leader != donor {
		return &leadership.DivergedError{Positions: []leadership.NodePosition{{Node: n.cfg.ID, Position: at.Position}, {Node: donor, Position: pos}}}
	}
	if at.record.Source.Leader == donor && n.follows(donor, at.live.slave) && at.live.slave.ioRuns() {
		return n.awaitCovers(ctx, n.pool(), t, pos)
	}
	return n.copy(ctx, t, donor, pos, want)
}

// here is where a node is.
type here struct {
	record record
	live   live
	leadership.Position
}

// here is where the node was when the call began.
func (b *begun) here() here {
	return here{record: b.record, live: b.live, Position: position(b.live.state, b.history)}
}

// covers reports whether the node's log holds all of pos.
func (h here) covers(pos leadership.Position) bool {
	return pos.IsZero() || h.Position.Extends(pos)
}

func (n *Node) here(ctx context.Context, on asker) (here, error) {
	var h here
	var marks history
	err := on.ask(ctx, append(n.askLive(on, &h.live), n.askRecord(&h.record), n.askMarkers(&marks))...)
	h.Position = position(h.live.state, marks)
	return h, err
}

func (n *Node) awaitCovers(ctx context.Context, on asker, t leadership.Term, pos leadership.Position) error {
	return n.poll(ctx, func() (bool, error) {
		h, err := n.here(ctx, on)
		switch {
		case err != nil:
			return false, err
		case t.Less(h.record.Promised):
			return false, &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: h.record.Promised}
		case h.covers(pos):
			return true, nil
		case h.live.slave.ioErrno != 0 && !h.live.slave.ioRuns():
			return false, &ReplicationError{Node: n.cfg.ID, Thread: "IO", Errno: h.live.slave.ioErrno, Text: h.live.slave.ioError}
		case h.live.slave.sqlErrno != 0:
			return false, n.stopped(h.live.slave)
		case !h.live.slave.ioRuns() && !h.live.slave.sqlRuns():
			// They may have come to the end, and stopped, while this was read.
			if h, err = n.here(ctx, on); err != nil || h.covers(pos) {
				return err == nil, err
			}
			return false, &leadership.NotReadyError{Node: n.cfg.ID, Reason: "its source had less than " + pos.String()}
		}
		return false, nil
	})
}

// copy takes what is missing from a donor that the node does not follow.
func (n *Node) copy(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position, want Point) error {
	s, err := n.begin(ctx, t)
	if err != nil {
		return err
	}
	defer s.close()
	h := s.here()
	switch {
	case t.Less(h.record.Promised):
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: h.record.Promised}
	case h.covers(pos):
		return nil
	case !h.live.readOnly:
		return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it takes writes itself"}
	case h.record.Promised != t && !h.record.Source.IsZero():
		// It acknowledges to another source, under a term that it keeps.
		return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it follows " + h.record.Source.String() + ", not " + string(donor)}
	}
	if err := s.fence(ctx, h.live, s.processes); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	var own serverID
	var p processes
	if err := s.ask(ctx, append(append(n.askProcesses(&p), n.row("read server_id", "SELECT @@global.server_id", &own)), n.askLive(s, &h.live)...)...); err != nil {
		return err
	}
	// A replica leaves out transactions of its own server, unless its
	// semi-synchronous switch is on. With the donor's term promised it may
	// acknowledge: either the donor leads under that term, or it completes
	// nothing.
	mine := own.in(want.State.Errant(h.live.state))
	if mine && h.record.Promised != t {
		return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it lacks transactions of its own, and can get them back from a leader that it follows: sweep first"}
	}
	if err := s.semiSync(p, mine); err != nil {
		return err
	}
	if err := s.replicate(donor, h.live, want.State.Positions().String()); err != nil {
		return err
	}
	err = n.awaitCovers(ctx, s, t, pos)
	if stop := s.stop(ctx); err == nil {
		err = stop
	}
	return err
}

// stop fences a server of which nothing is known.
func (s *session) stop(ctx context.Context) error {
	var l live
	var p processes
	if err := s.ask(ctx, append(s.n.askProcesses(&p), s.n.askSlave(&l.slave))...); err != nil {
		return err
	}
	return s.fence(ctx, l, p)
}

// serverID is a server_id.
type serverID uint32

func (id serverID) in(st State) bool {
	return slices.ContainsFunc(st, func(g GTID) bool { return g.Server == uint32(id) })
}
