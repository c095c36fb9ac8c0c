package acceptor

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"

	"github.com/tenure-go/tenure/leadership"
)

// errShut is the cause of the context of a marker write that a higher term
// ended.
var errShut = errors.New("acceptor: a higher term was promised")

// Acceptor is the durable conscience of one node. It is safe for concurrent
// use; the zero Acceptor refuses everything with ErrNotOpen. It owns no
// goroutine and needs no Close.
//
// A call whose context ends before it has touched anything returns a
// *CanceledError; one whose context ends while it waits with the gate shut, an
// *UnsettledError, and the next call settles what it began. A Save that is under
// way is waited for.
type Acceptor struct {
	store Store
	// turn is held by whoever changes the record: it serialises Save and
	// every replacement of view. It is a channel and not a mutex because it
	// is held across disk writes and must be given up on by a context.
	turn chan struct{}
	view atomic.Pointer[view]
	// open is the accept gate: view.open once more, so that the data path
	// follows one pointer and not two. It is stored after view, so whoever
	// finds it shut finds the reason in view.
	open atomic.Pointer[epoch]
	// firm is open again, for Confirm: nil until filled is known, so that who
	// confirms the first entry passes where that is noted.
	firm atomic.Pointer[epoch]
	// filled says that something is in the log for certain: it was opened with a
	// term, installed a marker, or confirmed an entry. It never falls.
	filled atomic.Bool

	// want is the record as it was last tried to be saved, and unsettled
	// says that it is not known to be on disk. Guarded by turn.
	want      State
	unsettled bool
}

// view is what the node knows of itself at one moment. It is immutable.
type view struct {
	State // on disk
	// open is the leadership that the accept gate is open for, nil when shut.
	open *epoch
	// lead is the volatile grant. It outlives the shutting of gate until the
	// higher promise is on disk, so that a retry can still report it.
	lead leadership.Term
	// ousted is the grant that the promise of Promised ended.
	ousted leadership.Term
	// gate is the completion bracket, nil unless Source is this node itself.
	gate *gate
	// changing says that a promise above Promised is on its way to disk.
	changing bool
	// floors counts the changes of the floor.
	floors uint64
	// logged is a term that the log ends at or above, zero when none is known. It
	// is forgotten once somebody may have replaced the log's tail, for which this
	// node must have promised a higher term. gate may know of one that is higher.
	logged leadership.Term
	// stale and refusal are the prebuilt errors of the data path.
	stale   *leadership.StaleTermError
	refusal *GateError
}

// epoch is one opening of the accept gate.
type epoch struct {
	leadership.Leadership
	lost UnconfirmedError
}

// Options for Open. The zero value is for a node whose log is empty or whose
// terms never run ahead of the record.
type Options struct {
	// LogTerm is the term of the last entry in the node's log. An accepted
	// entry binds the node to its term, so a LogTerm above the record's
	// promise is promised, durably, before Open returns. A Reading below it is
	// refused, see ShortReadingError.
	LogTerm leadership.Term
	// Catalog knows the points of the node's positions. Without it a floor
	// of an engine's own kind compares with nothing and holds until cleared.
	Catalog *leadership.Catalog
}

// Create writes the first record of a node and opens its acceptor. It is for
// the first boot of a new member only, which somebody asks for; a program that
// creates whenever it finds no record forgets its promises with the disk. An
// *ExistsError says that there is a record.
//
// incarnation names the storage: Minted, or a name that was made at random once
// and is kept, durably, beside a log that lies on other storage than the record. A
// name that is the same on every disk compares nothing.
//
// When Save fails it returns an *UnsettledError and no acceptor; Open
// then finds out. Other errors, nothing touched: *leadership.NodeIDError,
// *ArgumentError, *CanceledError, or what Load returned.
func Create(ctx context.Context, store Store, id leadership.NodeID, incarnation string) (*Acceptor, error) {
	if incarnation == Minted {
		incarnation = rand.Text()
	}
	rec, ok, err := load(ctx, store, id, incarnation)
	if err != nil {
		return nil, err
	}
	if ok {
		return nil, &ExistsError{Record: rec}
	}
	rec = State{Node: id, Incarnation: incarnation}
	if err := store.Save(ctx, rec); err != nil {
		return nil, &UnsettledError{Node: id, Err: err}
	}
	return newAcceptor(store, rec), nil
}

// Open loads the record of a node and opens its acceptor. The accept gate opens
// for the source of the promised term, if the record has one; a restarted node
// does not lead.
//
// It returns a *NoRecordError when there is no record, a
// *leadership.IncarnationError when the record is of another node or another
// incarnation, a *leadership.CorruptError when it cannot be trusted, and an
// *UnsettledError when LogTerm had to be promised and Save failed. After any
// error there is no acceptor, so the node's gate stays shut.
func Open(ctx context.Context, store Store, id leadership.NodeID, incarnation string, opts Options) (*Acceptor, error) {
	if !opts.LogTerm.IsZero() {
		if err := opts.LogTerm.Validate(); err != nil {
			return nil, err
		}
	}
	rec, ok, err := load(ctx, store, id, incarnation)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &NoRecordError{Node: id, Incarnation: incarnation}
	}
	if rec.Node != id {
		return nil, &leadership.IncarnationError{Node: id, Want: string(id) + " " + incarnation, Got: string(rec.Node) + " " + rec.Incarnation}
	}
	if incarnation != Minted && rec.Incarnation != incarnation {
		return nil, &leadership.IncarnationError{Node: id, Want: incarnation, Got: rec.Incarnation}
	}
	if err := rec.Validate(); err != nil {
		return nil, &leadership.CorruptError{Path: "record of node " + string(id), Reason: err.Error()}
	}
	if rec.Floor, err = opts.Catalog.ParsePosition(rec.Floor.String()); err != nil {
		return nil, &leadership.CorruptError{Path: "record of node " + string(id), Reason: err.Error()}
	}
	if rec.Promised.Less(opts.LogTerm) {
		rec.Promised, rec.Source = opts.LogTerm, leadership.Leadership{}
		if err := store.Save(ctx, rec); err != nil {
			return nil, &UnsettledError{Node: id, Term: rec.Promised, Err: err}
		}
	}
	a := newAcceptor(store, rec)
	a.holds(opts.LogTerm)
	return a, nil
}

func load(ctx context.Context, store Store, id leadership.NodeID, incarnation string) (State, bool, error) {
	if store == nil {
		return State{}, false, &ArgumentError{"store", "it is nil"}
	}
	if incarnation == Minted {
		incarnation = "not known yet"
	}
	if err := checkIdentity(id, incarnation); err != nil {
		return State{}, false, err
	}
	if ctx.Err() != nil {
		return State{}, false, &CanceledError{context.Cause(ctx)}
	}
	return store.Load(ctx)
}

func newAcceptor(store Store, rec State) *Acceptor {
	a := &Acceptor{store: store, turn: make(chan struct{}, 1), want: rec}
	a.publish(rec)
	return a
}

// Status is a snapshot of a node's own view. It is a hint, never evidence.
type Status struct {
	State // as it is on disk
	// Leads is the term of the grant, zero when the node does not lead.
	Leads leadership.Term
	// Accepts is the leadership that the accept gate is open for, zero when
	// it is shut.
	Accepts leadership.Leadership
	// Changing says that a promise above Promised is on its way to disk, or
	// that nobody knows whether it got there.
	Changing bool
}

// Status returns a snapshot, the zero Status for an acceptor that is not open.
// It does not block.
func (a *Acceptor) Status() Status {
	v := a.view.Load()
	if v == nil {
		return Status{}
	}
	s := Status{State: v.State, Changing: v.changing}
	if !v.changing {
		s.Leads = v.lead
	}
	if v.open != nil {
		s.Accepts = v.open.Leadership
	}
	return s
}
