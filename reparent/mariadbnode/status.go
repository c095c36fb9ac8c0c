package mariadbnode

import (
	"context"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// Status implements reparent.Statuser. It is a hint: the parts were read one
// after the other, and what a replica has received and not applied is not in
// its position. Source names a leader only when replication from it runs and
// acknowledges.
func (n *Node) Status(ctx context.Context) (leadership.Status, error) {
	if n.closed.Load() {
		return leadership.Status{}, ErrClosed
	}
	var r record
	var l live
	var h history
	var acks bool
	if err := n.pinned(ctx, func(s *session) error {
		return s.ask(ctx, append(n.askLive(s, &l), n.askRecord(&r), n.askMarkers(&h), n.askAcks(&acks))...)
	}); err != nil {
		return leadership.Status{}, err
	}
	pos := position(l.state, h)
	s := leadership.Status{
		Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, l.start), Reachable: true, Promised: r.Promised,
		Leads: r.led(l.readOnly, l.start), Position: pos, Markers: sightings(h), BelowFloor: below(pos, r.Floor) || !r.whole(l.state),
		Draining: !r.draining(l.now).IsZero(),
	}
	member := n.member(h.last())
	if n.follows(r.Source.Leader, l.slave) && l.slave.ioRuns() && l.slave.ioErrno == 0 && l.slave.sqlRuns() && acks == member {
		s.Source = r.Source
	}
	s.Degraded = degraded(r, l, pos)
	return s, nil
}

// degraded says what is wrong with a server, "" for nothing.
func degraded(r record, l live, pos leadership.Position) string {
	p, _ := asPoint(pos.Point)
	errant := p.Errant()
	switch {
	case len(errant) > 0:
		return "it has errant transactions: " + errant.String()
	case !r.whole(l.state):
		return "its log lacks " + r.Skipped + ", transactions of its own that it did not get back: rebuild it"
	case l.slave.sqlErrno != 0:
		return "the SQL thread stopped with error " + strconv.Itoa(l.slave.sqlErrno)
	case !l.readOnly && r.led(false, l.start).IsZero():
		return "it takes writes without a grant of its present life"
	case l.slave.ioRuns() && r.Source.IsZero():
		return "it replicates from " + l.slave.host + " although it follows nobody"
	}
	return ""
}
