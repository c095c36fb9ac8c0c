package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// breaker cuts processes off, and obeys only the newest term.
type breaker struct {
	c        *cluster
	term     map[leadership.NodeID]leadership.Term
	released map[leadership.NodeID]bool
}

func (b *breaker) set(t leadership.Term, id leadership.NodeID, cut bool) error {
	b.c.s.mu.Lock()
	defer b.c.s.mu.Unlock()
	if t.Less(b.term[id]) || t == b.term[id] && b.released[id] && cut {
		return &leadership.StaleTermError{Node: id, Asked: t, Promised: b.term[id]}
	}
	b.term[id], b.released[id] = t, !cut
	b.c.nodes[id].p.cut = cut
	return nil
}

func (b *breaker) Isolate(_ context.Context, t leadership.Term, id leadership.NodeID) error {
	return b.set(t, id, true)
}

func (b *breaker) Release(_ context.Context, t leadership.Term, id leadership.NodeID) error {
	return b.set(t, id, false)
}

// lessor gives leases of 20 ms that nobody can renew below the term it knows.
type lessor struct{ c *cluster }

func (l lessor) Expire(_ context.Context, t leadership.Term, leader leadership.NodeID) (time.Duration, error) {
	l.c.s.mu.Lock()
	defer l.c.s.mu.Unlock()
	if old := l.c.leases[leader]; t.Less(old.term) {
		return 0, &leadership.StaleTermError{Node: leader, Asked: t, Promised: old.term}
	}
	l.c.leases[leader] = leaseEnd{at: time.Now().Add(20 * time.Millisecond), term: t}
	return 20 * time.Millisecond, nil
}

// mechanisms returns every mechanism, each with what it needs beside it to be
// sufficient in a cluster of three.
func (c *cluster) mechanisms(p *proc, iso *revoke.Isolate) (map[string]revoke.Revoker, error) {
	nodes := map[leadership.NodeID]revoke.Promiser{}
	leaders := map[leadership.NodeID]revoke.StepDowner{}
	for _, b := range c.bundle(p) {
		nodes[b.ID], leaders[b.ID] = b.Promise, b.StepDown
	}
	opt := revoke.Options{Retry: 10 * time.Millisecond}
	push, e1 := revoke.NewProposal(nodes, opt)
	fence, e2 := revoke.NewFence(nodes, opt)
	source, e3 := revoke.NewSource(nodes, opt)
	step, e4 := revoke.NewStepDown(leaders)
	lease, e5 := revoke.NewLease(lessor{c}, 0)
	then, e6 := revoke.Then(revoke.Stage{Revoker: step, Bound: 100 * time.Millisecond}, revoke.Stage{Revoker: push})
	cut, e7 := revoke.Then(revoke.Stage{Revoker: iso}, revoke.Stage{Revoker: fence})
	expire, e8 := revoke.Together(lease, fence)
	return map[string]revoke.Revoker{
		"proposal": push, "fence": fence, "source": source, "stepdown": then, "isolate": cut, "lease": expire,
	}, errors.Join(e1, e2, e3, e4, e5, e6, e7, e8)
}

// mixed runs one round after the other, each with another mechanism, with
// writes and a crash in between.
func mixed(kind traits, order []string, crash int) error {
	s := newSim(1, faults{})
	defer s.close()
	c := newCluster(s, repeat(kind, 3), leadership.Majority())
	if err := c.bootstrap(); err != nil {
		return err
	}
	p := s.proc("c1")
	p.control = true
	iso, err := revoke.NewIsolate(&breaker{c, map[leadership.NodeID]leadership.Term{}, map[leadership.NodeID]bool{}}, remoteRegistry{p, c}, "c1", nil)
	if err != nil {
		return err
	}
	all, err := c.mechanisms(p, iso)
	if err != nil {
		return err
	}
	g := c.guard(p, func(cfg *reparent.Config) { cfg.Isolate = iso })
	client := s.proc("client")
	for round, name := range order {
		var rep *reparent.Report
		var rerr error
		err := c.do(func() {
			leader := c.leaderOf()
			if leader == "" {
				leader = "n1"
			}
			for range 2 {
				_ = c.write(context.Background(), client, leader)
			}
			change := reparent.Emergency()
			change.Revoke = all[name]
			rep, rerr = g.Run(context.Background(), change)
		})
		switch {
		case err != nil:
			return fmt.Errorf("round %d, %s: %w", round, name, err)
		case rerr != nil:
			return fmt.Errorf("round %d, %s: %w\n%s", round, name, rerr, rep)
		}
		if crash == round {
			for _, id := range c.ids {
				if n := c.nodes[id]; id != rep.To && !n.p.cut {
					n.p.crash()
					n.p.restart()
					break
				}
			}
		}
		if err := c.do(func() { _, _ = g.Sweep(context.Background()) }); err != nil {
			return fmt.Errorf("sweep after round %d, %s: %w", round, name, err)
		}
		for _, id := range c.ids {
			if c.nodes[id].p.cut {
				return fmt.Errorf("after round %d, %s: %s was not released by the sweep", round, name, id)
			}
		}
	}
	leader, err := c.heal("healer")
	if err == nil {
		err = c.verify(leader)
	}
	return err
}

func TestG6_AnyMechanismMayFollowAnyOtherInAnyOrderOfRounds(t *testing.T) {
	names := []string{"fence", "isolate", "lease", "proposal", "source", "stepdown"}
	var orders [][]string
	for _, a := range names {
		for _, b := range names {
			orders = append(orders, []string{a, b})
			for _, c := range names {
				orders = append(orders, []string{a, b, c})
			}
		}
	}
	kinds := map[string]traits{"log": logTraits, "mariadb": mariadbTraits, "postgres": pgTraits}
	for _, kname := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(kname, func(t *testing.T) {
			t.Parallel()
			for _, order := range orders {
				for crash := range len(order) + 1 {
					if len(order) == 3 && (crash != 1 || slower > 1) {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						if err := mixed(kinds[kname], order, crash); err != nil {
							t.Fatalf("%s, crash after round %d: %v", strings.Join(order, " then "), crash, err)
						}
					})
				}
			}
			t.Logf("%d orders of rounds, each pair with a crash after every round and without", len(orders))
		})
	}
}
