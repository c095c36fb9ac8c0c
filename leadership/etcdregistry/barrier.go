package etcdregistry

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// keepLapsed is how long a lease that lapsed is remembered.
const keepLapsed = time.Minute

// Barrier is a leadership.Barrier in etcd: one key per router, in which each renewal is
// a write. A waiter measures on its own clock for how long a key has
// not been renewed, and marks it as lapsed, in a transaction that a renewal makes fail,
// before its Wait counts the router out.
//
// The keys are not bound to leases of etcd: see the package documentation for why. A
// router that died before a Client was opened is therefore waited for like one that
// dies now, by the first Wait that meets it.
//
// Besides what its methods name, all return context.Cause when ctx ends before
// anything was asked of etcd, leadership.ErrClosed after Client.Close, a
// *RefusedError, a *RewoundError, an *UnavailableError, and a *leadership.CorruptError
// for a key that no Barrier has written: deleting it is safe while no planned change
// is under way. It is safe for concurrent use.
type Barrier struct {
	c     *Client
	base  string
	epoch time.Time

	mu   sync.Mutex // guards seen; never held while waiting
	seen sightings
}

var _ leadership.Barrier = (*Barrier)(nil)

// Barrier returns the barrier of the cluster. Keep it: a new one takes every lease it
// finds for new.
func (c *Client) Barrier() *Barrier {
	return &Barrier{c: c, base: c.base + "router/", epoch: time.Now(), seen: sightings{}}
}

// Join implements leadership.Barrier. It returns an *UnknownError when etcd did not
// answer.
func (b *Barrier) Join(ctx context.Context, l leadership.RouterLease) (fresh bool, err error) {
	err = b.update(ctx, "join the barrier", l, func(cur *placed, left time.Duration) (value string, write bool, err error) {
		var next seat
		if next, fresh, err = join(l, cur, left); err != nil {
			return "", false, err
		}
		value, err = next.encode()
		return value, true, err
	})
	return fresh && err == nil, err
}

// Ack implements leadership.Barrier. It returns an *UnknownError when etcd did not
// answer.
func (b *Barrier) Ack(ctx context.Context, l leadership.RouterLease, t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	return b.update(ctx, "ack at the barrier", l, func(cur *placed, _ time.Duration) (value string, write bool, err error) {
		next, write, err := ack(l, t, cur)
		if err != nil || !write {
			return "", false, err
		}
		value, err = next.encode()
		return value, true, err
	})
}

// Leave implements leadership.Barrier. It returns an *UnknownError when etcd did not
// answer.
func (b *Barrier) Leave(ctx context.Context, l leadership.RouterLease) error {
	return b.update(ctx, "leave the barrier", l, func(cur *placed, _ time.Duration) (string, bool, error) {
		return "", cur != nil && cur.Session == l.Session, nil
	})
}

// seatTries bounds how often a call takes up that somebody else changed the seat.
const seatTries = 16

// update makes one change of the router's seat: value "" removes it.
func (b *Barrier) update(ctx context.Context, op string, l leadership.RouterLease, step func(cur *placed, left time.Duration) (value string, write bool, err error)) error {
	if err := l.Validate(); err != nil {
		return err
	}
	key := b.base + string(l.Router)
	resp, err := b.c.get(ctx, op, key)
	if err != nil {
		return err
	}
	kv, unsure := only(resp), false
	for range seatTries {
		cur, left, err := b.look(kv)
		if err != nil {
			return err
		}
		value, write, err := step(cur, left)
		if err != nil || !write {
			if unsure && err != nil {
				return &UnknownError{Op: op, Endpoints: b.c.cfg.Endpoints, Last: err}
			}
			return err
		}
		out, err := b.c.replace(ctx, op, change{key: key, base: modRevision(kv), value: value})
		if err != nil || out.done {
			return err
		}
		unsure = unsure || out.unsure
		kv = out.found
	}
	return &UnknownError{Op: op, Endpoints: b.c.cfg.Endpoints, Last: errors.New("the seat was changed by others again and again")}
}

// look takes in a seat as it was just read, nil for none.
func (b *Barrier) look(kv *mvccpb.KeyValue) (*placed, time.Duration, error) {
	if kv == nil {
		return nil, 0, nil
	}
	p, err := decodeSeat(b.base, kv)
	if err != nil {
		return nil, 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Since(b.epoch)
	b.seen.see(p, now)
	return &p, b.seen.left(p, now), nil
}

// Wait implements leadership.Barrier with a watch, as Registry.Wait does. All it ever
// writes is that a lease has lapsed.
func (b *Barrier) Wait(ctx context.Context, t leadership.Term) (leadership.RollCall, error) {
	rc := leadership.RollCall{Term: t}
	if err := t.Validate(); err != nil {
		return rc, err
	}
	ctx, leave, err := b.c.enter(ctx)
	if err != nil {
		return rc, err
	}
	defer leave()
	w := b.c.watch(b.base, clientv3.WithPrefix())
	defer w.close()
	for {
		resp, err := b.c.get(ctx, "wait at the barrier", b.base, clientv3.WithPrefix())
		if err != nil {
			return rc, ended(ctx, rc, err)
		}
		next, overdue, again, err := b.call(t, resp.Kvs)
		if next.Term == t {
			rc = next
		}
		if err != nil || len(rc.Late) == 0 {
			return rc, err
		}
		if len(overdue) > 0 {
			if err := b.bury(ctx, overdue); err != nil {
				return rc, ended(ctx, rc, err)
			}
			continue
		}
		if err := w.await(ctx, resp.Header.Revision+1, min(again, b.c.cfg.Recheck)); err != nil {
			return rc, ended(ctx, rc, err)
		}
	}
}

// call takes in all seats as they were just read, and calls the roll.
func (b *Barrier) call(t leadership.Term, kvs []*mvccpb.KeyValue) (leadership.RollCall, []placed, time.Duration, error) {
	seats := make([]placed, 0, len(kvs))
	for _, kv := range kvs {
		p, err := decodeSeat(b.base, kv)
		if err != nil {
			return leadership.RollCall{}, nil, 0, err
		}
		seats = append(seats, p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Since(b.epoch)
	for _, p := range seats {
		b.seen.see(p, now)
	}
	b.seen.forget(seats)
	return b.seen.roll(t, seats, now)
}

// bury marks seats as lapsed, unless they were renewed meanwhile. An etcd lease
// removes them when they are of no interest any more; that it may do so early costs
// nothing but their names.
func (b *Barrier) bury(ctx context.Context, seats []placed) error {
	const op = "mark leases as lapsed"
	var id clientv3.LeaseID
	if _, err := b.c.ask(ctx, op, false, func(ctx context.Context) error {
		resp, err := b.c.etcd.Grant(ctx, int64(keepLapsed/time.Second))
		if err == nil {
			id = resp.ID
		}
		return err
	}); err != nil {
		return err
	}
	for _, p := range seats {
		next := p.seat
		next.Lapsed = true
		value, err := next.encode()
		if err != nil {
			return err
		}
		if _, err := b.c.replace(ctx, op, change{key: b.base + string(p.router), base: p.mod, value: value, lease: id}); err != nil {
			return err
		}
	}
	return nil
}

// ended says what err, which ended a Wait, means: that routers were late when it is its
// context that ended, else what err says.
func ended(ctx context.Context, rc leadership.RollCall, err error) error {
	why := cause(ctx)
	switch {
	case why == nil:
		return err
	case errors.Is(why, leadership.ErrClosed):
		return why
	case len(rc.Late) > 0:
		return &leadership.NotQuietError{Term: rc.Term, Late: rc.Late, Err: why}
	}
	return err
}
