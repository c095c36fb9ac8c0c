package reparent_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// remote is a node as a coordinator's process reaches it.
type remote struct {
	from *proc
	n    *node
}

func (r remote) Status(ctx context.Context) (leadership.Status, error) {
	return rpc(ctx, r.from, r.n.p, "status", r.n.status)
}

func (r remote) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return rpc(ctx, r.from, r.n.p, "promise "+t.String(), func(ctx context.Context) (leadership.Testimony, error) { return r.n.promise(ctx, t) })
}

func (r remote) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	return rpc(ctx, r.from, r.n.p, "drain "+t.String(), func(ctx context.Context) (revoke.Drained, error) { return r.n.drain(ctx, t, d) })
}

func (r remote) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return rpc(ctx, r.from, r.n.p, "stepdown "+t.String(), func(ctx context.Context) (leadership.Testimony, error) { return r.n.stepDown(ctx, t) })
}

func (r remote) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	_, err := rpc(ctx, r.from, r.n.p, "catchup "+t.String(), func(ctx context.Context) (int, error) { return 0, r.n.catchUp(ctx, t, donor, pos) })
	return err
}

func (r remote) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	return rpc(ctx, r.from, r.n.p, "install "+m.Term.String(), func(ctx context.Context) (leadership.Acceptance, error) { return r.n.install(ctx, m) })
}

func (r remote) Grant(ctx context.Context, t leadership.Term) error {
	_, err := rpc(ctx, r.from, r.n.p, "grant "+t.String(), func(ctx context.Context) (int, error) { return 0, r.n.grant(ctx, t) })
	return err
}

func (r remote) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	return rpc(ctx, r.from, r.n.p, "follow "+t.String(), func(ctx context.Context) (leadership.Acceptance, error) { return r.n.follow(ctx, t, leader) })
}

func (r remote) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	_, err := rpc(ctx, r.from, r.n.p, "repair "+t.String(), func(ctx context.Context) (int, error) { return 0, r.n.repair(ctx, t, from) })
	return err
}

// slowRemote reads apart from promising.
type slowRemote struct{ remote }

func (r slowRemote) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return rpc(ctx, r.from, r.n.p, "read "+t.String(), func(ctx context.Context) (leadership.Testimony, error) { return r.n.readSlowly(ctx, t) })
}

// remoteRegistry is the registry as a process reaches it.
type remoteRegistry struct {
	from *proc
	c    *cluster
}

func (r remoteRegistry) Load(ctx context.Context) (leadership.Record, error) {
	return rpc(ctx, r.from, r.c.regP, "load", r.c.reg.Load)
}

func (r remoteRegistry) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	return rpc(ctx, r.from, r.c.regP, fmt.Sprintf("swap %d", base), func(ctx context.Context) (leadership.Record, error) { return r.c.reg.Swap(ctx, base, next) })
}

func (r remoteRegistry) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	return rpc(ctx, r.from, r.c.regP, "wait", func(ctx context.Context) (leadership.Record, error) { return r.c.reg.Wait(ctx, after) })
}

var (
	_ establish.Candidate = remote{}
	_ establish.Follower  = remote{}
	_ establish.Repairer  = remote{}
	_ revoke.StepDowner   = remote{}
	_ revoke.Reader       = slowRemote{}
	_ reparent.Statuser   = remote{}
)
