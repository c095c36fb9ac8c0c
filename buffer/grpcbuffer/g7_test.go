package grpcbuffer_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// ledger counts how often each request was executed, over all nodes.
type ledger struct {
	mu   sync.Mutex
	done map[string]int
}

func (l *ledger) put(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[string(req.GetPayload().GetBody())]++
	return &testpb.SimpleResponse{Payload: req.GetPayload()}, nil
}

// cluster is nodes that write to one ledger, one of which leads.
type cluster struct {
	t      *testing.T
	ledger ledger
	nodes  []*node
	leader *node
	num    uint64
}

func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{t: t, ledger: ledger{done: map[string]int{}}, num: 1}
	for i := range size {
		n := newNode(t, fmt.Sprint("n", i+1), &service{unary: c.ledger.put}, func(o *grpcbuffer.ServerOptions) { o.CheckTerm = true })
		_, err := n.gate.Drain(bg, lameduck.Plan{Reason: "does not lead"})
		require.NoError(t, err)
		c.nodes = append(c.nodes, n)
	}
	c.leader = c.nodes[0]
	c.leader.serve(1)
	return c
}

// dial knows the nodes by name, for leaders that nobody gave an address.
func (c *cluster) dial(to leadership.Leadership, addr string) (*grpc.ClientConn, error) {
	for _, n := range c.nodes {
		if addr == "" && n.id == string(to.Leader) {
			addr = n.addr
		}
	}
	return dialInsecure(to, addr)
}

// change moves the leadership to another node, or gives the same one a new
// term. The refusals name it when hint is set.
func (c *cluster) change(to *node, hint bool) {
	c.num++
	plan := lameduck.Plan{Units: time.Millisecond, All: patience, Until: term(c.num), Reason: "planned change"}
	if hint {
		plan.Leader = leadership.NodeID(to.id)
	}
	_, err := c.leader.gate.Drain(bg, plan)
	require.NoError(c.t, err)
	require.NoError(c.t, c.leader.gate.Seal(term(c.num)))
	c.leader = to
	to.serve(c.num)
}

// load keeps calls and streams going until it is stopped, or one fails. stop
// returns how many calls there were.
func load(t *testing.T, r *router, workers int) (stop func() (calls int)) {
	t.Helper()
	quit, errs := make(chan struct{}), make([]error, workers)
	counts := make([]int, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for ; errs[w] == nil; counts[w]++ {
				select {
				case <-quit:
					return
				default:
				}
				if _, err := r.UnaryCall(bg, text(fmt.Sprintf("%d/%d", w, counts[w]))); err != nil {
					errs[w] = fmt.Errorf("call: %w", err)
				} else if w%4 == 0 {
					errs[w] = stream(r)
				}
			}
		})
	}
	end := sync.OnceFunc(func() {
		close(quit)
		wg.Wait()
	})
	t.Cleanup(end)
	return func() (calls int) {
		end()
		for w, n := range counts {
			require.NoError(t, errs[w])
			calls += n
		}
		return calls
	}
}

func stream(r *router) error {
	ss, err := r.StreamingOutputCall(bg, &testpb.StreamingOutputCallRequest{})
	for err == nil {
		_, err = ss.Recv()
	}
	if err == io.EOF {
		return nil
	}
	return fmt.Errorf("stream: %w", err)
}

func TestG7_CallsFollowTheLeaderThroughPlannedChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ registry, hint bool }{
		"told by the registry":  {registry: true},
		"registry and refusals": {registry: true, hint: true},
		"told by refusals":      {hint: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := newCluster(t, 3)
			r := newRouter(t, buffer.Config{MaxAge: patience, MaxOutage: patience}, grpcbuffer.ConnOptions{}, cl.dial)
			r.lane.Observe(cl.leader.routed(1))
			stop := load(t, r, 8)
			for i := range 20 {
				to := cl.nodes[(i+1)%3]
				if i%5 == 4 {
					to = cl.leader // an undo: the same leader, a new term
				}
				cl.change(to, c.hint)
				if c.registry {
					r.lane.Observe(to.routed(cl.num))
				}
				// Somebody gets through before the next change.
				_, err := r.UnaryCall(bg, text(fmt.Sprint("between/", i)))
				require.NoError(t, err)
			}
			calls := stop()
			require.Len(t, cl.ledger.done, calls+20)
			for id, n := range cl.ledger.done {
				require.Equal(t, 1, n, id)
			}
			l, _ := r.lane.Leader()
			require.Equal(t, cl.num, l.Term.Num)
		})
	}
}

// A drain that is undone at its own term: nobody is told of anything.
func TestG7_ADrainThatIsUndoneCostsNoError(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 1)
	r := newRouter(t, buffer.Config{MaxAge: patience, MaxOutage: patience}, grpcbuffer.ConnOptions{}, cl.dial)
	r.lane.Observe(cl.leader.routed(1))
	stop := load(t, r, 8)
	for i := range 10 {
		open, err := cl.leader.gate.Enter(lameduck.Single) // keeps the drain from ending
		require.NoError(t, err)
		undone := background(t, func() { _, _ = cl.leader.gate.Drain(bg, lameduck.Plan{All: patience}) })
		eventually(t, "draining", func() bool { return cl.leader.gate.State().Phase == lameduck.DrainAll })
		eventually(t, "somebody is held", func() bool { return r.lane.Snapshot().Held > 0 })
		require.NoError(t, cl.leader.gate.Resume())
		open.Exit()
		within(t, "the drain", undone)
		_, err = r.UnaryCall(bg, text(fmt.Sprint("between/", i)))
		require.NoError(t, err)
	}
	calls := stop()
	require.Len(t, cl.ledger.done, calls+10)
	for id, n := range cl.ledger.done {
		require.Equal(t, 1, n, id)
	}
}

// The whole of it: the old leader's server goes away as well.
func TestG7_AStoppedServerCostsNoErrorOnceItsGateHasDrained(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 3)
	r := newRouter(t, buffer.Config{MaxAge: patience, MaxOutage: patience}, grpcbuffer.ConnOptions{}, cl.dial)
	r.lane.Observe(cl.leader.routed(1))
	stop := load(t, r, 8)
	for _, to := range cl.nodes[1:] {
		old := cl.leader
		cl.change(to, false)
		r.lane.Observe(to.routed(cl.num))
		rep, err := old.front.Stop(bg, old.srv, grpcbuffer.StopPlan{Graceful: patience})
		require.NoError(t, err)
		require.True(t, rep.Graceful)
		_, err = r.UnaryCall(bg, text("between/"+to.id))
		require.NoError(t, err)
	}
	calls := stop()
	require.Len(t, cl.ledger.done, calls+2)
}
