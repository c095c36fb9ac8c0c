package etcdregistry

import (
	"cmp"
	"context"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Registry is a leadership.Registry in one key of etcd. The version of a record is
// the mod revision of the key: it rises with every write, also when somebody
// deletes the key and it is made anew.
//
// Besides what its methods name, all return context.Cause when ctx ends before
// anything was asked of etcd, leadership.ErrClosed after Client.Close, a
// *RefusedError, and a *RewoundError. It is safe for concurrent use.
type Registry struct {
	c    *Client
	key  string
	held *Held // nil without a lock
}

var (
	_ leadership.Registry = (*Registry)(nil)
	_ leadership.Recaller = (*Registry)(nil)
)

// Registry returns the registry of the cluster.
func (c *Client) Registry() *Registry { return &Registry{c: c, key: c.base + "record"} }

// Load implements leadership.Registry with a linearizable read. It returns a
// *leadership.CorruptError for a value that no Registry has written, and an
// *UnavailableError.
func (r *Registry) Load(ctx context.Context) (leadership.Record, error) {
	rec, _, err := r.load(ctx, "load the record")
	return rec, err
}

// load also returns the revision of etcd at which it is the record.
func (r *Registry) load(ctx context.Context, op string) (rec leadership.Record, rev uint64, err error) {
	resp, err := r.c.get(ctx, op, r.key)
	if err != nil {
		return rec, 0, err
	}
	rec, err = r.c.decodeRecord(only(resp))
	return rec, uint64(resp.Header.Revision), err
}

// Recall implements leadership.Recaller with the newest record that any Registry of the
// Client has read or written.
func (r *Registry) Recall() (leadership.Record, bool) {
	if r.c == nil || r.c.life == nil || r.c.life.Err() != nil || r.c.rewound.Load() != nil {
		return leadership.Record{}, false
	}
	rec, err := decodeRecord(r.c.last.Load())
	return rec, err == nil && rec.Version != 0
}

// Swap implements leadership.Registry with one transaction, guarded by the mod
// revision, and by the ownership of the lock when the Registry is that of a Held. An
// answer that is lost is asked for again, and the value is known for its own when
// the first request had been executed, even when others have written since; so the
// outcome is unknown only when etcd stays silent until ctx or Config.Patience is
// over, or has compacted what others replaced. It is an *UnknownError then.
//
// It returns a *leadership.ConflictError, a *leadership.TransitionError for a record
// that cannot be stored, and a *NotOwnerError: nothing was written.
func (r *Registry) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	const op = "swap the record"
	if r.c == nil { // nobody opened it
		return leadership.Record{}, leadership.ErrClosed
	}
	if err := next.Validate(); err != nil {
		return leadership.Record{}, err
	}
	value, err := encodeRecord(next)
	if err != nil {
		return leadership.Record{}, err
	}
	if base == 0 || base > r.c.revision.Load() {
		// No version that this client has read. A request with it that is late could find
		// it true one day, also when somebody deletes the key; so none is sent before it is.
		cur, _, err := r.load(ctx, op)
		if err != nil {
			return leadership.Record{}, err
		}
		if cur.Version != base {
			return leadership.Record{}, &leadership.ConflictError{Base: base, Current: cur.Version}
		}
	}
	if r.held != nil && r.held.Left() <= 0 {
		return leadership.Record{}, &NotOwnerError{Num: r.held.num}
	}
	out, err := r.c.replace(ctx, op, change{key: r.key, base: int64(base), value: value, held: r.held})
	if err != nil {
		return leadership.Record{}, err
	}
	if out.done {
		// Decoded anew: the caller's slices are not shared.
		return r.c.decodeRecord(&mvccpb.KeyValue{Key: []byte(r.key), Value: []byte(value), ModRevision: out.rev})
	}
	cur := uint64(modRevision(out.found))
	if cur == base && r.held != nil {
		// Also when a request before was not answered: the key is still at base, and
		// the guard will never hold again.
		return leadership.Record{}, &NotOwnerError{Num: r.held.num, Now: createRevision(out.guard)}
	}
	conflict := &leadership.ConflictError{Base: base, Current: cur}
	if out.unsure && (out.found == nil || cur > base) {
		// Else the key was never at base, and never will be: revisions are past it. Only what came right after base can be ours: the guard of any request that was
		// not answered holds for nothing later.
		next, err := r.c.successor(ctx, op, r.key, int64(base))
		switch {
		case err != nil || next == nil:
			return leadership.Record{}, &UnknownError{Op: op, Endpoints: r.c.cfg.Endpoints, Last: cmp.Or(err, error(conflict)), Err: cause(ctx)}
		case string(next.Value) == value:
			return r.c.decodeRecord(next)
		}
	}
	return leadership.Record{}, conflict
}

// Wait implements leadership.Registry with a watch, which is opened again when its
// member fails, loses the leader or is cut off, and when what it was to report was
// compacted; and by a Load every Config.Recheck, for a member that hangs.
// The watch is left to the next Wait of the Client, which then asks etcd nothing before
// it is told of a change, and closed after three seconds without one.
//
// It returns an *UnavailableError when etcd does not answer for Config.Patience, a
// *leadership.CorruptError, and a *RewoundError when after is above any version that
// this etcd can have given.
func (r *Registry) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	ctx, leave, err := r.c.enter(ctx)
	if err != nil {
		return leadership.Record{}, err
	}
	defer leave()
	w := r.c.recordWatch(r.key)
	defer func() { r.c.keep(w) }()
	// A watch that was kept since after was returned tells of whatever came next.
	told := after != 0 && w.read == after
	w.read = 0
	for ; ; told = false {
		rev := after
		if !told {
			rec, now, err := r.load(ctx, "wait for a record")
			switch {
			case err != nil:
				return leadership.Record{}, err
			case rec.Version > after:
				w.found(rec.Version)
				return rec, nil
			case after > now:
				return leadership.Record{}, &RewoundError{Seen: after, Now: now}
			}
			rev = now
		}
		if err := w.await(ctx, int64(rev)+1, r.c.cfg.Recheck); err != nil {
			return leadership.Record{}, err
		}
	}
}
