package reparent

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
)

// Statuser is a node that says how it is. What it says is a hint, for
// pre-flight checks and for people; no decision of a change rests on it.
type Statuser interface {
	Status(ctx context.Context) (leadership.Status, error)
}
