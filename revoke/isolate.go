package revoke

import (
	"context"
	"fmt"
	"sync"

	"github.com/tenure-go/tenure/internal/nils"
	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// Isolator cuts a node off from power, network or storage. Both commands carry
// a term, and for each node it remembers the highest it obeyed, durably. It
// refuses with a *leadership.StaleTermError
//
//   - any command of an older term: else a resumed coordinator shoots the new
//     leader, or lets the old one back;
//   - an Isolate of the very term of a Release that it obeyed: a command may come
//     late, or twice, and what is cut off once its hold has left the record is
//     known to nobody who could let it go.
//
// So a release is the end of every isolation up to and including its term,
// whether that has arrived or not. A Release that comes again does nothing.
type Isolator interface {
	// Isolate returns when the node can reach no other node of the cohort
	// and no client, and stays so until Release.
	Isolate(ctx context.Context, t leadership.Term, node leadership.NodeID) error
	// Release ends it.
	Release(ctx context.Context, t leadership.Term, node leadership.NodeID) error
}

// Isolate is revocation by cutting nodes off. It needs no cooperation from
// them, but its block is only held: it lasts as long as it is kept up. So it is
// recorded in the registry before it is made, and not let go before the node
// has promised. NewIsolate makes one; the zero Isolate returns ErrNilMechanism.
type Isolate struct {
	iso   Isolator
	reg   leadership.Registry
	by    string
	nodes func(Ask) []leadership.NodeID
}

// NewIsolate returns the mechanism. nodes says whom to isolate for an Ask; nil:
// the leader. by is who is named in the record. It returns ErrNilMechanism for a
// nil Isolator or Registry.
func NewIsolate(iso Isolator, reg leadership.Registry, by string, nodes func(Ask) []leadership.NodeID) (*Isolate, error) {
	if nils.Is(iso) || nils.Is(reg) {
		return nil, ErrNilMechanism
	}
	if nodes == nil {
		nodes = func(a Ask) []leadership.NodeID {
			if a.Leader == "" {
				return nil
			}
			return []leadership.NodeID{a.Leader}
		}
	}
	return &Isolate{iso: iso, reg: reg, by: by, nodes: nodes}, nil
}

// Revoke implements Revoker: for each node it writes the hold to the registry,
// isolates, and reports a held block without a read. A node whose hold could
// not be recorded is not isolated.
func (i *Isolate) Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if err := begin(ctx, ask, report); err != nil {
		return err
	}
	if i == nil || i.nodes == nil {
		return ErrNilMechanism
	}
	ids := i.nodes(ask)
	if len(ids) == 0 {
		return &TargetError{Reason: "there is nobody to isolate"}
	}
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for k, id := range ids {
		wg.Go(func() { errs[k] = i.isolate(ctx, ask.Term, id, report) })
	}
	wg.Wait()
	return join(errs)
}

func (i *Isolate) isolate(ctx context.Context, t leadership.Term, id leadership.NodeID, report func(leadership.Testimony)) error {
	_, err := leadership.Update(ctx, i.reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Hold(leadership.Isolation{Node: id, Term: t, By: i.by})
	})
	if err != nil {
		return &NodeError{Node: id, Op: "record the isolation of", Err: err}
	}
	if err := i.iso.Isolate(ctx, t, id); err != nil {
		// Refused at its own term, as an Isolator may, it was released meanwhile, by
		// somebody who had the node promise first: no newer attempt is behind that.
		if r, ok := refused(id, t, err); ok {
			r.Mechanism = "isolate"
			report(r)
		}
		return &NodeError{Node: id, Op: "isolate", Err: err}
	}
	report(leadership.Testimony{Node: id, Term: t, Kind: leadership.Isolated, Held: true, Mechanism: "isolate"})
	return nil
}

// UnconvertedError is returned by Release for a node that was not converted:
// let go now, it would be a second leader as soon as one follower has not heard
// of the new term. The isolation stays in force.
type UnconvertedError struct {
	Node leadership.NodeID
	Err  error
}

func (e *UnconvertedError) Error() string {
	return fmt.Sprintf("revoke: %s stays isolated, it is not converted: %v", e.Node, e.Err)
}

// Unwrap returns what was wrong with the testimony.
func (e *UnconvertedError) Unwrap() error { return e.Err }

// Release lets a node go that was converted: t must be its own stable promise,
// at or above the newest established term, taken while it was isolated. It
// returns an *UnconvertedError otherwise, before anything is touched. The hold
// leaves the record last: a crash in between leaves a hold on a node that is
// free and promised, which is harmless and found by the next sweep. An error of
// the registry, or the end of ctx, after the node was let go is no proof that it
// was not.
func (i *Isolate) Release(ctx context.Context, t leadership.Testimony) error {
	if i == nil || i.reg == nil {
		return ErrNilMechanism
	}
	rec, err := i.reg.Load(ctx)
	if err != nil {
		return err
	}
	if _, err := rec.Release(t); err != nil {
		return &UnconvertedError{Node: t.Node, Err: err}
	}
	if err := i.iso.Release(ctx, t.Term, t.Node); err != nil {
		return &NodeError{Node: t.Node, Op: "release", Err: err}
	}
	_, err = leadership.Update(ctx, i.reg, func(r leadership.Record) (leadership.Record, error) { return r.Release(t) })
	if err != nil {
		return nodecall.Partial{Err: &NodeError{Node: t.Node, Op: "record the release of", Err: err}}
	}
	return nil
}
