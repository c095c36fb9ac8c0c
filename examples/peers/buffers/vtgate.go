package buffers

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"vitess.io/vitess/go/vt/discovery"
	"vitess.io/vitess/go/vt/log"
	querypb "vitess.io/vitess/go/vt/proto/query"
	topodatapb "vitess.io/vitess/go/vt/proto/topodata"
	vschemapb "vitess.io/vitess/go/vt/proto/vschema"
	vtrpcpb "vitess.io/vitess/go/vt/proto/vtrpc"
	"vitess.io/vitess/go/vt/topo"
	"vitess.io/vitess/go/vt/vterrors"
	vtbuffer "vitess.io/vitess/go/vt/vtgate/buffer"
)

const cell = "zone1"

// quiet turns the log of Vitess off, for good: its buffer logs each change of state,
// a terminal is not what is measured, and what it has suppressed it counts up
// seconds later.
func quiet() { log.SwapLogger(slog.New(slog.DiscardHandler)) }

// errReparent is the error by which vtgate learns of a change of primary.
func errReparent() error {
	return vterrors.New(vtrpcpb.Code_CLUSTER_EVENT, vtbuffer.ClusterEventReparentInProgress)
}

// shard is one shard behind a vtgate buffer.
type shard struct {
	buf      *vtbuffer.Buffer
	kev      *discovery.KeyspaceEventWatcher // nil: events come from here
	keyspace string
	name     string
	primary  uint32
	before   int64 // requests that were buffered before this episode
	starter  sync.WaitGroup
}

// keyspaces numbers keyspaces: the counters of Vitess are those of a process.
type keyspaces struct{ n atomic.Int64 }

func (k *keyspaces) next() string { return fmt.Sprintf("ks%d", k.n.Add(1)) }

// vtConfig is what is not the subject of a row: room for all, and time.
func vtConfig(size, concurrency int) *vtbuffer.Config {
	c := vtbuffer.NewDefaultConfig()
	c.Enabled = true
	c.Size = size + 1 // and the request that finds out
	c.Window, c.MaxFailoverDuration = time.Hour, time.Hour
	c.DrainConcurrency = concurrency
	c.MinTimeBetweenFailovers = time.Nanosecond
	return c
}

func newShard(keyspace string, c *vtbuffer.Config) *shard {
	s := &shard{buf: vtbuffer.New(c), keyspace: keyspace, name: "0", primary: 100}
	s.event(s.primary)
	return s
}

func alias(uid uint32) *topodatapb.TabletAlias {
	return &topodatapb.TabletAlias{Cell: cell, Uid: uid}
}

func (s *shard) target() *querypb.Target {
	return &querypb.Target{Keyspace: s.keyspace, Shard: s.name, TabletType: topodatapb.TabletType_PRIMARY}
}

// event tells the buffer that uid is the shard's primary and serves.
func (s *shard) event(uid uint32) {
	s.primary = uid
	s.buf.HandleKeyspaceEvent(&discovery.KeyspaceEvent{
		Cell: cell, Keyspace: s.keyspace,
		Shards: []discovery.ShardEvent{{Tablet: alias(uid), Target: s.target(), Serving: true}},
	})
}

// wait is one request that asks the buffer; err is what its last try returned. run
// is called when the buffer has let it through, held or not.
func (s *shard) wait(ctx context.Context, err error, run func() error) (held bool, _ error) {
	done, err := s.buf.WaitForFailoverEnd(ctx, s.keyspace, s.name, s.kev, err)
	if done != nil {
		defer done()
	}
	if err != nil {
		return done != nil, err
	}
	return done != nil, run()
}

func nothing() error { return nil }

// Begin implements measure.Holder. The first request that fails starts the
// buffering; those of the row find it started.
func (s *shard) Begin() error {
	s.before = s.buffered()
	s.starter.Go(func() {
		for {
			// Not held: the last drain has not ended yet.
			if held, err := s.wait(context.Background(), errReparent(), nothing); held || err != nil {
				return
			}
			time.Sleep(100 * time.Microsecond)
		}
	})
	end := time.Now().Add(time.Minute)
	for s.Held() < 0 || s.buffered() == s.before {
		if time.Now().After(end) {
			return errors.New("peers: vtgate's buffer has not begun to hold")
		}
		time.Sleep(100 * time.Microsecond)
	}
	return nil
}

// Call implements measure.Holder.
func (s *shard) Call(ctx context.Context, _ int) error {
	_, err := s.wait(ctx, nil, nothing)
	return err
}

// Held implements measure.Holder: how many have been held since Begin, the request
// that began it not counted.
func (s *shard) Held() int { return int(s.buffered()-s.before) - 1 }

// buffered reads the only counter that tells from outside that a request waits.
func (s *shard) buffered() int64 {
	v, ok := expvar.Get("BufferRequestsBuffered").(interface{ Counts() map[string]int64 })
	if !ok {
		return -1
	}
	return v.Counts()[s.keyspace+"."+s.name]
}

// Release implements measure.Holder.
func (s *shard) Release() error {
	s.event(s.primary + 1)
	return nil
}

// End implements measure.Holder.
func (s *shard) End() error {
	s.event(s.primary + 1)
	s.starter.Wait()
	return nil
}

// gateway is the buffer with the watcher that feeds it in vtgate: it decides from
// the health of tablets and from the topology when a change is over.
type gateway struct {
	buf    *vtbuffer.Buffer
	kev    *discovery.KeyspaceEventWatcher
	health chan *discovery.TabletHealth
	shards map[string]*shard
	stop   context.CancelFunc
	pump   sync.WaitGroup
}

// newGateway returns a gateway for a keyspace of these shards, all of which serve.
func newGateway(keyspace string, c *vtbuffer.Config, names ...string) (*gateway, error) {
	ctx, stop := context.WithCancel(context.Background())
	g := &gateway{
		buf: vtbuffer.New(c), health: make(chan *discovery.TabletHealth),
		shards: map[string]*shard{}, stop: stop,
	}
	g.kev = discovery.NewKeyspaceEventWatcher(ctx, topology{keyspace, names}, discovery.NewFakeHealthCheck(g.health), cell)
	events := g.kev.Subscribe()
	first := make(chan struct{})
	g.pump.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case e := <-events:
				g.buf.HandleKeyspaceEvent(e)
			}
			if n == 0 {
				close(first)
			}
		}
	})
	for i, name := range names {
		g.shards[name] = &shard{buf: g.buf, kev: g.kev, keyspace: keyspace, name: name, primary: uint32(100 * (i + 1))}
		g.tell(name, g.shards[name].primary, true, 1)
	}
	// That all serve is an event too: one that came during a scenario would end
	// what the scenario began.
	select {
	case <-first:
	case <-time.After(10 * time.Second):
		g.close()
		return nil, errors.New("peers: the keyspace did not become consistent")
	}
	return g, nil
}

// tell is what the health check of a primary says: whether it serves, and since
// when it has been the primary.
func (g *gateway) tell(name string, uid uint32, serving bool, since int64) {
	s := g.shards[name]
	g.health <- &discovery.TabletHealth{
		Tablet:               &topodatapb.Tablet{Alias: alias(uid), Keyspace: s.keyspace, Shard: name, Type: topodatapb.TabletType_PRIMARY},
		Target:               s.target(),
		PrimaryTermStartTime: since,
		Serving:              serving,
	}
}

func (g *gateway) close() {
	g.stop()
	g.pump.Wait()
	g.buf.Shutdown()
}

// topology is a keyspace that does not change.
type topology struct {
	keyspace string
	shards   []string
}

// GetTopoServer implements srvtopo.Server; no row needs one.
func (t topology) GetTopoServer() (*topo.Server, error) {
	return nil, errors.New("peers: there is no topology server")
}

// GetSrvKeyspaceNames implements srvtopo.Server.
func (t topology) GetSrvKeyspaceNames(context.Context, string, bool) ([]string, error) {
	return []string{t.keyspace}, nil
}

// GetSrvKeyspace implements srvtopo.Server.
func (t topology) GetSrvKeyspace(context.Context, string, string) (*topodatapb.SrvKeyspace, error) {
	p := &topodatapb.SrvKeyspace_KeyspacePartition{ServedType: topodatapb.TabletType_PRIMARY}
	for _, name := range t.shards {
		p.ShardReferences = append(p.ShardReferences, &topodatapb.ShardReference{Name: name})
	}
	return &topodatapb.SrvKeyspace{Partitions: []*topodatapb.SrvKeyspace_KeyspacePartition{p}}, nil
}

// WatchSrvKeyspace implements srvtopo.Server.
func (t topology) WatchSrvKeyspace(ctx context.Context, c, keyspace string, f func(*topodatapb.SrvKeyspace, error) bool) {
	ks, err := t.GetSrvKeyspace(ctx, c, keyspace)
	f(ks, err)
}

// WatchSrvVSchema implements srvtopo.Server.
func (t topology) WatchSrvVSchema(_ context.Context, _ string, f func(*vschemapb.SrvVSchema, error) bool) {
	f(&vschemapb.SrvVSchema{}, nil)
}
