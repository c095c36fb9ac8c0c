package reparenttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// Setup says which cluster Direct makes. The zero value is three nodes, all of
// them members, under the policy of the harness, or a majority, in full mode.
type Setup struct {
	// Nodes is the number of hosts, n1 and so on; 0 means 3.
	Nodes int
	// Members is how many of them, from n1 on, are members at first; 0 means all.
	Members int
	// Policy is used when it is not nil.
	Policy leadership.Policy
	// Mode is that of the cluster; "" means leadership.Full.
	Mode leadership.Mode
	// Unled: nobody bootstrapped it. Else n1 leads.
	Unled bool

	_ struct{}
}

// Cluster is a simulated cluster in the hands of one test, which says what
// happens, where Run leaves that to chance: every message arrives, the oldest
// first, and nothing fails but what the test makes fail. All invariants are
// checked after every step all the same.
//
// Unless it says otherwise, a method is called by the test between two calls of
// Do, or in Meanwhile.
type Cluster struct {
	w        *world
	client   *stepsim.Proc
	director *stepsim.Proc
}

// Direct makes a cluster of nodes of h and calls f with it, in a testing/synctest
// bubble. t is that of the bubble. When the test fails, the picture and the end
// of the trace are logged.
func Direct(t *testing.T, h Harness, s Setup, f func(t *testing.T, c *Cluster)) {
	t.Helper()
	if s.Policy != nil {
		h.Policy = s.Policy
	}
	size := s.Nodes
	if size == 0 {
		size = 3
	}
	few := s.Members
	if few == 0 {
		few = size
	}
	if err := h.Validate(Features{Nodes: size}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{Scripted: true})
		defer sim.Close()
		w, err := newWorldOf(sim, h, size, few, h.policy())
		if err != nil {
			t.Fatal(err)
		}
		w.show, w.mode = true, s.Mode
		for _, host := range w.hosts {
			host.proc.CanCrash = true
		}
		w.regProc.CanCrash = true
		c := &Cluster{w: w, client: sim.Proc("client"), director: sim.Proc("director")}
		c.client.Client = true
		if !s.Unled {
			if err := w.bootstrap(); err != nil {
				t.Fatal(err)
			}
		}
		defer func() {
			if t.Failed() {
				t.Logf("%s\n%s", w.picture(80), strings.Join(sim.Trace(80), "\n"))
			}
		}()
		f(t, c)
		if w.err != nil && !t.Failed() {
			t.Error(w.err)
		}
	})
}

// IDs returns the names of all nodes.
func (c *Cluster) IDs() []leadership.NodeID { return slices.Clone(c.w.ids) }

// Ruleset is the one that the cluster began with.
func (c *Cluster) Ruleset() leadership.Ruleset { return c.w.ruleset }

// Do calls f in a goroutine of its own and takes steps until it has returned,
// which must not be for ever. What f asks of nodes and of Registry travels, and
// may take simulated time. It returns an invariant that was broken meanwhile, or
// that f does not return.
func (c *Cluster) Do(f func()) error { return c.w.sim.Do(maxSteps, f) }

// Meanwhile calls f when nothing else runs, and returns when f has. It is called
// by what runs in Do, a hook of a guard for one.
func (c *Cluster) Meanwhile(f func()) {
	done := make(chan struct{})
	c.director.Later("meanwhile", func() {
		defer close(done)
		f()
	})
	<-done
}

// EveryStep has f called before every step from now on, when nothing else runs.
func (c *Cluster) EveryStep(f func()) {
	c.w.sim.Check = func() error {
		f()
		return c.w.check()
	}
}

// Process adds the process of a coordinator, of this name.
func (c *Cluster) Process(name string) *Process {
	p := c.w.sim.Proc(name)
	p.Control = true
	return c.w.process(p)
}

// Router adds a router that every guard of a later call of Process waits for.
func (c *Cluster) Router(name string) (*BarrierRouter, error) { return c.w.barrierRouter(name) }

// Append makes a client append to the log at a node, of a number that no other
// has, and returns what it was told. It is called in Do.
func (c *Cluster) Append(ctx context.Context, id leadership.NodeID) error {
	return c.w.append(ctx, c.client, id)
}

// Registry is the registry itself, past all messages. It may be called by any
// goroutine.
func (c *Cluster) Registry() leadership.Registry { return seenRegistry{c.w} }

// seenRegistry tells the checks what is written.
type seenRegistry struct{ w *world }

func (r seenRegistry) Load(ctx context.Context) (leadership.Record, error) { return r.w.reg.Load(ctx) }

func (r seenRegistry) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	got, err := r.w.reg.Swap(ctx, base, next)
	if err == nil {
		r.w.recorded(got)
		r.w.wrote(got.Version)
	}
	return got, err
}

func (r seenRegistry) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	return r.w.reg.Wait(ctx, after)
}

// Close closes the registry, if it can be.
func (r seenRegistry) Close() error {
	if c, ok := r.w.reg.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// LoseRegistry empties the registry.
func (c *Cluster) LoseRegistry() {
	c.w.regHost.Disk = nil
	c.w.bootRegistry()
	c.w.records, c.w.swapped, c.w.saved = nil, nil, nil
}

// CrashRegistry stops the registry, so that nobody reaches it.
func (c *Cluster) CrashRegistry() { c.w.regProc.Crash() }

// RestartRegistry starts it again.
func (c *Cluster) RestartRegistry() { c.w.regProc.Restart() }

// Crash kills a node: what it had not made durable is gone.
func (c *Cluster) Crash(id leadership.NodeID) { c.w.hosts[id].proc.Crash() }

// Gone kills nodes that never come back, which is what a waiver says of them: what
// else completes nothing with them is revoked, and what only they had is lost. A
// node that is restarted all the same makes a liar of whoever said so.
func (c *Cluster) Gone(ids ...leadership.NodeID) {
	for _, id := range ids {
		c.Crash(id)
		c.w.gone |= 1 << slices.Index(c.w.ids, id)
	}
}

// Restart boots it again.
func (c *Cluster) Restart(id leadership.NodeID) { c.w.hosts[id].proc.Restart() }

// Isolated reports whether a node is cut off from all but coordinators, by the
// breaker of Process.Isolator.
func (c *Cluster) Isolated(id leadership.NodeID) bool { return c.w.hosts[id].proc.Isolated }

// Isolate is what that breaker does, at once and whatever it did before.
func (c *Cluster) Isolate(id leadership.NodeID, cut bool) { c.w.hosts[id].proc.Isolated = cut }

// Facts is what a node has on disk, and what follows from it; nothing of a node
// without an Inspector.
func (c *Cluster) Facts(id leadership.NodeID) Facts {
	if n := c.w.hosts[id].node.Inspect; n != nil {
		return n.Facts()
	}
	return Facts{}
}

// Grants are the leaderships that were granted, in that order. Any goroutine may
// call it.
func (c *Cluster) Grants() []leadership.Leadership {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return slices.Clone(c.w.grants)
}

// Asked reports whether any node ever answered that it promised t.
func (c *Cluster) Asked(t leadership.Term) bool { return c.w.promised[t] }

// Leader is the node that can complete new requests, "" when there is none. It
// is known of nodes with an Inspector.
func (c *Cluster) Leader() leadership.NodeID {
	for _, k := range c.w.looks {
		c.w.refresh(k)
		if k.leads() {
			if _, ok := c.w.supported(k); ok {
				return k.id
			}
		}
	}
	return ""
}

// Heal ends all faults and demands what Run demands at its end: that a
// coordinator of this name can bring the cluster back, and that everything that
// anyone was told was the truth. It returns the leader.
func (c *Cluster) Heal(name string) (leadership.NodeID, error) {
	leader, err := c.w.heal(name)
	if err != nil {
		return "", err
	}
	return leader, c.w.verify(leader)
}

// Verify demands that everything that anyone was told was the truth, by the log
// of a leader, and changes nothing.
func (c *Cluster) Verify(leader leadership.NodeID) error { return c.w.verify(leader) }

// Guard makes a guard of Nodes as they are now, with short limits and the ruleset
// and mode of the cluster; edit, which may be nil, changes its configuration. What
// it runs is called in Do.
func (p *Process) Guard(edit func(*reparent.Config)) (*reparent.Guard, error) {
	return p.w.guardOf(p, edit)
}

// Run runs a change with a guard of this process, and has its report checked
// with all else.
func (p *Process) Run(ctx context.Context, g *reparent.Guard, c reparent.Change) (*reparent.Report, error) {
	rep := p.w.runs(ctx, g, c)
	return rep, rep.Err
}

// DieAt kills the process at its n-th message from now on, sent or got: just
// before a call leaves, or after it was carried out and before the answer is
// seen.
func (p *Process) DieAt(n int) { p.proc.DieAt = n }

// Dead reports whether it was killed.
func (p *Process) Dead() bool { return !p.proc.Up() }

// Isolator is a simulated breaker, which cuts nodes off from all but
// coordinators, as this process reaches it.
func (p *Process) Isolator() revoke.Isolator { return remoteBreaker{p.proc, p.w.breaker} }

// Lessor is a simulated lessor of leases of leadership, as this process reaches
// it. Nodes that ask it for leases are those with Traits.Leased.
func (p *Process) Lessor() revoke.Lessor { return remoteLessor{p.proc, p.w.lessor} }

// String names it.
func (c *Cluster) String() string {
	return fmt.Sprintf("%d nodes, %s", len(c.w.ids), c.w.ruleset.Policy)
}
