package reparent_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/race"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// mechanisms returns every mechanism, each with what it needs beside it to be
// sufficient in a cluster of three.
func mechanisms(p *reparenttest.Process, iso *revoke.Isolate) (map[string]revoke.Revoker, error) {
	nodes := p.Promisers()
	opt := revoke.Options{Retry: 10 * time.Millisecond}
	push, e1 := revoke.NewProposal(nodes, opt)
	fence, e2 := revoke.NewFence(nodes, opt)
	source, e3 := revoke.NewSource(nodes, opt)
	step, e4 := revoke.NewStepDown(p.StepDowners())
	lease, e5 := revoke.NewLease(p.Lessor(), 0.05)
	then, e6 := revoke.Then(revoke.Stage{Revoker: step, Bound: 100 * time.Millisecond}, revoke.Stage{Revoker: push})
	cut, e7 := revoke.Then(revoke.Stage{Revoker: iso}, revoke.Stage{Revoker: fence})
	expire, e8 := revoke.Together(lease, fence)
	return map[string]revoke.Revoker{
		"proposal": push, "fence": fence, "source": source, "stepdown": then, "isolate": cut, "lease": expire,
	}, errors.Join(e1, e2, e3, e4, e5, e6, e7, e8)
}

// handOver stands for a planned change that the leader leads itself.
const handOver = "handover"

// other is a node that does not lead.
func (c *cluster) other(leader leadership.NodeID) leadership.NodeID {
	ids := c.IDs()
	return ids[(slices.Index(ids, leader)+1)%len(ids)]
}

// mixed runs one round after the other, each with another mechanism, with
// writes and a crash in between.
func mixed(t *testing.T, c *cluster, order []string, crash int) error {
	p := c.Process("c1")
	iso, err := revoke.NewIsolate(p.Isolator(), p.Registry, "c1", nil)
	require.NoError(t, err)
	all, err := mechanisms(p, iso)
	require.NoError(t, err)
	g := guard(t, p, func(cfg *reparent.Config) { cfg.Isolate = iso })
	for round, name := range order {
		leader := c.Leader()
		if leader == "" {
			leader = "n1"
		}
		for range 2 {
			_ = c.writes(leader)
		}
		change := reparent.Emergency()
		if change.Revoke = all[name]; name == handOver {
			change = led(c.other(leader))
		}
		rep, err := c.run(p, g, change)
		if err != nil {
			return fmt.Errorf("round %d, %s: %w\n%s", round, name, err, rep)
		}
		if crash == round {
			for _, id := range c.IDs() {
				if id != rep.To && !c.Isolated(id) {
					c.Crash(id)
					c.Restart(id)
					break
				}
			}
		}
		_, _ = c.sweep(g)
		for _, id := range c.IDs() {
			if c.Isolated(id) {
				return fmt.Errorf("after round %d, %s: %s was not released by the sweep", round, name, id)
			}
		}
	}
	_, err = c.Heal("healer")
	return err
}

func TestG6_AnyMechanismMayFollowAnyOtherInAnyOrderOfRounds(t *testing.T) {
	kinds := kinds()
	for _, kname := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(kname, func(t *testing.T) {
			t.Parallel()
			names := []string{"fence", "isolate", "lease", "proposal", "source", "stepdown"}
			if kname == "log" { // the others offer none
				names = append(names, handOver)
			}
			var orders [][]string
			for _, a := range names {
				for _, b := range names {
					orders = append(orders, []string{a, b})
					for _, c := range names {
						orders = append(orders, []string{a, b, c})
					}
				}
			}
			for _, order := range orders {
				for crash := range len(order) + 1 {
					if len(order) == 3 && (crash != 1 || race.Enabled) {
						continue
					}
					inSim(t, kinds[kname], func(t *testing.T, c *cluster) {
						if err := mixed(t, c, order, crash); err != nil {
							t.Fatalf("%s, crash after round %d: %v", strings.Join(order, " then "), crash, err)
						}
					})
				}
			}
			t.Logf("%d orders of rounds, each pair with a crash after every round and without", len(orders))
		})
	}
}
