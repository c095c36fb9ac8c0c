package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/tenure-go/tenure/leadership"
)

// nodeLocal are the files in a data directory that are a machine's own and that a
// repair would replace by those of the source: its port, its names, its rules.
func nodeLocal() []string {
	return []string{"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"}
}

// Repair implements establish.Repairer: it makes the node's log one that can follow
// from, the leader of t, if it is not. It waits until from leads, has it make a
// checkpoint, since pg_rewind else finds that there is nothing to do, and rewinds;
// where the place at which the logs part cannot be proven, or pg_rewind cannot do
// it, the data is copied anew.
//
// Before anything is discarded, the node's floor and the need for a rebuild are on
// disk. A node whose repair was broken off is no evidence, does not start, and is
// repaired from the beginning. When Repair returns, the server is down: it becomes
// a log by following from in t, which Follow lets it do.
//
// The files of the machine itself, in the data directory, are kept.
func (n *Node) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	l := leadership.Leadership{Leader: from, Term: t}
	if err := t.Validate(); err != nil {
		return err
	}
	p, err := n.peer(from)
	if err != nil {
		return err
	}
	if err := n.current(ctx, t); err != nil {
		return err
	}
	theirs, err := n.leading(ctx, p, l, installed)
	if err != nil {
		return n.failed("repair from "+string(from), err)
	}
	o, err := n.begin(ctx, t)
	if err != nil {
		return err
	}
	defer o.end()
	if st := o.acc.Status(); t.Less(st.Promised) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: st.Promised}
	}
	return o.failed("repair from "+string(from), o.repair(p, l, theirs))
}

func (o *op) repair(p Peer, l leadership.Leadership, theirs state) error {
	if r := o.own.Rebuild; r != nil && r.Copied && r.From == l {
		return nil
	}
	if o.own.System != 0 && o.own.System != theirs.point.System {
		return &leadership.IncarnationError{Node: o.cfg.ID, Want: fmt.Sprint(o.own.System), Got: fmt.Sprint(theirs.point.System)}
	}
	var at *Point
	if o.own.Rebuild == nil {
		floor := theirs.point.position()
		st, err := o.lastLook()
		if err == nil && !theirs.point.Contains(st.point) {
			theirs = o.again(p, l, theirs)
		}
		switch {
		case err == nil && theirs.point.Contains(st.point):
			return nil // it can follow as it is
		case err == nil:
			at, floor = &st.point, st.point.position()
		case !o.dead():
			return err
		}
		// A server that does not start, as one that has seen the history of a
		// timeline which left its own before its end, cannot be asked where its log
		// ends. What it may have had that counts, the leader has.
		if err := o.acc.SetFloor(o.ctx, floor); err != nil {
			return err
		}
	}
	if err := o.keep(); err != nil {
		return err
	}
	if err := o.note(func(own *lineage) { own.Rebuild = &rebuild{From: l}; own.Fenced = leadership.Term{} }); err != nil {
		return err
	}
	if err := o.halt(StopFast, StopImmediate, StopKill); err != nil {
		return err
	}
	rewound := errors.New("where the logs part cannot be proven")
	if at != nil && partsAt(*at, theirs.point) {
		rewound = o.rewind(p)
	}
	if rewound != nil {
		if err := o.copy(p); err != nil {
			return errors.Join(rewound, err)
		}
	}
	if err := o.restore(); err != nil {
		return err
	}
	return o.note(func(own *lineage) {
		own.Rebuild.Copied = true
		own.System, own.Noted, own.Last = theirs.point.System, theirs.point.Eras, l
		own.Granted, own.Started, own.Told = leadership.Term{}, "", false
	})
}

// dead reports whether the server was started and did not stay up.
func (o *op) dead() bool {
	running, err := o.cfg.Controller.Running(o.ctx)
	return err == nil && !running && o.ctx.Err() == nil
}

// lastLook reads where the log of a server ends that is about to be discarded, and
// leaves the server shut down in order, as pg_rewind wants it.
func (o *op) lastLook() (state, error) {
	s, err := o.up()
	if err != nil {
		return state{}, err
	}
	defer func() { s.close() }()
	if s, err = o.detached(s); err != nil {
		return state{}, err
	}
	return o.settle(o.ctx, s)
}

// partsAt reports whether it is proven where q's log leaves what p's has: they
// have a timeline in common that is the same one in both, and the next one of
// both is not of one number, which pg_rewind would take for one timeline.
func partsAt(p, q Point) bool {
	same := 0
	for same < len(p.Eras) && same < len(q.Eras) && p.Eras[same] == q.Eras[same] && known(p.Eras, same) {
		same++
	}
	switch {
	case p.System != q.System || same == 0:
		return false
	case same == len(p.Eras) || same == len(q.Eras):
		return true
	}
	return p.Eras[same].Timeline != q.Eras[same].Timeline
}

// rewind runs pg_rewind. The source makes a checkpoint first: until it has, its
// control file shows the timeline that it was promoted from, and pg_rewind says
// that no rewind is required.
func (o *op) rewind(p Peer) error {
	if err := o.checkpoint(p); err != nil {
		return err
	}
	info, env, err := forTool(p.Conn)
	if err != nil {
		return err
	}
	_, err = o.cfg.Controller.Run(o.ctx, env, "pg_rewind", "--target-pgdata="+o.cfg.Data, "--source-server="+info)
	return err
}

func (o *op) checkpoint(p Peer) error {
	s, err := o.peerSession(o.ctx, p)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.exec(o.ctx, "SET statement_timeout = 0"); err != nil {
		return err
	}
	if _, err := s.c.Exec(o.ctx, "CHECKPOINT").ReadAll(); err != nil {
		return fmt.Errorf("CHECKPOINT at the source: %w", err)
	}
	id, err := s.row(o.ctx, "IDENTIFY_SYSTEM")
	if err != nil {
		return err
	}
	r, err := s.row(o.ctx, "SELECT timeline_id FROM pg_control_checkpoint()")
	if err == nil && r[0] != id[1] {
		err = fmt.Errorf("the source is on timeline %s and its control file on %s", id[1], r[0])
	}
	return err
}

// copy takes a base backup beside the data directory and puts it in its place.
func (o *op) copy(p Peer) error {
	info, env, err := forTool(p.Replication)
	if err != nil {
		return err
	}
	fresh, old := o.cfg.Data+".tenure-new", o.cfg.Data+".tenure-old"
	for _, dir := range []string{fresh, old} {
		if err := o.cfg.Files.Remove(o.ctx, dir); err != nil {
			return err
		}
	}
	if _, err := o.cfg.Controller.Run(o.ctx, env, "pg_basebackup", "-D", fresh, "-d", info, "-X", "stream", "-c", "fast", "--no-slot"); err != nil {
		return err
	}
	if err := o.cfg.Files.Rename(o.ctx, o.cfg.Data, old); err != nil {
		return err
	}
	if err := o.cfg.Files.Rename(o.ctx, fresh, o.cfg.Data); err != nil {
		return err
	}
	return o.cfg.Files.Remove(o.ctx, old)
}

func (o *op) kept(name string) string { return filepath.Join(o.cfg.Dir, "kept-"+name) }

// keep copies the machine's own files out of the data directory. A repair that is
// begun again keeps what the first one kept: what is in the data directory by then
// may be the source's.
func (o *op) keep() error {
	if o.own.Rebuild != nil {
		return nil
	}
	for _, name := range nodeLocal() {
		b, err := o.cfg.Files.Read(o.ctx, o.inData(name))
		if errors.Is(err, fs.ErrNotExist) {
			err = LocalFiles{}.Remove(o.ctx, o.kept(name))
		} else if err == nil {
			err = LocalFiles{}.Write(o.ctx, o.kept(name), b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restore puts the machine's own files back, and detaches the server.
func (o *op) restore() error {
	for _, name := range nodeLocal() {
		b, err := LocalFiles{}.Read(o.ctx, o.kept(name))
		if errors.Is(err, fs.ErrNotExist) {
			err = o.cfg.Files.Remove(o.ctx, o.inData(name))
		} else if err == nil {
			err = o.cfg.Files.Write(o.ctx, o.inData(name), b)
		}
		if err != nil {
			return err
		}
	}
	if _, err := o.gate(false); err != nil {
		return err
	}
	if err := o.standby(); err != nil {
		return err
	}
	return o.configureDown(detached())
}

// whole forgets the repair: the copied files have followed whom they were copied
// from, and are one log.
func (o *op) whole(l leadership.Leadership) error {
	if err := o.acc.ClearFloor(o.ctx); err != nil {
		return err
	}
	return o.note(func(own *lineage) { own.Rebuild, own.Last = nil, l })
}
