package change

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"math"
	"sync"
	"time"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ticksPerRTT makes the election timeout of five round trips ten heartbeats, as
// etcd's own default is. The library adds up to as much again at random.
const ticksPerRTT = 2

// etcdRaft is a cluster on etcd-io/raft, driven by hand. It implements cluster.
type etcdRaft struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wire   *wire
	began  time.Time
	beacon *beacon
	nodes  []*etcdNode
	// campaign makes the first successor campaign as soon as the connection of
	// the leader is reset: the host's own doing, the library has no such event.
	campaign bool

	mu       sync.Mutex // guards what follows
	crashed  bool
	detected time.Time
}

type etcdNode struct {
	c *etcdRaft
	i int

	mu      sync.Mutex // guards what follows; taken by clients, the wire and the ticker
	raw     *etcd.RawNode
	store   *etcd.MemoryStorage
	state   etcd.StateType
	waiting map[uint64]etcdWait // by the operation's number
	dead    bool
}

type etcdWait struct {
	index uint64
	done  chan error
}

func newEtcd(ctx context.Context, delay time.Duration, n int, campaign bool, timeout int) (*etcdRaft, error) {
	c := &etcdRaft{wire: newWire(delay, n), began: time.Now(), beacon: newBeacon(), campaign: campaign}
	c.ctx, c.cancel = context.WithCancel(ctx)
	var voters []uint64
	for i := range n {
		voters = append(voters, uint64(i+1))
	}
	quiet := &etcd.DefaultLogger{Logger: log.New(io.Discard, "", 0)}
	for i := range n {
		store := etcd.NewMemoryStorage()
		err := store.ApplySnapshot(pb.Snapshot{Metadata: pb.SnapshotMetadata{Index: 1, Term: 1, ConfState: pb.ConfState{Voters: voters}}})
		if err != nil {
			return nil, err
		}
		raw, err := etcd.NewRawNode(&etcd.Config{
			ID: uint64(i + 1), ElectionTick: timeout * ticksPerRTT, HeartbeatTick: 1, Storage: store, Applied: 1,
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 512, MaxUncommittedEntriesSize: math.MaxUint64,
			// As etcd runs it; a host that campaigns by itself must do without
			// the check, which makes the others ignore it for a timeout.
			CheckQuorum: !campaign, PreVote: !campaign,
			DisableProposalForwarding: true, Logger: quiet,
		})
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, &etcdNode{c: c, i: i, raw: raw, store: store, waiting: map[uint64]etcdWait{}})
	}
	for _, node := range c.nodes {
		c.wg.Go(node.tick)
		if campaign {
			c.wg.Go(node.watch)
		}
	}
	_ = c.nodes[0].do(func(r *etcd.RawNode) error { return r.Campaign() })
	return c, nil
}

func (c *etcdRaft) beaconOf() *beacon { return c.beacon }
func (c *etcdRaft) wireOf() *wire     { return c.wire }
func (c *etcdRaft) start() time.Time  { return c.began }

func (c *etcdRaft) close() error {
	c.cancel()
	c.wire.close()
	c.wg.Wait()
	return nil
}

func (n *etcdNode) tick() {
	for sleep(n.c.ctx, n.c.wire.rtt()/ticksPerRTT) {
		_ = n.do(func(r *etcd.RawNode) error { r.Tick(); return nil })
	}
}

// watch campaigns at the successor when the leader's connection is reset.
func (n *etcdNode) watch() {
	for leader := range n.c.nodes {
		if leader == n.i || n.i != (leader+1)%len(n.c.nodes) {
			continue
		}
		select {
		case <-n.c.wire.gone[leader]:
			_ = n.do(func(r *etcd.RawNode) error { return r.Campaign() })
		case <-n.c.ctx.Done():
		}
	}
}

// do runs one step of the library and does what it asks for. What a node that is
// dead or no leader refuses is as if it was lost on the way.
func (n *etcdNode) do(f func(*etcd.RawNode) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		return errRefused
	}
	err := f(n.raw)
	for n.raw.HasReady() {
		rd := n.raw.Ready()
		if !etcd.IsEmptyHardState(rd.HardState) {
			_ = n.store.SetHardState(rd.HardState) // in memory: cannot fail
		}
		_ = n.store.Append(rd.Entries)
		if rd.SoftState != nil {
			n.turned(rd.SoftState.RaftState)
		}
		for _, m := range rd.Messages {
			to := n.c.nodes[m.To-1]
			n.c.wire.send(n.i, to.i, func() { _ = to.do(func(r *etcd.RawNode) error { return r.Step(m) }) })
		}
		for _, e := range rd.CommittedEntries {
			n.apply(e)
		}
		n.raw.Advance(rd)
	}
	return err
}

func (n *etcdNode) turned(s etcd.StateType) {
	switch {
	case s == etcd.StateLeader && n.state != s:
		n.c.beacon.set(n.i)
	case s == etcd.StateCandidate || s == etcd.StatePreCandidate:
		n.c.mu.Lock()
		if n.c.crashed && n.c.detected.IsZero() {
			n.c.detected = time.Now()
		}
		n.c.mu.Unlock()
	}
	n.state = s
}

// apply answers the client. What took the place of an operation in the log
// proves that it was not executed.
func (n *etcdNode) apply(e pb.Entry) {
	var id uint64
	if len(e.Data) == 8 {
		id = binary.BigEndian.Uint64(e.Data)
	}
	for other, w := range n.waiting {
		if other != id && w.index == e.Index {
			delete(n.waiting, other)
			w.done <- errRefused
		}
	}
	if w, ok := n.waiting[id]; ok {
		delete(n.waiting, id)
		w.done <- nil
	}
}

func (c *etcdRaft) direct(ctx context.Context, i int, o *op) error {
	n := c.nodes[i]
	done := make(chan error, 1)
	err := n.do(func(r *etcd.RawNode) error {
		if n.state != etcd.StateLeader {
			return errRefused
		}
		last, _ := n.store.LastIndex()
		if err := r.Propose(binary.BigEndian.AppendUint64(nil, o.id)); err != nil {
			return errRefused // ErrProposalDropped: a transfer is under way
		}
		o.take(i, c.began)
		n.waiting[o.id] = etcdWait{index: last + 1, done: done}
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errUnknown
	}
}

// hand asks the leader to transfer, and returns when the other leads.
func (c *etcdRaft) hand(ctx context.Context, from, to int) error {
	for {
		_ = c.nodes[from].do(func(r *etcd.RawNode) error { r.TransferLeader(uint64(to + 1)); return nil })
		// A transfer that fails is given up silently after an election
		// timeout, and has to be asked for again.
		short, cancel := context.WithTimeout(ctx, 2*plannedTimeout*c.wire.rtt())
		_, err := c.beacon.await(short, func(l int) bool { return l == to })
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func (c *etcdRaft) crash(i int, announce bool) {
	c.wire.kill(i, announce)
	c.mu.Lock()
	c.crashed = true
	c.mu.Unlock()
	n := c.nodes[i]
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = true
	for id, w := range n.waiting {
		delete(n.waiting, id)
		w.done <- errUnknown
	}
}

func (c *etcdRaft) detectedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.detected
}
