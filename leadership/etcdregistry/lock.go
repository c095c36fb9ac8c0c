package etcdregistry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// LockConfig configures a Lock. Holder is required.
type LockConfig struct {
	// Holder is what this coordinator calls itself to those who wait: 1 to 64
	// printable bytes. It need not be unique.
	Holder string
	// TTL is for how long the lock outlives a holder that died, in whole seconds,
	// 2 s to 10 min, default 15 s. etcd needs up to a second more.
	TTL time.Duration
	// Margin is how long before its lease can end the holder stops by its own clock:
	// for a clock that runs slow and for what is under way. At most half of TTL,
	// default a fifth.
	Margin time.Duration
	// Wait is how long Run waits for another holder: 0 until its context ends, less
	// than 0 not at all.
	Wait time.Duration
	_    struct{}
}

// Lock lets one coordinator act at a time. It gives calm, and a number that rises from
// holder to holder: the revision at which its key was made. It is not a proof: a
// holder may be stopped for longer than its lease, and wake up in the middle of a
// call. What holds then is that nodes refuse lower terms, and that writes to the
// Registry of the Held name the lock. And it locks coordinators out, not leaders:
// losing it revokes nothing.
//
// It is safe for concurrent use: each Run is a holder of its own.
type Lock struct {
	c   *Client
	key string
	cfg LockConfig
}

// NewLock returns the coordinator's lock of the cluster, or a *ConfigError.
func (c *Client) NewLock(cfg LockConfig) (*Lock, error) {
	if cfg.TTL == 0 {
		cfg.TTL = 15 * time.Second
	}
	if cfg.Margin == 0 {
		cfg.Margin = cfg.TTL / 5
	}
	switch {
	case !printable(cfg.Holder):
		return nil, &ConfigError{"Holder", "want 1 to 64 printable bytes"}
	case cfg.TTL < 2*time.Second || cfg.TTL > 10*time.Minute || cfg.TTL%time.Second != 0:
		return nil, &ConfigError{"TTL", fmt.Sprintf("%s: want whole seconds, 2s to 10m", cfg.TTL)}
	case cfg.Margin < 0 || cfg.Margin > cfg.TTL/2:
		return nil, &ConfigError{"Margin", fmt.Sprintf("%s: want at most half of TTL: a renewal would come too late", cfg.Margin)}
	}
	return &Lock{c: c, key: c.base + "lock", cfg: cfg}, nil
}

func printable(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// holding is the value of the lock's key.
type holding struct {
	Holder string `json:"holder"`
	Nonce  string `json:"nonce"` // tells one Run from every other
}

// Run takes the lock, calls f with it, and gives it back. The context of f ends with
// ctx and, with a *LockLostError for its cause, as soon as the lock may be lost: TTL
// less Margin after the last renewal was sent, or when etcd says so. f must return
// then. The lock is renewed until f returns, also when ctx has ended before: what f has to undo then,
// it does under the lock.
//
// It returns what f returns, joined with the *LockLostError when the lock was lost
// before f returned. f was not called when it returns a *ConfigError (it is nil), a *LockHeldError, a
// *RefusedError, an *UnavailableError, an *UnknownError (the lock may have been taken, and
// lapses), a *RewoundError, leadership.ErrClosed, or context.Cause. A goroutine renews the lease while f runs; it has ended when Run
// returns. Giving the lock back takes at most Config.Patience, also when ctx has
// ended; when that fails, or the lock is lost, it lapses after TTL. What is left behind
// when ctx ends before f is called lapses likewise.
func (l *Lock) Run(ctx context.Context, f func(ctx context.Context, h *Held) error) error {
	if f == nil {
		return &ConfigError{"f", "it is nil"}
	}
	h, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if h.Left() > 0 {
			l.c.revoke(context.WithoutCancel(ctx), h.lease)
		}
	}()
	// f may have to tidy up after its context has ended: the lock is kept until it returns.
	kept, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, lose := context.WithCancelCause(ctx)
	closed := context.AfterFunc(l.c.life, func() { lose(leadership.ErrClosed); stop() })
	defer closed()
	var renewer sync.WaitGroup
	defer renewer.Wait() // before the lease is revoked
	defer stop()
	defer lose(nil)
	renewer.Go(func() { h.renew(kept, lose) })
	err = f(ctx, h)
	if lost := h.lost.Load(); lost != nil && !errors.As(err, new(*LockLostError)) {
		err = errors.Join(err, lost)
	}
	return err
}

// acquire makes the key of the lock, once nobody has it.
func (l *Lock) acquire(ctx context.Context) (*Held, error) {
	const op = "take the lock"
	ctx, leave, err := l.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	value, err := json.Marshal(holding{l.cfg.Holder, rand.Text()})
	if err != nil {
		return nil, err
	}
	var limit time.Time
	if l.cfg.Wait != 0 {
		limit = time.Now().Add(l.cfg.Wait)
	}
	w := l.c.watch(l.key)
	defer w.close()
	for {
		resp, err := l.c.get(ctx, op, l.key)
		if err != nil {
			return nil, err
		}
		rev := resp.Header.Revision
		other := only(resp)
		if other == nil {
			h, found, err := l.make(ctx, op, string(value))
			if h != nil || err != nil {
				return h, err
			}
			other = found
		}
		if other == nil {
			continue // it was given back meanwhile
		}
		within := l.c.cfg.Recheck
		if !limit.IsZero() {
			if within = min(within, time.Until(limit)); within <= 0 {
				return nil, heldBy(other, nil)
			}
		}
		if err := w.await(ctx, rev+1, within); err != nil {
			return nil, heldBy(other, err)
		}
	}
}

// make makes the key, bound to a new lease. It returns what is there when somebody
// else was faster.
func (l *Lock) make(ctx context.Context, op, value string) (*Held, *mvccpb.KeyValue, error) {
	var sent time.Time
	var id clientv3.LeaseID
	if _, err := l.c.ask(ctx, op, false, func(ctx context.Context) error {
		sent = time.Now()
		resp, err := l.c.etcd.Grant(ctx, int64(l.cfg.TTL/time.Second))
		if err == nil {
			id = resp.ID
		}
		return err
	}); err != nil {
		return nil, nil, err
	}
	out, err := l.c.replace(ctx, op, change{key: l.key, value: value, lease: id})
	if err == nil && out.done {
		h := &Held{c: l.c, key: l.key, cfg: l.cfg, lease: id, num: uint64(out.rev), epoch: sent}
		return h, nil, nil
	}
	if err == nil || leadership.NotExecuted(err) {
		l.c.revoke(context.WithoutCancel(ctx), id) // else etcd does not answer, and it lapses
	}
	return nil, out.found, err
}

func heldBy(kv *mvccpb.KeyValue, err error) error {
	var v holding
	if json.Unmarshal(kv.Value, &v) != nil || !printable(v.Holder) {
		v.Holder = "somebody that is no Lock of this package"
	}
	return &LockHeldError{Holder: v.Holder, Num: uint64(kv.CreateRevision), Err: err}
}

// revoke ends a lease, and with it the key that is bound to it. When it fails, the lease
// lapses.
func (c *Client) revoke(ctx context.Context, id clientv3.LeaseID) {
	_, _ = c.ask(ctx, "revoke a lease", false, func(ctx context.Context) error {
		_, err := c.etcd.Revoke(ctx, id)
		return err
	})
}

// Held is a lock that is held, as long as the function that it was given to runs. It
// is safe for concurrent use.
type Held struct {
	c     *Client
	key   string
	cfg   LockConfig
	lease clientv3.LeaseID
	num   uint64

	epoch   time.Time    // when the request for the lease was sent
	renewed atomic.Int64 // since epoch, when the last renewal that was answered was sent
	lost    atomic.Pointer[LockLostError]
}

// Num returns the number of the lock: the create revision of its key, above that of
// every holder before.
func (h *Held) Num() uint64 { return h.num }

// Term returns the term (Num, proposer), or a *leadership.TermError. A node that has
// promised it to this holder refuses all before it. One attempt uses it: the next
// one under the same lock takes leadership.NextTerm above it. After etcd was restored
// from a backup, numbers are given out again: nodes refuse those then, and a
// coordinator takes leadership.NextTerm above what they say.
func (h *Held) Term(proposer string) (leadership.Term, error) {
	return leadership.NewTerm(h.num, proposer)
}

// Left returns for how long the lock is held at least, by this process's monotonic
// clock: TTL less Margin from when the last renewal that was answered was sent. It is
// 0 when the lock may be lost.
func (h *Held) Left() time.Duration {
	if h.lost.Load() != nil {
		return 0
	}
	until := time.Duration(h.renewed.Load()) + h.cfg.TTL - h.cfg.Margin
	return max(0, until-time.Since(h.epoch))
}

// Owner returns the comparison that holds while the lock is held: put it into each
// transaction of your own that only the holder may make.
func (h *Held) Owner() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(h.key), "=", int64(h.num))
}

// Check asks etcd, with a linearizable read, whether the lock is held. It returns a
// *NotOwnerError when it is not. The answer is of the past when it arrives: what
// must not happen without the lock belongs in a transaction with Owner.
func (h *Held) Check(ctx context.Context) error {
	resp, err := h.c.get(ctx, "check the lock", h.key)
	if err != nil {
		return err
	}
	if now := createRevision(only(resp)); now != h.num {
		return &NotOwnerError{Num: h.num, Now: now}
	}
	return nil
}

// Registry returns the registry of the cluster for writes under the lock: a Swap takes
// effect only if the lock is held in that moment, and returns a *NotOwnerError else.
func (h *Held) Registry() *Registry {
	c := h.c
	if c == nil {
		c = &Client{} // closed
	}
	r := c.Registry()
	r.held = h
	return r
}

// renew keeps the lease until ctx ends, or calls lose when it may be lost.
func (h *Held) renew(ctx context.Context, lose context.CancelCauseFunc) {
	end := time.NewTimer(h.Left())
	defer end.Stop()
	over := func(why string) {
		lost := &LockLostError{Num: h.num, Why: why}
		h.lost.Store(lost)
		lose(lost)
	}
	due := time.NewTimer(h.cfg.TTL / 3)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			over(fmt.Sprintf("etcd answered no renewal for %s", h.cfg.TTL-h.cfg.Margin))
			return
		case <-due.C:
		}
		sent := time.Since(h.epoch)
		held, err := h.extend(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && !held:
			over("etcd says that its lease has ended, or its key is gone")
			return
		case err == nil:
			h.renewed.Store(int64(sent))
			end.Reset(h.Left())
			due.Reset(h.cfg.TTL / 3)
		default:
			due.Reset(retryPause)
		}
	}
}

// extend renews the lease, and asks whether the key is still there: a member that takes
// itself for the leader, though it is none any more, renews leases that are over.
func (h *Held) extend(ctx context.Context) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attempt(h.c.cfg.Attempt, h.Left()))
	defer cancel()
	ttl, err := h.c.keepAlive(ctx, h.lease)
	if err != nil || ttl <= 0 {
		return false, err
	}
	err = h.Check(ctx)
	if errors.As(err, new(*NotOwnerError)) {
		return false, nil
	}
	return err == nil, err
}

// keepAlive renews a lease once, and returns for how many seconds, 0 when there is none.
// The client library's KeepAliveOnce tries again in a busy loop.
func (c *Client) keepAlive(ctx context.Context, id clientv3.LeaseID) (int64, error) {
	c.counts.requests.Add(1)
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	stream, err := c.lease.LeaseKeepAlive(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil {
		return 0, err
	}
	resp, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	return resp.TTL, nil
}
