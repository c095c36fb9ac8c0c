package etcdregistry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Client is a connection to etcd for the registry, the barrier and the lock of one
// cluster. It is safe for concurrent use. Two goroutines of the etcd client library
// and those of gRPC live until Close, and those of the watch that a Registry.Wait leaves
// for the next one, for three seconds at most; it starts none of its own that outlives a
// call.
type Client struct {
	etcd  *clientv3.Client
	lease pb.LeaseClient
	cfg   Config
	base  string // what every key of the cluster begins with

	life context.Context // ends with Close, with ErrClosed for its cause
	end  context.CancelCauseFunc

	revision atomic.Uint64 // the highest that was seen in an answer
	cluster  atomic.Uint64 // etcd's cluster ID, 0 until the first answer
	rewound  atomic.Pointer[RewoundError]

	last atomic.Pointer[mvccpb.KeyValue] // the newest record that was read or written, as it is stored

	counts counters

	mu   sync.Mutex // guards kept, for moments; taken by Wait, by Close, and by the timer of what is kept
	kept *watch     // of the record, that no Wait uses now; nil for none
	// closing counts those who close what was kept.
	closing sync.WaitGroup
}

// Stats counts what a Client had to do about the troubles of etcd.
type Stats struct {
	// Requests are those sent, and Retries those of them that were sent because
	// one before was not answered.
	Requests, Retries uint64
	// Watches are those opened, and Compacted those that ended because what they
	// were to report had been compacted away.
	Watches, Compacted uint64
	// Missed are the changes that a Wait found by Config.Recheck and not by its
	// watch: a member was frozen, or its watches lag.
	Missed uint64
}

type counters struct{ requests, retries, watches, compacted, missed atomic.Uint64 }

// Open returns a client for the cluster of that name. It returns a *ConfigError. With
// a Username it also asks for a token, for at most Config.Patience, and returns a
// *RefusedError when the password is wrong, an *UnavailableError when etcd
// does not answer. Without one it connects when it is first used.
func Open(cluster string, cfg Config) (*Client, error) {
	if err := checkCluster(cluster); err != nil {
		return nil, err
	}
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	etcd, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, TLS: cfg.TLS, Username: cfg.Username, Password: string(cfg.Password),
		DialTimeout: cfg.Patience,
		// The least that etcd allows by default (--grpc-keepalive-min-time 5s), doubled.
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		// Enough to renew a token on the way. The library's own 100 would hide why they failed.
		MaxUnaryRetries: 4, BackoffWaitBetween: minAttempt / 2,
		Logger:      zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(failFast)},
	})
	if err != nil {
		if r := refused(err); r != nil {
			return nil, &RefusedError{Op: "open", Err: r}
		}
		return nil, &UnavailableError{Op: "open", Endpoints: cfg.Endpoints, Last: err}
	}
	c := &Client{etcd: etcd, lease: clientv3.RetryLeaseClient(etcd), cfg: cfg, base: cfg.Prefix + cluster + "/"}
	c.life, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// failFast makes a request fail when there is no connection, with the reason for that.
// The client library lets it wait for one, and then says that time was up.
func failFast(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// Close ends every call under way and disconnects. All later calls return
// leadership.ErrClosed. It gives no lease back: a lock or a router that this process
// holds lapses.
func (c *Client) Close() error {
	if c.end == nil {
		return nil // nobody opened it
	}
	c.end(leadership.ErrClosed)
	c.mu.Lock()
	w := c.kept
	c.mu.Unlock()
	c.letGo(w)
	c.closing.Wait()
	if err := c.etcd.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Stats returns what was counted so far.
func (c *Client) Stats() Stats {
	n := &c.counts
	return Stats{n.requests.Load(), n.retries.Load(), n.watches.Load(), n.compacted.Load(), n.missed.Load()}
}

// enter returns ctx so that Close ends it too, or why a call may not be made. Leave
// must be called.
func (c *Client) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	switch {
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case c == nil || c.life == nil || c.life.Err() != nil: // nobody opened it, or it was closed
		return nil, nil, leadership.ErrClosed
	}
	if r := c.rewound.Load(); r != nil {
		return nil, nil, r
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(leadership.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }, nil
}

// attempt bounds a request when so much time is left for the call.
func attempt(full, left time.Duration) time.Duration {
	return max(min(full, left/2), min(left, minAttempt))
}

const retryPause = 25 * time.Millisecond

// ask makes one request, again as long as it is not answered, until Patience or ctx is
// over. A request that writes must be one that takes effect at most once however
// often it is made; unsure is whether one that was not answered may have.
func (c *Client) ask(ctx context.Context, op string, writes bool, once func(context.Context) error) (unsure bool, err error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	limit := time.Now().Add(c.cfg.Patience)
	own, ok := ctx.Deadline()
	if ok = ok && own.Before(limit); ok {
		limit = own
	}
	var last error
	for {
		call, cancel := context.WithTimeout(ctx, attempt(c.cfg.Attempt, time.Until(limit)))
		c.counts.requests.Add(1)
		err := once(call)
		cancel()
		r := refused(err)
		switch {
		case err == nil:
			return unsure, nil
		case errors.As(err, new(*RewoundError)):
			return true, err
		case r != nil && !unsure && !passing(r):
			return false, &RefusedError{Op: op, Err: r}
		case r == nil:
			unsure = unsure || writes
		}
		// That time was up says less than why it was tried again.
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		pause := time.NewTimer(min(retryPause, time.Until(limit)))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		if ctx.Err() == nil && !time.Now().Before(limit) && ok {
			<-ctx.Done() // now: a context ends a little after its deadline, and says why
		}
		if ctx.Err() != nil || !time.Now().Before(limit) {
			break
		}
		c.counts.retries.Add(1)
	}
	if unsure {
		return true, &UnknownError{Op: op, Endpoints: c.cfg.Endpoints, Last: last, Err: cause(ctx)}
	}
	if r := refused(last); r != nil {
		return false, &RefusedError{Op: op, Err: r}
	}
	return false, &UnavailableError{Op: op, Endpoints: c.cfg.Endpoints, Last: last, Err: cause(ctx)}
}

// heed takes in the header of an answer to a request that was sent when revision seen
// had been seen. Reads and transactions are linearizable: in one history no answer is
// of an older revision.
func (c *Client) heed(seen uint64, h *pb.ResponseHeader) error {
	now := uint64(h.GetRevision())
	first := c.cluster.CompareAndSwap(0, h.GetClusterId())
	if is := c.cluster.Load(); now < seen || !first && is != h.GetClusterId() {
		c.rewound.CompareAndSwap(nil, &RewoundError{Seen: seen, Now: now, ClusterSeen: is, ClusterNow: h.GetClusterId()})
		return c.rewound.Load()
	}
	for old := c.revision.Load(); old < now; old = c.revision.Load() {
		c.revision.CompareAndSwap(old, now)
	}
	return nil
}

// get reads a key, or all keys under it with a range option.
func (c *Client) get(ctx context.Context, op, key string, opts ...clientv3.OpOption) (resp *clientv3.GetResponse, err error) {
	_, err = c.ask(ctx, op, false, func(ctx context.Context) (err error) {
		seen := c.revision.Load()
		if resp, err = c.etcd.Get(ctx, key, opts...); err != nil {
			return err
		}
		return c.heed(seen, resp.Header)
	})
	return resp, err
}

// outcome is what became of a replace.
type outcome struct {
	done   bool
	rev    int64            // done: the revision of the write
	found  *mvccpb.KeyValue // not done: what the key holds, nil for nothing
	guard  *mvccpb.KeyValue // not done: what the key of the guard holds
	unsure bool             // not done, but an earlier request for it may have been
}

// change is one guarded write of one key.
type change struct {
	key   string
	base  int64            // the mod revision that the key must have, 0 for no key
	value string           // "" deletes
	lease clientv3.LeaseID // to bind the key to, or 0
	held  *Held            // the lock that must be held, or nil
}

// replace makes the change in one transaction. A value that no other call writes
// makes it known for its own when the answer to an earlier request was lost.
func (c *Client) replace(ctx context.Context, op string, ch change) (out outcome, err error) {
	when := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(ch.key), "=", ch.base)}
	then := clientv3.OpPut(ch.key, ch.value, clientv3.WithLease(ch.lease))
	if ch.value == "" {
		then = clientv3.OpDelete(ch.key)
	}
	otherwise := []clientv3.Op{clientv3.OpGet(ch.key)}
	if ch.held != nil {
		when = append(when, ch.held.Owner())
		otherwise = append(otherwise, clientv3.OpGet(ch.held.key))
	}
	out.unsure, err = c.ask(ctx, op, true, func(ctx context.Context) error {
		seen := c.revision.Load()
		resp, err := c.etcd.Txn(ctx).If(when...).Then(then).Else(otherwise...).Commit()
		if err != nil {
			return err
		}
		if err := c.heed(seen, resp.Header); err != nil {
			return err
		}
		if resp.Succeeded {
			out.done, out.rev = true, resp.Header.Revision
			return nil
		}
		out.found, out.guard = first(resp.Responses, 0), first(resp.Responses, 1)
		return nil
	})
	switch {
	case errors.As(err, new(*RewoundError)) && out.unsure:
		// It was executed or not, in a history that is not ours.
		return out, &UnknownError{Op: op, Endpoints: c.cfg.Endpoints, Last: err}
	case err != nil || out.done:
		return out, err
	case ch.value == "" && out.found == nil:
		out.done = true
	case out.found != nil && string(out.found.Value) == ch.value:
		out.done, out.rev = true, out.found.ModRevision
	}
	return out, nil
}

// first returns the first key that the i-th operation of a transaction read.
func first(rs []*pb.ResponseOp, i int) *mvccpb.KeyValue {
	if i >= len(rs) || len(rs[i].GetResponseRange().GetKvs()) == 0 {
		return nil
	}
	return rs[i].GetResponseRange().GetKvs()[0]
}

// modRevision and createRevision are 0 for no key, as in etcd's comparisons.
func modRevision(kv *mvccpb.KeyValue) int64 {
	if kv == nil {
		return 0
	}
	return kv.ModRevision
}

func createRevision(kv *mvccpb.KeyValue) uint64 {
	if kv == nil {
		return 0
	}
	return uint64(kv.CreateRevision)
}

// only returns the key that a get of one key has found, nil for none.
func only(resp *clientv3.GetResponse) *mvccpb.KeyValue {
	if len(resp.Kvs) == 0 {
		return nil
	}
	return resp.Kvs[0]
}
