package pgnode

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
)

// Node is one PostgreSQL server as a node. It is safe for concurrent use, also
// with other Nodes of the same Dir in other processes of the machine, and owns
// no goroutine between calls. It keeps one connection to its server for the next
// call, and after Prepare one to each of two peers, until Close, or until the server
// ends it for being idle half a minute.
type Node struct {
	cfg     Config
	conf    *pgx.ConnConfig
	store   acceptor.Store
	catalog *leadership.Catalog
	admit   []string // rules of a closed gate
	exempt  []string // roles that it admits

	turn chan struct{} // one operation at a time; held across IO
	warm *session      // left by one step or operation for the next, of whoever has the turn

	mu     sync.Mutex // guards what follows, for field accesses only
	term   leadership.Term
	cancel context.CancelCauseFunc // ends the operation of term; nil: none runs
	closed bool
	peers  map[leadership.NodeID]*session // at peers, left by Prepare for whoever looks there next
}

// Reparent returns the node as a guard takes it: every ability is there. Its
// server would take clients as soon as it is promoted, and has a gate that keeps
// them out.
func (n *Node) Reparent() reparent.Node {
	return reparent.Node{
		ID: n.cfg.ID, Addr: n.cfg.Addr, Priority: n.cfg.Priority,
		Status: n, Promise: n, StepDown: n, Candidate: n, Follow: n, Repair: n, Enforce: n, Prepare: n,
		GrantsAtInstall: true, ClientGate: true,
	}
}

// Close makes later calls fail with leadership.ErrClosed. It waits for an
// operation that is under way. The server is left as it is.
func (n *Node) Close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.turn <- struct{}{}
	n.warm.close()
	n.warm = nil
	n.part()
	n.give()
}

// take waits for the turn of an operation of term t; a call of a lower term that
// has it is ended.
func (n *Node) take(ctx context.Context, t leadership.Term) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return leadership.ErrClosed
	}
	if n.cancel != nil && n.term.Less(t) {
		n.cancel(&leadership.StaleTermError{Node: n.cfg.ID, Asked: n.term, Promised: t})
	}
	n.mu.Unlock()
	if ctx.Err() != nil {
		return &acceptor.CanceledError{Err: context.Cause(ctx)}
	}
	select {
	case n.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &acceptor.CanceledError{Err: context.Cause(ctx)}
	}
}

func (n *Node) give() { <-n.turn }

// op is one operation on the node, under its lock: nothing else changes the
// node's record or its server meanwhile.
type op struct {
	*Node
	ctx    context.Context // ends, too, when a higher term wants the node
	acc    *acceptor.Acceptor
	own    lineage
	probe  *session // opened for waited; nil: none
	unlock func()
	done   context.CancelCauseFunc
}

// begin takes the node's lock for an operation of term t and loads its record.
// Whoever holds the lock in another process is waited for.
func (n *Node) begin(ctx context.Context, t leadership.Term) (*op, error) {
	if err := n.take(ctx, t); err != nil {
		return nil, err
	}
	o := &op{Node: n}
	o.ctx, o.done = context.WithCancelCause(ctx)
	n.mu.Lock()
	n.term, n.cancel = t, o.done
	n.mu.Unlock()
	var err error
	if o.unlock, err = lockDir(o.ctx, n.cfg.Dir); err == nil {
		if err = o.load(); err == nil {
			return o, nil
		}
	} else if o.ctx.Err() != nil {
		err = &acceptor.CanceledError{Err: err} // behind another process
	}
	o.end()
	return nil, fmt.Errorf("pgnode: %s: %w", n.cfg.ID, err)
}

func (o *op) load() error {
	own, ok, err := loadLineage(o.cfg.Dir)
	if err == nil && !ok {
		err = &acceptor.NoRecordError{Node: o.cfg.ID}
	}
	if err != nil {
		return err
	}
	o.own = own
	o.acc, err = acceptor.Open(o.ctx, o.store, o.cfg.ID, own.Incarnation, acceptor.Options{Catalog: o.catalog})
	return err
}

func (o *op) end() {
	o.mu.Lock()
	o.cancel = nil
	o.mu.Unlock()
	o.probe.close()
	o.done(nil)
	if o.unlock != nil {
		o.unlock()
	}
	o.give()
}

// note makes a change of the lineage durable.
func (o *op) note(edit func(*lineage)) error {
	next := o.own
	edit(&next)
	if err := next.save(o.cfg.Dir); err != nil {
		return err
	}
	o.own = next
	return nil
}

// noteBeside is note while f runs, which must not note anything itself. It returns when
// both have ended. It is for what need not be on disk before f has its effect, and must be
// before what comes next.
func (o *op) noteBeside(edit func(*lineage), f func() error) error {
	before := o.own
	edit(&o.own)
	next := o.own
	var saving sync.WaitGroup
	var failed error
	saving.Go(func() { failed = next.save(o.cfg.Dir) })
	err := f()
	saving.Wait()
	if failed == nil {
		return err
	}
	o.own = before
	return errors.Join(failed, err)
}

// binds promises a term that the node's log shows to be above its promise: an
// accepted entry binds like a promise of its term.
func (o *op) binds(t leadership.Term) error {
	if t.IsZero() || !o.acc.Status().Promised.Less(t) {
		return nil
	}
	acc, err := acceptor.Open(o.ctx, o.store, o.cfg.ID, o.own.Incarnation, acceptor.Options{LogTerm: t, Catalog: o.catalog})
	if err == nil {
		o.acc = acc
	}
	return err
}

// current returns a *leadership.StaleTermError when the record has a promise
// above t by now. It reads the record without the lock: it is what a call looks
// at while it waits for its server.
func (n *Node) current(ctx context.Context, t leadership.Term) error {
	st, ok, err := n.store.Load(ctx)
	switch {
	case err != nil:
		return err
	case !ok:
		return &acceptor.NoRecordError{Node: n.cfg.ID}
	case t.Less(st.Promised):
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: st.Promised}
	}
	return nil
}

// RebuildError says that the node's data directory is not one log, because a
// repair was begun and has not ended: nothing that it holds is evidence, and only
// another repair makes it usable.
type RebuildError struct {
	Node leadership.NodeID
	From leadership.Leadership
}

func (e *RebuildError) Error() string {
	return fmt.Sprintf("pgnode: %s needs to be rebuilt: a repair from %s has not ended: repair it, or sweep the cluster", e.Node, e.From)
}

// NotAncestorError says that a node was not attached to a leader because its log
// is no part of the leader's. A standby that is attached all the same reports, as
// flushed, places in its own log that the leader takes for its own: it would
// acknowledge what it never received.
type NotAncestorError struct {
	Node   leadership.NodeID
	Leader leadership.Leadership
	At, Of leadership.Position
}

func (e *NotAncestorError) Error() string {
	return fmt.Sprintf("pgnode: %s is at %s, which is no part of the log of %s at %s: it was not attached: repair it first", e.Node, e.At, e.Leader, e.Of)
}

// ServerError says that the node's server could not be brought to do something.
// What was asked of it may have happened.
type ServerError struct {
	Node leadership.NodeID
	What string
	Err  error
}

func (e *ServerError) Error() string { return fmt.Sprintf("pgnode: %s: %s: %v", e.Node, e.What, e.Err) }

// Unwrap returns the cause.
func (e *ServerError) Unwrap() error { return e.Err }

// NotExecuted reports false, whatever the cause says of itself: that a higher term
// ended a step does not undo what it did before.
func (e *ServerError) NotExecuted() bool { return false }

func (n *Node) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return &ServerError{Node: n.cfg.ID, What: what, Err: err}
}
