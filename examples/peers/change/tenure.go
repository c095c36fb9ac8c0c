package change

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

const clusterName = "peers"

// nodeID names a host. Registries and terms want names.
func nodeID(i int) leadership.NodeID { return leadership.NodeID(fmt.Sprintf("n%d", i)) }

func hostOf(id leadership.NodeID) int {
	var i int
	if _, err := fmt.Sscanf(string(id), "n%d", &i); err != nil {
		return -1
	}
	return i
}

// tenure is a cluster on this library. It implements cluster.
type tenure struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	wire   *wire
	began  time.Time
	beacon *beacon
	nodes  []*node
	reg    leadership.MemoryRegistry
	// guards are the coordinators, by host: one beside every node, and one on a
	// host of its own.
	guards []*reparent.Guard
	buf    *buffer.Buffer
	lane   *buffer.Lane // nil: clients go straight to the nodes
	place  coordinator
	// timeout is how many round trips a silent leader is waited for.
	timeout int

	mu       sync.Mutex // guards what follows
	err      error
	detected time.Time                   // when an emergency began
	known    map[int][]leadership.Status // what each host heard last of the nodes
	report   *reparent.Report
}

// coordinator says where a planned change is coordinated.
type coordinator int

const (
	outside     coordinator = iota // on a host of its own: every node is one delay away
	atSuccessor                    // beside the node that is to lead
	atLeader                       // beside the leader, which leads the change itself
)

// The failure timeout in round trips, for every library: short where the leader
// crashes, and long where it hands over, so that a busy machine is not taken for a
// failure.
const (
	crashTimeout   = 5
	plannedTimeout = 20
)

func newTenure(ctx context.Context, delay time.Duration, n int, hold bool, at coordinator, timeout int) (_ *tenure, err error) {
	c := &tenure{wire: newWire(delay, n+1), began: time.Now(), beacon: newBeacon(), place: at, timeout: timeout, known: map[int][]leadership.Status{}}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			_ = c.close()
		}
	}()
	for i := range n {
		node, err := newNode(c.ctx, c, i)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, node)
	}
	for host := range n + 1 {
		g, err := c.guard(host)
		if err != nil {
			return nil, err
		}
		c.guards = append(c.guards, g)
	}
	if hold {
		if c.buf, err = buffer.New(buffer.Config{}); err != nil {
			return nil, err
		}
		c.lane = c.buf.Lane(clusterName)
		c.wg.Go(func() { _ = c.buf.Follow(c.ctx, &c.reg, c.lane) })
	}
	var members []leadership.Node
	for i := range n {
		members = append(members, leadership.Node{ID: nodeID(i)})
	}
	rs, err := leadership.NewRuleset(leadership.Majority(), members...)
	if err != nil {
		return nil, err
	}
	if _, err := c.guards[n].Run(c.ctx, reparent.Bootstrap(rs, nodeID(0))); err != nil {
		return nil, err
	}
	for _, node := range c.nodes {
		c.wg.Go(node.beat)
		c.wg.Go(func() { c.poll(node.i) })
		c.wg.Go(func() { c.succeed(node) })
	}
	if at == outside && timeout == plannedTimeout {
		c.wg.Go(func() { c.poll(n) })
	}
	return c, nil
}

// guard returns a coordinator on a host.
func (c *tenure) guard(host int) (*reparent.Guard, error) {
	var nodes []reparent.Node
	for _, n := range c.nodes {
		r := &remote{c: c, from: host, to: n}
		nodes = append(nodes, reparent.Node{
			ID: n.id, Addr: string(n.id), Truncates: true,
			Status: r, Promise: r, StepDown: r, HandOver: r, Retire: r, TakeOver: r, Candidate: r, Follow: r,
		})
	}
	return reparent.New(clusterName, &c.reg, nodes, reparent.Config{
		By: fmt.Sprintf("at-%d", host),
		// Whoever has not answered by then is left to a sweep: a dead member
		// must not make a trial long.
		Limits: reparent.Limits{
			Linger: 2 * c.wire.rtt(), Drain: time.Second, Revoke: 2 * time.Second, Install: 2 * time.Second, Undo: 2 * time.Second,
		},
	})
}

func (c *tenure) beaconOf() *beacon { return c.beacon }
func (c *tenure) wireOf() *wire     { return c.wire }
func (c *tenure) start() time.Time  { return c.began }

func (c *tenure) close() error {
	if c.buf != nil {
		c.buf.Close()
	}
	c.cancel(errors.New("change: the trial is over"))
	c.wire.close()
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// crown tells clients who takes requests. Those behind the buffer learn it in the
// same moment as the others do.
func (c *tenure) crown(l leadership.Leadership) {
	c.beacon.set(hostOf(l.Leader))
	if c.lane != nil {
		c.lane.Learn(l, string(l.Leader))
	}
}

// fail notes what must not happen.
func (c *tenure) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, err)
}

// submit goes through the buffer.
func (c *tenure) submit(ctx context.Context, o *op) error {
	if c.lane == nil {
		leader, _, _ := c.beacon.get()
		return c.direct(ctx, leader, o)
	}
	return told(c.lane.Do(ctx, buffer.Request{}, func(ctx context.Context, to leadership.Leadership, _ string) error {
		return c.at(ctx, hostOf(to.Leader), o)
	}))
}

func (c *tenure) direct(ctx context.Context, i int, o *op) error { return told(c.at(ctx, i, o)) }

func (c *tenure) at(ctx context.Context, i int, o *op) error {
	if c.wire.isDead(i) {
		return buffer.NotSent(errReset)
	}
	return c.nodes[i].submit(ctx, o)
}

func told(err error) error {
	switch {
	case err == nil:
		return nil
	case leadership.NotExecuted(err):
		return errRefused
	}
	return errUnknown
}

// hand is a planned change.
func (c *tenure) hand(ctx context.Context, from, to int) error {
	host, change := len(c.nodes), reparent.Planned(nodeID(to))
	switch c.place {
	case atSuccessor:
		host = to
	case atLeader:
		host, change.LeaderLed = from, true
	}
	if !change.LeaderLed {
		c.mu.Lock()
		change.Known = c.known[host]
		c.mu.Unlock()
	}
	rep, err := c.guards[host].Run(ctx, change)
	c.mu.Lock()
	c.report = rep
	c.mu.Unlock()
	return err
}

// crash ends a node: its clients hear nothing more of what they asked.
func (c *tenure) crash(i int, announce bool) {
	c.wire.kill(i, announce)
	n := c.nodes[i]
	n.mu.Lock()
	if ls := n.leads; ls != nil {
		n.end(ls, leadership.Term{})
	}
	n.mu.Unlock()
}

// check returns an error when something that a client was told is done is not in
// the best log of those that are up, or is there twice: whoever is to lead next
// gets that one.
func (c *tenure) check(ops []*op) error {
	var best leadership.Position
	var entries []entry
	for _, n := range c.nodes {
		if c.wire.isDead(n.i) {
			continue
		}
		n.mu.Lock()
		if at := n.log.position(); at.Rank(best) == leadership.Ahead {
			best, entries = at, n.log.entries[:len(n.log.entries):len(n.log.entries)]
		}
		n.mu.Unlock()
	}
	times := map[*op]int{}
	for _, e := range entries {
		if e.op != nil {
			times[e.op]++
		}
	}
	for _, o := range ops {
		if times[o] > 1 || times[o] == 0 && !o.unknown {
			return &lostError{fmt.Errorf("change: operation %d was told to be done and is %d times in the log at %v", o.id, times[o], best)}
		}
	}
	return nil
}

// lostError says that a guarantee was broken. No trial is tried again after it.
type lostError struct{ error }

// detectedAt returns when the first coordinator began, for a crash.
func (c *tenure) detectedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.detected
}

// remote is a node as the coordinator on another host sees it.
type remote struct {
	c    *tenure
	from int
	to   *node
}

func askNode[T any](ctx context.Context, r *remote, f func(context.Context) (T, error)) (T, error) {
	v, err := call(ctx, r.c.wire, &r.c.wg, r.from, r.to.i, f)
	if errors.Is(err, errReset) {
		err = errors.Join(leadership.ErrUnknownOutcome, err)
	}
	return v, err
}

func (r *remote) Status(ctx context.Context) (leadership.Status, error) {
	return askNode(ctx, r, r.to.status)
}

func (r *remote) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return askNode(ctx, r, func(ctx context.Context) (leadership.Testimony, error) { return r.to.promise(ctx, t) })
}

func (r *remote) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	return askNode(ctx, r, func(ctx context.Context) (revoke.Drained, error) { return r.to.drain(ctx, t, d) })
}

func (r *remote) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return askNode(ctx, r, func(ctx context.Context) (leadership.Testimony, error) { return r.to.stepDown(ctx, t) })
}

func (r *remote) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	return askNode(ctx, r, func(ctx context.Context) (handover.Account, error) { return r.to.handOver(ctx, b) })
}

func (r *remote) Retire(ctx context.Context, q handover.Retirement) (handover.Retired, error) {
	return askNode(ctx, r, func(ctx context.Context) (handover.Retired, error) { return r.to.retire(ctx, q) })
}

func (r *remote) TakeOver(ctx context.Context, q handover.Relay) (handover.Account, error) {
	return askNode(ctx, r, func(ctx context.Context) (handover.Account, error) { return r.to.takeOver(ctx, q, gift{}) })
}

func (r *remote) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	return askNode(ctx, r, func(ctx context.Context) (leadership.Acceptance, error) { return r.to.install(ctx, m) })
}

func (r *remote) Follow(ctx context.Context, t leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
	return askNode(ctx, r, func(ctx context.Context) (leadership.Acceptance, error) { return r.to.follow(ctx, t, l) })
}

func (r *remote) Grant(ctx context.Context, t leadership.Term) error {
	_, err := askNode(ctx, r, func(ctx context.Context) (struct{}, error) { return struct{}{}, r.to.grant(ctx, t) })
	return err
}

func (r *remote) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	_, err := askNode(ctx, r, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.to.catchUp(ctx, t, hostOf(donor), pos)
	})
	return err
}
