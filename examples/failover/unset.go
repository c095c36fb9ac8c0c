package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// unset is a node without a record of its promises. It refuses everything.
type unset struct{ id leadership.NodeID }

// notSetUpError is what it says. Nothing was touched.
type notSetUpError struct{ node leadership.NodeID }

func (e *notSetUpError) Error() string {
	return fmt.Sprintf("%s has no record of its promises: run setup once on a new member; one that lost it comes back under another name", e.node)
}

func (e *notSetUpError) NotExecuted() bool { return true }

func (u unset) err() error { return &notSetUpError{u.id} }

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
