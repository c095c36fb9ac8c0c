package change

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"
)

// hashiRaft is a cluster on hashicorp/raft. It implements cluster.
type hashiRaft struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wire   *wire
	began  time.Time
	beacon *beacon
	nodes  []*hashiNode
	ops    sync.Map // of *op, by number: the log stores note when they take one

	mu       sync.Mutex // guards what follows
	crashed  bool
	detected time.Time
}

type hashiNode struct {
	c     *hashiRaft
	i     int
	raft  *hraft.Raft
	trans *hashiTransport
	dead  chan struct{}
}

func hashiAddr(i int) hraft.ServerAddress { return hraft.ServerAddress(nodeID(i)) }

func newHashi(ctx context.Context, delay time.Duration, n, timeout int) (_ *hashiRaft, err error) {
	c := &hashiRaft{wire: newWire(delay, n), began: time.Now(), beacon: newBeacon()}
	c.ctx, c.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	var servers []hraft.Server
	for i := range n {
		servers = append(servers, hraft.Server{ID: hraft.ServerID(nodeID(i)), Address: hashiAddr(i)})
		node := &hashiNode{c: c, i: i, dead: make(chan struct{})}
		node.trans = &hashiTransport{n: node, consumer: make(chan hraft.RPC, 4096)}
		c.nodes = append(c.nodes, node)
	}
	for _, node := range c.nodes {
		if err := node.open(servers, time.Duration(timeout)*c.wire.rtt()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// open starts a node. Every timeout is the failure timeout of all libraries; the
// library itself adds up to as much again at random.
func (n *hashiNode) open(servers []hraft.Server, timeout time.Duration) error {
	notify := make(chan bool, 64)
	cfg := hraft.DefaultConfig()
	cfg.LocalID = servers[n.i].ID
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = timeout, timeout, timeout
	cfg.CommitTimeout = max(n.c.wire.rtt()/2, time.Millisecond)
	cfg.NotifyCh = notify
	cfg.LogOutput = io.Discard
	cfg.LogLevel = "OFF"
	logs, stable, snaps := hraft.NewInmemStore(), hraft.NewInmemStore(), hraft.NewDiscardSnapshotStore()
	err := hraft.BootstrapCluster(cfg, logs, stable, snaps, n.trans, hraft.Configuration{Servers: servers})
	if err != nil {
		return err
	}
	if n.raft, err = hraft.NewRaft(cfg, hashiFSM{}, &hashiLogs{InmemStore: logs, n: n}, stable, snaps, n.trans); err != nil {
		return err
	}
	states := make(chan hraft.Observation, 64)
	n.raft.RegisterObserver(hraft.NewObserver(states, false, func(o *hraft.Observation) bool {
		_, ok := o.Data.(hraft.RaftState)
		return ok
	}))
	n.c.wg.Go(func() { n.watch(notify, states) })
	return nil
}

func (n *hashiNode) watch(leads <-chan bool, states <-chan hraft.Observation) {
	for {
		select {
		case lead := <-leads:
			if lead {
				n.c.beacon.set(n.i)
			}
		case o := <-states:
			n.c.mu.Lock()
			if o.Data.(hraft.RaftState) == hraft.Candidate && n.c.crashed && n.c.detected.IsZero() {
				n.c.detected = time.Now()
			}
			n.c.mu.Unlock()
		case <-n.c.ctx.Done():
			return
		}
	}
}

func (c *hashiRaft) beaconOf() *beacon { return c.beacon }
func (c *hashiRaft) wireOf() *wire     { return c.wire }
func (c *hashiRaft) start() time.Time  { return c.began }

func (c *hashiRaft) close() error {
	var futures []hraft.Future
	for _, n := range c.nodes {
		if n.raft != nil {
			futures = append(futures, n.raft.Shutdown())
		}
	}
	c.cancel() // ends the calls that the shutdown waits for
	down := make(chan error, 1)
	go func() {
		var err error
		for _, f := range futures {
			err = errors.Join(err, f.Error())
		}
		down <- err
	}()
	var err error
	select {
	case err = <-down:
	case <-time.After(5 * time.Second):
		err = errors.New("hashicorp/raft: no end of the shutdown")
	}
	c.wire.close()
	c.wg.Wait()
	return err
}

func (c *hashiRaft) direct(ctx context.Context, i int, o *op) error {
	n := c.nodes[i]
	if c.wire.isDead(i) {
		return errRefused
	}
	c.ops.Store(o.id, o)
	defer c.ops.Delete(o.id)
	f := n.raft.Apply(binary.BigEndian.AppendUint64(nil, o.id), 0)
	done := make(chan error, 1)
	// Not joined: a request that was queued and not taken when the library is
	// shut down is never answered.
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		switch {
		case err == nil:
			return nil
		case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrLeadershipTransferInProgress), errors.Is(err, hraft.ErrEnqueueTimeout):
			return errRefused
		}
		return errUnknown
	case <-n.dead:
		return errUnknown
	case <-ctx.Done():
		return errUnknown
	}
}

func (c *hashiRaft) hand(_ context.Context, from, to int) error {
	f := c.nodes[from].raft.LeadershipTransferToServer(hraft.ServerID(nodeID(to)), hashiAddr(to))
	if err := f.Error(); err != nil {
		return fmt.Errorf("hashicorp/raft: %w", err)
	}
	return nil
}

func (c *hashiRaft) crash(i int, announce bool) {
	c.wire.kill(i, announce)
	c.mu.Lock()
	c.crashed = true
	c.mu.Unlock()
	close(c.nodes[i].dead)
}

func (c *hashiRaft) detectedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.detected
}

// hashiLogs notes when an operation is in a log for the first time: in that of
// the leader that took it.
type hashiLogs struct {
	*hraft.InmemStore
	n *hashiNode
}

func (s *hashiLogs) StoreLog(l *hraft.Log) error { return s.StoreLogs([]*hraft.Log{l}) }

func (s *hashiLogs) StoreLogs(ls []*hraft.Log) error {
	if err := s.InmemStore.StoreLogs(ls); err != nil {
		return err
	}
	for _, l := range ls {
		if l.Type != hraft.LogCommand || len(l.Data) != 8 {
			continue
		}
		if o, ok := s.n.c.ops.Load(binary.BigEndian.Uint64(l.Data)); ok {
			o.(*op).take(s.n.i, s.n.c.began)
		}
	}
	return nil
}

// hashiFSM has nothing to apply.
type hashiFSM struct{}

func (hashiFSM) Apply(*hraft.Log) any                 { return nil }
func (hashiFSM) Snapshot() (hraft.FSMSnapshot, error) { return nil, hraft.ErrNothingNewToSnapshot }
func (hashiFSM) Restore(io.ReadCloser) error          { return nil }
