package reparenttest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// lies are what an engine does behind the back of an adapter that does not know
// better. Each is a fact of MariaDB or PostgreSQL, stated in its manual or seen
// on a running server; the simulated adapters are right unless one is set.
type lies struct {
	// MariaDB.

	// relayLost: a server that starts throws away what it had received and not
	// applied, unless the adapter has the relay log applied first.
	relayLost bool
	// lateStatement: CHANGE MASTER carries no term, and goes on at the server
	// after its client has given up on it.
	lateStatement bool
	// autoStart: replication that was stopped runs again after a restart
	// (no skip-slave-start).
	autoStart bool
	// errant: an administrative statement on a follower is logged, as a
	// transaction of its own.
	errant bool
	// asyncFallback: a commit that waited long enough for its acknowledgement
	// is reported as done.
	asyncFallback bool
	// killQuery: a commit whose wait is ended by KILL QUERY, so that read_only
	// can be set, is reported as done.
	killQuery bool

	// PostgreSQL.

	// ungated: a server that was promoted takes clients at once.
	ungated bool
	// promiseInside: the promise is in the data directory, which pg_rewind
	// overwrites with the source's.
	promiseInside bool
	// ghostAck: a primary that is attached without being rewound
	// acknowledges, as a standby, whatever lies below the end of its own log.
	ghostAck bool
	// noCheckpoint: pg_rewind finds that no rewind is required until the
	// promoted server has made a checkpoint.
	noCheckpoint bool
	// unloaded: a server goes by the setting that it had as a follower until it
	// has read the new one, and its adapter does not wait for that.
	unloaded bool
}

// ownPoint is the place of a log that is not all there is on a server: it holds
// transactions of its own besides. Neither it nor any other contains the other.
type ownPoint struct {
	leadership.LogPoint
	own string
}

// Kind implements leadership.Point.
func (ownPoint) Kind() string { return "logs" }

// String implements leadership.Point.
func (p ownPoint) String() string { return p.LogPoint.String() + "," + p.own }

// Compare implements leadership.Point.
func (p ownPoint) Compare(q leadership.Point) leadership.Order {
	if q, ok := q.(ownPoint); ok && p.own == q.own {
		return p.LogPoint.Compare(q.LogPoint)
	}
	return leadership.Diverged
}

// Extends implements leadership.Point.
func (p ownPoint) Extends(own leadership.Term, from leadership.Position) bool {
	q, ok := from.Point.(ownPoint)
	return ok && p.own == q.own && p.LogPoint.Extends(own, leadership.Position{Term: from.Term, Point: q.LogPoint})
}

// statement is one that a person runs on the server, past the adapter. Only one
// that logs by itself keeps it.
func (n *store) statement(ctx context.Context) error {
	if n.out {
		return errOut
	}
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if st := n.acc.Status(); !st.Leads.IsZero() || len(n.entries()) == 0 {
		return nil // a transaction like all others, and nothing to see here
	}
	return n.h.Write(ctx, "statement", func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.disk.own++
		n.last = lastRead{}
	})
}

// strayed is the point of a log beside which there are own transactions.
func (n *store) strayed(p leadership.Position) leadership.Position {
	if at, ok := p.Point.(leadership.LogPoint); ok && n.disk.own > 0 {
		p.Point = ownPoint{at, string(n.h.ID) + ":" + strconv.Itoa(n.disk.own)}
	}
	return p
}

// decide is what a person does who is told that logs diverge: take out again what
// somebody wrote at a server past its adapter. It was there to be seen before the
// change, or was not: once the leader has stepped down for one that came upon it, no
// coordinator can tell which log is right.
func (w *world) decide(err error) {
	var says *leadership.DivergedError
	if !errors.As(err, &says) {
		return
	}
	for _, at := range says.Positions {
		if n, ok := w.hosts[at.Node].node.Client.(*store); ok {
			n.mu.Lock()
			n.disk.own = 0
			n.last = lastRead{}
			n.mu.Unlock()
		}
	}
}

// load has the server take on the setting by which it waits for followers, and
// waits until it has: it is written to a file, which the server reads when it is
// told to, some time later.
func (n *store) load(ctx context.Context, t leadership.Term) error {
	if !n.Opens {
		return nil
	}
	n.mu.Lock()
	asked := n.asked
	n.asked = t
	n.mu.Unlock()
	if asked != t {
		n.h.proc.Later("reload", func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.loaded = t
			n.wake()
		})
	}
	if n.lies.unloaded {
		return nil
	}
	return n.await(ctx, func() bool { return n.loaded == t })
}

// alone reports whether the server completes without any follower, whatever its
// adapter told it: what it was when it followed is what it goes by.
func (n *store) alone() bool { return n.lies.unloaded && n.loaded != n.installed }

// received says that what a follower has just acknowledged is in its relay log,
// and has it applied.
func (n *store) received() {
	if !n.Relay {
		return
	}
	n.h.proc.Later("apply", func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.disk.applied = len(n.disk.log)
	})
}

// applies reports whether a write is more than one to the relay log.
func (n *store) applies(what string) bool { return !n.Relay || !strings.HasPrefix(what, "accept") }

// starts is what the engine does by itself when it boots.
func (n *store) starts() {
	d := n.disk
	if n.lies.relayLost {
		d.log = slices.Clip(d.log[:min(d.applied, len(d.log))])
	}
	if n.lies.autoStart {
		n.engine = d.master
	}
}

// pointAt lets the engine replicate from a leader, by a statement that knows
// nothing of terms.
func (n *store) pointAt(l leadership.Leadership) {
	if !n.lies.lateStatement && !n.lies.autoStart {
		return
	}
	point := func(ctx context.Context) {
		_ = n.h.Write(ctx, "change master to "+string(l.Leader), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.engine, n.disk.master = l, l
		})
	}
	if n.lies.lateStatement {
		n.h.Go(point)
		return
	}
	point(n.h.Life())
}

// stopped is what a promise does to the engine: replication stops, until
// somebody starts it again.
func (n *store) stopped() {
	n.mu.Lock()
	n.engine = leadership.Leadership{}
	n.mu.Unlock()
}

// replicates reports whether the engine takes entries whatever was promised.
func (n *store) replicates(l leadership.Leadership) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !l.IsZero() && n.engine == l
}

// admin is the statement that notes a promise in a table of the server.
func (n *store) admin(ctx context.Context) error {
	if !n.lies.errant {
		return nil
	}
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	log := n.entries()
	if len(log) == 0 || n.acc.Status().Source.Leader == n.h.ID {
		return nil
	}
	return n.write(ctx, "errant", len(log), []Entry{{Term: log[len(log)-1].Term}})
}

// checkpoint has a server note in its control file that it was promoted.
func (n *store) checkpoint(ctx context.Context, at leadership.NodeID) error {
	_, err := Send(ctx, n.h, at, "checkpoint", func(ctx context.Context, peer Node) (struct{}, error) {
		s := peer.Client.(*store)
		return struct{}{}, s.h.Write(ctx, "checkpoint", func() { s.disk.checkpoint = s.installed })
	})
	return err
}

// required asks pg_rewind whether there is anything to do: it compares what the
// control files say.
func (n *store) required(ctx context.Context, from leadership.NodeID) (bool, error) {
	if !n.Opens {
		return true, nil
	}
	if !n.lies.noCheckpoint {
		// It has one made, and rewinds whatever the tool says: another
		// promotion may have come in between.
		return true, n.checkpoint(ctx, from)
	}
	return Send(ctx, n.h, from, "control file", func(_ context.Context, peer Node) (bool, error) {
		s := peer.Client.(*store)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.disk.checkpoint == s.installed, nil
	})
}

// promoted makes the checkpoint that a server makes by itself in the end.
func (n *store) promoted(t leadership.Term) {
	if !n.lies.noCheckpoint {
		return
	}
	n.h.Go(func(life context.Context) {
		if n.h.Sleep(life, 300*time.Millisecond) == nil {
			_ = n.h.Write(life, "checkpoint", func() { n.disk.checkpoint = t })
		}
	})
}

// diverged is what a server does with entries that do not fit its own log.
func (n *store) diverged(ctx context.Context, l leadership.Leadership, ours, log []Entry, commit int) error {
	switch {
	case n.disk.adrift && len(log) > len(ours):
		return n.writes(ctx, "accept "+l.Term.String(), len(ours), log[len(ours):], commit)
	case n.disk.adrift, n.lies.ghostAck && len(ours) >= len(log):
		return nil
	}
	return errBroken
}

// inside is what a rewind does to a promise that is kept among the data.
func (n *store) inside(ctx context.Context, from leadership.NodeID) error {
	if !n.lies.promiseInside {
		return nil
	}
	theirs, err := Send(ctx, n.h, from, "fetch promise", func(_ context.Context, peer Node) (leadership.Term, error) {
		return peer.Client.(*store).disk.rec.Promised, nil
	})
	if err != nil {
		return err
	}
	return n.h.Write(ctx, "overwrite the promise", func() {
		n.disk.rec.Promised, n.disk.rec.Source = theirs, leadership.Leadership{}
	})
}
