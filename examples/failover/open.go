package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/board"
	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// engine opens the servers of one kind. It connects to none of them.
type engine func(cfg *config.Config) ([]server, error)

// server is one server with everything that the tool asks of it.
type server struct {
	node   reparent.Node
	doctor func(context.Context) ([]reparent.Finding, error)
	// setup makes the record of a new member, once.
	setup func(context.Context) error
	// pulse says how the server, as a replica, gets on with its leader. It is a
	// hint for the failure detector.
	pulse func(context.Context) (pulse, error)
	// answered reports whether an error is what the server said, so that it is up;
	// nil: no error is.
	answered func(error) bool
	close    func() error
}

// pulse is the state of a replica's link to its leader.
type pulse struct {
	// up says that the link is said to be up, which proves nothing.
	up bool
	// beat is another each time that something arrived.
	beat string
	// silence is how long nothing may arrive from a leader that is well and has nothing
	// to write, as this server is configured: 0 when that is not known, and forever when
	// nothing bounds it.
	silence time.Duration
}

// forever is a silence without an end.
const forever = time.Duration(math.MaxInt64)

// cluster is what a configuration describes, opened.
type cluster struct {
	cfg     *config.Config
	reg     leadership.Registry
	barrier leadership.Barrier
	// board opens where watchers meet; only watch does.
	board   func() (board.Board, error)
	servers []server
	closers []func() error
}

// open opens the registry and makes the nodes. Nothing is connected to yet, but for
// the registry.
func (c *call) open() (_ *cluster, err error) {
	cl := &cluster{cfg: c.cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, cl.close())
		}
	}()
	if err := cl.openRegistry(); err != nil {
		return nil, fmt.Errorf("the registry cannot be opened: %w", err)
	}
	if cl.servers, err = c.app.engines[c.cfg.Engine](c.cfg); err != nil {
		return nil, err
	}
	for _, s := range cl.servers {
		cl.closers = append(cl.closers, s.close)
	}
	return cl, nil
}

func (cl *cluster) openRegistry() error {
	if f := cl.cfg.Barrier.File; f != "" {
		b, err := leadership.OpenFileBarrier(f)
		if err != nil {
			return err
		}
		cl.barrier = b
		cl.closers = append(cl.closers, b.Close)
	}
	if cl.cfg.Registry.Etcd != nil {
		return cl.openEtcd()
	}
	reg, err := leadership.OpenFileRegistry(cl.cfg.Registry.File)
	if err != nil {
		return err
	}
	cl.reg = reg
	cl.closers = append(cl.closers, reg.Close)
	cl.board = func() (board.Board, error) { return board.OpenDir(cl.cfg.Watch.Share) }
	return nil
}

// close closes everything, the last opened first.
func (cl *cluster) close() error {
	var errs []error
	for _, f := range slices.Backward(cl.closers) {
		if f != nil {
			errs = append(errs, f())
		}
	}
	cl.closers = nil
	return errors.Join(errs...)
}

// orderlyLinger is how long a change in which the leader takes part waits, unless it was
// configured, for nodes to follow the new leader once that serves: all of them have
// answered, as a rule, and the old leader's server may have to be restarted.
const orderlyLinger = 5 * time.Second

// guard returns a guard of the cluster. Nodes that repair does not want repaired are
// only asked to follow; nil wants all.
func (cl *cluster) guard(hooks reparent.Hooks, repair func(leadership.NodeID) bool) (*reparent.Guard, error) {
	return reparent.New(cl.cfg.Cluster, cl.reg, cl.nodes(repair), reparent.Config{
		By: cl.cfg.By, Barrier: cl.barrier, Limits: cl.cfg.Limits.Reparent(), Hooks: hooks,
	})
}

func (cl *cluster) nodes(repair func(leadership.NodeID) bool) []reparent.Node {
	var nodes []reparent.Node
	for _, s := range cl.servers {
		n := s.node
		if repair != nil && !repair(n.ID) {
			n.Repair = nil
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// answer is what a server said when it was asked how it is.
type answer struct {
	leadership.Status
	err error
}

// survey asks every server at once, each for at most the bound.
func (cl *cluster) survey(ctx context.Context, bound time.Duration) []answer {
	answers := make([]answer, len(cl.servers))
	var wg sync.WaitGroup
	for i, s := range cl.servers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, bound)
			defer cancel()
			st, err := s.node.Status.Status(ctx)
			st.Node, st.Reachable = s.node.ID, err == nil
			answers[i] = answer{st, err}
		})
	}
	wg.Wait()
	return answers
}

// statusBound is how long a server may take to say how it is.
func (cl *cluster) statusBound() time.Duration {
	if d := time.Duration(cl.cfg.Limits.Status); d > 0 {
		return d
	}
	return 2 * time.Second
}
