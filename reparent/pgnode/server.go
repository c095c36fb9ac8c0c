package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/tenure-go/tenure/leadership"
)

// nobody is what a server waits for that is not to complete anything: a standby that
// cannot be. A "~" after such a name is in no node's.
const nobody = `ANY 1 ("tenure~nobody")`

// detached are the settings of a server that takes nothing from anybody, and that
// completes nothing if it is a primary, or becomes one. They are in
// postgresql.auto.conf, so that a restart does not undo them.
func detached() map[string]string {
	return map[string]string{"primary_conninfo": "", "restore_command": "", "synchronous_standby_names": nobody}
}

func (o *op) inData(name string) string { return filepath.Join(o.cfg.Data, name) }

// gate brings the gate in pg_hba.conf to open or closed, on disk, and says whether it
// was not so before: then a server that runs must reload it.
func (o *op) gate(open bool) (changed bool, err error) {
	b, err := o.cfg.Files.Read(o.ctx, o.cfg.HBA)
	if err != nil {
		return false, err
	}
	next, err := setGate(string(b), open, o.admit)
	if err != nil || next == string(b) {
		return false, err
	}
	return true, o.cfg.Files.Write(o.ctx, o.cfg.HBA, []byte(next))
}

// standby makes the next start one as a standby, whoever starts the server and
// for whatever reason: a leader that crashed must not come back as one.
func (o *op) standby() error {
	_, err := o.cfg.Files.Read(o.ctx, o.inData("standby.signal"))
	if errors.Is(err, fs.ErrNotExist) {
		err = o.cfg.Files.Write(o.ctx, o.inData("standby.signal"), nil)
	}
	return err
}

// configureDown writes settings for a server that is down.
func (o *op) configureDown(settings map[string]string) error {
	path := o.inData("postgresql.auto.conf")
	b, err := o.cfg.Files.Read(o.ctx, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next := setAuto(string(b), settings)
	if next == string(b) {
		return nil
	}
	return o.cfg.Files.Write(o.ctx, path, []byte(next))
}

// halt ends the server: in order while that takes no longer than it may, then at
// once, then by force. None of the three tells a client that waits for a standby
// that its commit is done; cancelling its wait would.
func (o *op) halt(modes ...StopMode) error {
	var errs []error
	for _, mode := range modes {
		ctx, cancel := context.WithTimeout(o.ctx, o.cfg.Limits.Stop)
		err := o.cfg.Controller.Stop(ctx, mode)
		cancel()
		if err == nil {
			err = o.silent()
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("stop %s: %w", mode, err))
		if o.ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// silent takes nobody's word for it that the server has ended: one that answers
// has not, whatever its Controller can see of it, and of one that is not heard of in
// time nobody knows. It looks also when the caller has gone meanwhile: whether the
// server may be started again hangs on it.
func (o *op) silent() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), o.cfg.Limits.Connect)
	defer cancel()
	s, err := o.dial(ctx)
	s.close()
	var answer *pgconn.PgError
	switch {
	case err == nil || errors.As(err, &answer):
		return errors.New("its Controller says that it has ended, and it answers")
	case pgconn.Timeout(err):
		return fmt.Errorf("its Controller says that it has ended, and whether it answers could not be seen: %w", err)
	}
	return nil
}

// demote makes a fenced standby of the server, whatever it was, and leaves it down.
// The order leaves nothing to a crash in between: from the first step on, the next
// start is one as a standby behind a closed gate.
func (o *op) demote(modes ...StopMode) error {
	if err := o.standby(); err != nil {
		return err
	}
	if _, err := o.gate(false); err != nil {
		return err
	}
	// Before it ends, too: who starts it at once must find it detached.
	if err := o.configureDown(detached()); err != nil {
		return err
	}
	if err := o.halt(modes...); err != nil {
		return err
	}
	// A promotion that ended meanwhile has removed it.
	if err := o.standby(); err != nil {
		return err
	}
	return o.configureDown(detached())
}

// demoted is demote, and then lets the server start. Whether it does is for the
// next one to find out who needs it up: that it is fenced does not depend on it.
func (o *op) demoted(modes ...StopMode) error {
	if err := o.demote(modes...); err != nil {
		return err
	}
	_ = o.start()
	return nil
}

// start starts the server, also when the operation is over by now: of one that it left
// stopped nobody could read where its log ends.
func (o *op) start() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), o.cfg.Limits.Start)
	defer cancel()
	return o.cfg.Controller.Start(ctx)
}

// fence carries the promise of t out at the server: it accepts from nobody, takes
// no clients, and if it led it is a standby now. What it does outlives a restart.
func (o *op) fence(t leadership.Term) error {
	return o.fenceThen(t, func() error { return nil })
}

// fenceThen is fence, and f while it is put on disk that the server is fenced: were that
// lost, it would be fenced again.
func (o *op) fenceThen(t leadership.Term, f func() error) error {
	if !o.own.Fenced.Less(t) {
		return f()
	}
	if err := o.detach(); err != nil {
		return o.failed("fence", err)
	}
	fenced := func(l *lineage) {
		l.Fenced, l.Granted, l.Started, l.Told, l.Shut = t, leadership.Term{}, "", false, nil
	}
	if o.own.System != 0 {
		return o.noteBeside(fenced, f)
	}
	// The first look at the server is noted, too.
	if err := o.note(fenced); err != nil {
		return err
	}
	return f()
}

func (o *op) detach() error {
	if o.own.Rebuild != nil {
		// Nothing that it could acknowledge is there. It must not start.
		if err := o.halt(StopFast, StopImmediate, StopKill); err != nil {
			return err
		}
		return o.configureDown(detached())
	}
	s, err := o.local(o.ctx)
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer):
		return o.demoted(StopFast, StopImmediate, StopKill) // it lives, and lets nobody in
	case err != nil:
		return o.demoted(StopImmediate, StopKill)
	}
	defer func() { o.leave(s) }()
	if err := o.alone(s); err != nil {
		return o.demoted(StopFast, StopImmediate, StopKill)
	}
	r, err := s.row(o.ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return err
	}
	// One that was told to promote may do so later, and takes a standby for
	// nothing else until it does.
	if r[0] != "t" || o.own.Told {
		return o.demoted(StopFast, StopImmediate, StopKill)
	}
	if err := o.standby(); err != nil {
		return err
	}
	changed, err := o.gate(false)
	if err != nil {
		return err
	}
	if err := o.alter(o.ctx, s, detached()); err != nil {
		return err
	}
	who := itself
	if changed {
		who = fresh
	}
	if _, err := o.reload(o.ctx, s, detached(), who); err != nil {
		return err
	}
	s, err = o.receiverGone(s)
	return err
}

// receiverWait is how long a walreceiver that was told to end may take.
const receiverWait = 500 * time.Millisecond

// receiverGone waits until nothing is received any more: a walreceiver that was
// told to end can still flush and acknowledge what it has, and while the startup
// process waits for a stream there is one, or one is coming. One that found no common
// timeline with its leader waits for the startup process to send it on, is told
// nothing by a change of primary_conninfo, and would go on from its old connection
// when it is sent: the server is restarted to be rid of it. It returns the session
// to go on with.
func (o *op) receiverGone(s *session) (*session, error) {
	ctx, cancel := context.WithTimeout(o.ctx, receiverWait)
	defer cancel()
	err := poll(ctx, time.Millisecond, func() (bool, error) {
		r, err := s.row(ctx, `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'
			OR backend_type = 'startup' AND wait_event = 'RecoveryWalStream'`)
		return err == nil && r[0] == "0", err
	})
	if err == nil || o.ctx.Err() != nil {
		return s, err
	}
	return o.restarted(s)
}

// restarted makes a detached standby of the server by a restart, and returns a
// session in the place of s.
func (o *op) restarted(s *session) (*session, error) {
	if err := o.demote(StopFast, StopImmediate, StopKill); err != nil {
		return s, err
	}
	s.close()
	if err := o.start(); err != nil {
		return nil, err
	}
	return o.await(o.ctx)
}

// up returns a session at the server, which is started if it is down.
func (o *op) up() (*session, error) {
	if o.own.Rebuild != nil {
		return nil, &RebuildError{Node: o.cfg.ID, From: o.own.Rebuild.From}
	}
	if o.own.Shut != nil {
		return o.ended(StopImmediate, StopKill)
	}
	s, err := o.local(o.ctx)
	if err == nil {
		if o.alone(s) != nil {
			return o.restarted(s)
		}
		return s, nil
	}
	if refused(err) {
		return nil, err
	}
	running, err := o.cfg.Controller.Running(o.ctx)
	if err != nil {
		return nil, err
	}
	if !running {
		// Who knows what it was when it went down.
		if err := o.standby(); err != nil {
			return nil, err
		}
		if err := o.cfg.Controller.Start(o.ctx); err != nil {
			return nil, err
		}
	}
	return o.await(o.ctx)
}

// clients is the end of a query over the sessions of clients. One whose role was
// dropped meanwhile has no name, and all its rights.
func (n *Node) clients() string {
	roles := make([]string, len(n.exempt))
	for i, r := range n.exempt {
		roles[i] = quote(r)
	}
	return " FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') AND coalesce(usename, '') NOT IN (" + strings.Join(roles, ", ") + ")"
}

// strangers is the end of a query over who is being let in, and coming asks for them.
const (
	strangers = " FROM pg_locks WHERE locktype = 'virtualxid' AND pid NOT IN (SELECT pid FROM pg_stat_activity)"
	coming    = "(SELECT coalesce(string_agg(pid::text, ', '), '0')" + strangers + ")"
)

// evict ends every session of a client, whatever it came for. They are ended, never
// cancelled: a commit whose wait for a standby is cancelled tells its client that it
// is done. Who was being let in when it was called is waited for: a server that has
// closed its gate still authenticates them by the rules before. They have a
// transaction, and no role yet.
func (o *op) evict(s *session, bound time.Duration) error {
	clients := o.clients()
	ctx, cancel := context.WithTimeout(o.ctx, bound)
	defer cancel()
	r, err := s.row(ctx, "SELECT "+coming)
	if err != nil {
		return err
	}
	ask := "SELECT count(*) + (SELECT count(*)" + strangers + " AND pid IN (" + r[0] + "))" + clients
	return poll(ctx, time.Millisecond, func() (bool, error) {
		if err := s.exec(ctx, "SELECT pg_terminate_backend(pid)"+clients); err != nil {
			return false, err
		}
		r, err := s.row(ctx, ask)
		return err == nil && r[0] == "0", err
	})
}
