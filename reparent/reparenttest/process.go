package reparenttest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// Process is the process of a coordinator: what a revoker or an establisher
// that runs in it may use. Whatever it does to a node is a message, which may
// come late, twice or never, and the process may pause or die in between.
type Process struct {
	// Name is the coordinator's.
	Name string
	// Nodes are the nodes as this process reaches them, with what they offer.
	Nodes map[leadership.NodeID]reparent.Node
	// Registry is the registry as this process reaches it.
	Registry leadership.Registry

	w    *world
	proc *stepsim.Proc
}

// IDs returns the names of the nodes, sorted. A mechanism that ranges over
// Nodes asks in an order that differs from run to run.
func (p *Process) IDs() []leadership.NodeID { return slices.Sorted(maps.Keys(p.Nodes)) }

// Promisers returns the nodes as revoke.NewProposal, NewFence and NewSource
// take them.
func (p *Process) Promisers() map[leadership.NodeID]revoke.Promiser {
	return offered(p, func(n reparent.Node) revoke.Promiser { return n.Promise })
}

// StepDowners returns the nodes that can step down, for revoke.NewStepDown.
func (p *Process) StepDowners() map[leadership.NodeID]revoke.StepDowner {
	return offered(p, func(n reparent.Node) revoke.StepDowner { return n.StepDown })
}

// Candidates returns the nodes that can lead, for package establish.
func (p *Process) Candidates() map[leadership.NodeID]establish.Candidate {
	return offered(p, func(n reparent.Node) establish.Candidate { return n.Candidate })
}

// Followers returns the nodes that can follow.
func (p *Process) Followers() map[leadership.NodeID]establish.Follower {
	return offered(p, func(n reparent.Node) establish.Follower { return n.Follow })
}

// Repairers returns the nodes that can be repaired.
func (p *Process) Repairers() map[leadership.NodeID]establish.Repairer {
	return offered(p, func(n reparent.Node) establish.Repairer { return n.Repair })
}

func offered[V comparable](p *Process, of func(reparent.Node) V) map[leadership.NodeID]V {
	var none V
	out := map[leadership.NodeID]V{}
	for id, n := range p.Nodes {
		if v := of(n); v != none {
			out[id] = v
		}
	}
	return out
}

// Now is the time of the process' own clock.
func (p *Process) Now() time.Time { return p.proc.Now() }

// Sleep waits for d on the process' own clock, or for the end of ctx, which it
// returns as an error.
func (p *Process) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, p.proc, d) }

func (p *Process) origin() (*world, *stepsim.Proc) { return p.w, p.proc }

// process is the coordinator's view of the cluster.
func (w *world) process(p *stepsim.Proc) *Process {
	nodes := make(map[leadership.NodeID]reparent.Node, len(w.ids))
	for _, id := range w.ids {
		nodes[id] = w.hosts[id].bundle(p)
	}
	view := &Process{Name: p.Name, Nodes: nodes, Registry: remoteRegistry{p, w}, w: w, proc: p}
	if w.h.view != nil {
		w.h.view(view)
	}
	return view
}

// mechanisms are those of the harness in one coordinator's process; what is
// nil is the guard's own.
type mechanisms struct {
	revoke    revoke.Revoker
	establish establish.Establisher
}

func (h Harness) mechanisms(p *Process) (m mechanisms, err error) {
	if h.Revoke != nil {
		if m.revoke, err = h.Revoke(p); err != nil {
			return m, &HarnessError{"Revoke", err.Error()}
		}
	}
	if h.Establish != nil {
		if m.establish, err = h.Establish(p); err != nil {
			return m, &HarnessError{"Establish", err.Error()}
		}
	}
	return m, nil
}
