package main

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// unset is a node without a record of its promises. It refuses everything.
type unset struct{ id leadership.NodeID }

func (u unset) err() error { return &agent.NotSetUpError{Node: u.id} }

func (u unset) Status(context.Context) (leadership.Status, error) {
	return leadership.Status{}, u.err()
}

func (u unset) Promise(context.Context, leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, u.err()
}

func (u unset) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{}, u.err()
}

func (u unset) StepDown(context.Context, leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, u.err()
}

func (u unset) Follow(context.Context, leadership.Term, leadership.NodeID) (leadership.Acceptance, error) {
	return leadership.Acceptance{}, u.err()
}

func (u unset) CatchUp(context.Context, leadership.Term, leadership.NodeID, leadership.Position) error {
	return u.err()
}

func (u unset) Install(context.Context, leadership.Marker) (leadership.Acceptance, error) {
	return leadership.Acceptance{}, u.err()
}

func (u unset) Grant(context.Context, leadership.Term) error { return u.err() }
