package reparenttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// mechanism names one way to revoke that a change of a run may use.
type mechanism string

const (
	ownMechanism mechanism = "own" // the guard's, or the harness'
	byProposal   mechanism = "proposal"
	byFence      mechanism = "fence"
	bySource     mechanism = "source"
	byStepDown   mechanism = "step-down"
	byIsolation  mechanism = "isolation"
	byLease      mechanism = "lease"
	byTwo        mechanism = "two at once"
	byTurns      mechanism = "one after the other"
	byHandOver   mechanism = "hand-over" // a planned change that the leader leads
	byRelay      mechanism = "relay"     // one in which leader and successor each get one call
)

// mixed lists what changes of a run draw from.
func (h Harness) mixed(f Features) []mechanism {
	if h.Revoke != nil {
		return []mechanism{ownMechanism}
	}
	all := []mechanism{ownMechanism, byProposal, byFence, bySource, byStepDown, byTwo, byTurns}
	if f.Partition {
		all = append(all, byIsolation)
	}
	if h.leased {
		all = append(all, byLease)
	}
	if h.HandsOver && h.Establish == nil {
		all = append(all, byHandOver)
	}
	if h.traits.OneCall && h.Establish == nil {
		all = append(all, byRelay)
	}
	return all
}

// move is one change of a plan, and how it revokes.
type move struct {
	change reparent.Change
	by     mechanism
	sweeps bool // afterwards
}

// drawMove draws one change.
func (s *shape) drawMove(rng *rand.Rand, mixed []mechanism) move {
	id := func() leadership.NodeID { return nodeID(rng.IntN(s.size)) }
	kinds := 5
	if s.reforms {
		kinds = 7
	}
	m := move{by: ownMechanism}
	switch rng.IntN(kinds) {
	case 0, 1:
		m.change = reparent.Planned(id())
		m.change.Force = rng.IntN(2) == 0
	case 2:
		m.change = reparent.Refresh()
	case 3:
		m.change = reparent.Resume()
	case 4:
		m.change = reparent.Emergency()
	default:
		policies := []string{"majority", "all", "at-least(2)", "at-least(3)"}
		m.change = reparent.SetRuleset(leadership.Ruleset{Policy: policies[rng.IntN(len(policies))]})
	}
	if rng.IntN(3) > 0 {
		m.by = mixed[rng.IntN(len(mixed))]
	}
	m.sweeps = rng.IntN(3) == 0
	return m
}

// revoker makes a mechanism in the process of a coordinator; nil is the
// guard's own.
func (p *Process) revoker(m mechanism) (revoke.Revoker, error) {
	opt := revoke.Options{Retry: 10 * time.Millisecond}
	push, err := revoke.NewProposal(p.Promisers(), opt)
	if err != nil {
		return nil, err
	}
	fence, err := revoke.NewFence(p.Promisers(), opt)
	if err != nil {
		return nil, err
	}
	source, err := revoke.NewSource(p.Promisers(), opt)
	if err != nil {
		return nil, err
	}
	step, err := revoke.NewStepDown(p.StepDowners())
	if err != nil {
		return nil, err
	}
	switch m {
	case byProposal:
		return push, nil
	case byFence:
		return fence, nil
	case bySource:
		return source, nil
	case byStepDown:
		return revoke.Then(revoke.Stage{Revoker: step, Bound: 150 * time.Millisecond}, revoke.Stage{Revoker: push})
	case byIsolation:
		iso, err := p.isolate()
		if err != nil {
			return nil, err
		}
		var cut revoke.Revoker = iso
		if p.w.h.hastyRelease {
			cut = hasty{iso, p}
		}
		// One follower is only read, if that turns out to be enough: what
		// isolation is for is a follower that cannot be fenced.
		return revoke.Then(
			revoke.Stage{Revoker: cut, Bound: 60 * time.Millisecond},
			revoke.Stage{Revoker: butOne{fence}, Bound: 60 * time.Millisecond},
			revoke.Stage{Revoker: peek{p}, Bound: 40 * time.Millisecond},
			revoke.Stage{Revoker: fence},
		)
	case byLease:
		lease, err := revoke.NewLease(remoteLessor{p.proc, p.w.lessor}, leaseRate)
		if err != nil {
			return nil, err
		}
		return revoke.Together(lease, fence)
	case byTwo:
		return revoke.Together(push, step)
	case byTurns:
		return revoke.Then(revoke.Stage{Revoker: fence, Bound: 40 * time.Millisecond}, revoke.Stage{Revoker: push})
	}
	return nil, nil
}

// move runs one change of a plan.
func (w *world) move(p *stepsim.Proc, g *reparent.Guard, m move) *reparent.Report {
	c := m.change
	switch m.by {
	case ownMechanism:
	case byHandOver:
		c = reparent.Planned(w.successor(p, c.To))
		c.LeaderLed, c.Force = true, m.change.Force
	case byRelay: // of nodes that do not offer it, an ordinary one
		c = reparent.Planned(w.successor(p, c.To))
		c.Force = m.change.Force
	default:
		r, err := w.process(p).revoker(m.by)
		if err != nil {
			w.mu.Lock()
			w.fail("harness", "%s: %v", m.by, err)
			w.mu.Unlock()
		}
		c.Revoke = r
	}
	rep := w.run(g, c)
	w.mu.Lock()
	w.usedBy[rep.Term] = m.by
	w.mu.Unlock()
	if m.sweeps && p.Life().Err() == nil {
		_, _ = g.Sweep(p.Life())
	}
	return rep
}

// successor is who is to take over from the recorded leader: to, or the next node
// when that is the leader itself or nobody.
func (w *world) successor(p *stepsim.Proc, to leadership.NodeID) leadership.NodeID {
	ctx, cancel := context.WithTimeout(p.Life(), Limits().Registry)
	defer cancel()
	r, err := remoteRegistry{p, w}.Load(ctx)
	if leader := r.Active.Leader; err == nil && (to == "" || to == leader) {
		return w.ids[(w.index(leader)+1)%len(w.ids)]
	}
	return to
}

// pairs counts which mechanism's grant came after which other's.
func (w *world) pairs() {
	gs := slices.Clone(w.grants)
	slices.SortFunc(gs, func(a, b leadership.Leadership) int { return a.Term.Compare(b.Term) })
	for i := 1; i < len(gs); i++ {
		a, ok := w.usedBy[gs[i-1].Term]
		b, ok2 := w.usedBy[gs[i].Term]
		if ok && ok2 {
			w.mixes[[2]mechanism{a, b}]++
		}
	}
}

// missingPairs says which mechanism was never seen to follow which.
func (t *tally) missingPairs(mixed []mechanism) (reached int, missing []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range mixed {
		for _, b := range mixed {
			if t.mixes[[2]mechanism{a, b}] == 0 {
				missing = append(missing, fmt.Sprintf("%s, then %s", a, b))
			} else {
				reached++
			}
		}
	}
	return reached, missing
}
