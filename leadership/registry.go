package leadership

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/internal/nils"
)

// Registry stores one Record. It is a dumb store with a compare-and-swap: the
// rules of how a record may change are Record's transitions. Implementations
// must be linearizable and safe for concurrent use by several processes.
// leadershiptest.Registry checks one.
//
// Every call ends with its context, and returns context.Cause then: nothing was
// written, unless the error wraps ErrUnknownOutcome.
type Registry interface {
	// Load returns the newest record, the zero Record when none exists.
	Load(ctx context.Context) (Record, error)
	// Swap replaces the record if its version is base, and returns next with
	// the version it was given, above base. With base 0 it creates the
	// record. It returns a *ConflictError when the version is another, and
	// an error wrapping ErrUnknownOutcome when it cannot tell whether the
	// write took effect; any other error means that it did not.
	Swap(ctx context.Context, base uint64, next Record) (Record, error)
	// Wait returns the newest record once its version is above after, at
	// once when it is already. It may return a version more than one
	// higher: records in between are of no use to anyone.
	Wait(ctx context.Context, after uint64) (Record, error)
}

// Recaller is what a Registry may implement besides, when to ask its store takes long.
type Recaller interface {
	// Recall returns the newest record that was read from the store or written to it
	// here, without asking, and false when there is none. It may be of the past. It
	// does not block, and may be called from several goroutines; the caller may change
	// what it returns.
	Recall() (Record, bool)
}

// recall returns a record to begin with, the zero Record for none.
func recall(reg Registry) Record {
	if r, ok := reg.(Recaller); ok {
		if rec, ok := r.Recall(); ok {
			return rec
		}
	}
	return Record{}
}

// updateTries bounds how often Update takes up a conflict.
const updateTries = 64

// Update loads the record, applies step to it, and swaps. A conflict is taken
// up again from the new record. An unknown outcome is settled by loading:
// step is applied again, and must then either find its own work done and
// return the record as it is, or fail as it would for a stranger's record.
// Terms are unique to an attempt, so transitions can tell.
//
// With a registry that is a Recaller, step is applied to what that recalls first, as if
// it had been loaded when it was read or written: that the swap takes effect proves that
// it was the newest still. When it does not, and when step fails or finds nothing to do,
// the record is loaded.
//
// step must be pure: it may be called several times, and what the last call
// returned is what counts.
//
// It returns the record as it stands, and the error of step, of the registry,
// or ctx; ErrNoRegistry or a *TransitionError for a nil registry or step. When a Swap of unknown outcome could not be settled, or the error
// would otherwise prove that nothing was written, it wraps ErrUnknownOutcome.
func Update(ctx context.Context, reg Registry, step func(Record) (Record, error)) (Record, error) {
	switch {
	case nils.Is(reg):
		return Record{}, ErrNoRegistry
	case step == nil:
		return Record{}, &TransitionError{Step: "update the record", Reason: "no step is given"}
	}
	var unknown error // of the last Swap that may have taken effect
	var inFlight bool // and may do so yet
	var base uint64
	fail := func(r Record, err error) (Record, error) {
		if unknown != nil {
			return r, fmt.Errorf("%w (after %w)", err, unknown)
		}
		return r, err
	}
	known := recall(reg)
	for range updateTries {
		if err := ctx.Err(); err != nil {
			return fail(Record{}, context.Cause(ctx))
		}
		cur := known
		recalled := known.Version != 0
		known = Record{}
		if !recalled {
			var err error
			if cur, err = reg.Load(ctx); err != nil {
				return fail(Record{}, err)
			}
		}
		// A Swap of unknown outcome that finds another version than its base
		// can do nothing any more.
		inFlight = inFlight && cur.Version == base
		next, err := step(cur)
		if recalled && (err != nil || next.Equal(cur)) {
			continue // it may be so of the past only
		}
		if err != nil {
			if inFlight || NotExecuted(err) {
				return fail(cur, err)
			}
			return cur, err
		}
		if next.Equal(cur) {
			return cur, nil
		}
		out, err := reg.Swap(ctx, cur.Version, next)
		var conflict *ConflictError
		switch {
		case err == nil:
			return out, nil
		case errors.As(err, &conflict):
		case errors.Is(err, ErrUnknownOutcome):
			unknown, inFlight, base = err, true, cur.Version
		default:
			if inFlight {
				return fail(cur, err)
			}
			return cur, err
		}
	}
	return fail(Record{}, fmt.Errorf("leadership: gave up after %d conflicting registry writes", updateTries))
}
