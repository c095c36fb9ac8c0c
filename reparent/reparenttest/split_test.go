package reparenttest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// split cuts the links between nodes of different groups. Coordinators and clients
// reach all.
func (c *Cluster) split(groups ...[]leadership.NodeID) {
	for _, g := range groups {
		for _, id := range g {
			for _, o := range c.IDs() {
				if !slices.Contains(g, o) {
					c.w.sim.Isolate(c.w.hosts[id].proc, c.w.hosts[o].proc)
				}
			}
		}
	}
}

// Of five nodes three or four reach each other. Whoever they are, whether the
// others reach each other, and whether an entry of n1 is on its side only: one of
// them leads after two emergencies by one guard, and after three when no guard knows
// of what failed before.
func TestG5_AMajorityThatReachesEachOtherIsFound(t *testing.T) {
	t.Parallel()
	ids := []leadership.NodeID{"n1", "n2", "n3", "n4", "n5"}
	for name, h := range map[string]Harness{"log": LogStore(), "mariadb": MariaDBLike(), "postgres": PostgreSQLLike()} {
		for set := range 1 << len(ids) {
			var in, out []leadership.NodeID
			for i, id := range ids {
				if set>>i&1 != 0 {
					in = append(in, id)
				} else {
					out = append(out, id)
				}
			}
			if len(in) < 3 || len(out) == 0 {
				continue
			}
			groups := map[string][][]leadership.NodeID{"together": {in, out}}
			if len(out) == 2 {
				groups["apart"] = [][]leadership.NodeID{in, out[:1], out[1:]}
			}
			for how, gs := range groups {
				for _, flight := range []bool{false, true} {
					for _, fresh := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s/%v %s/in flight %v/other guards %v", name, out, how, flight, fresh), func(t *testing.T) {
							Direct(t, h, Setup{Nodes: len(ids)}, func(t *testing.T, c *Cluster) {
								finds(t, c, gs, in, flight, fresh)
							})
						})
					}
				}
			}
		}
	}
}

func finds(t *testing.T, c *Cluster, groups [][]leadership.NodeID, in []leadership.NodeID, flight, fresh bool) {
	ctx := context.Background()
	do := func(f func() error) (err error) {
		if derr := c.Do(func() { err = f() }); derr != nil {
			t.Fatal(derr)
		}
		return err
	}
	if err := do(func() error { return c.Append(ctx, "n1") }); err != nil {
		t.Fatal(err)
	}
	_ = do(func() error { <-time.After(time.Second); return nil }) // all have it
	c.split(groups...)
	if flight {
		_ = do(func() error { return c.Append(ctx, "n1") })
	}
	var said []string
	var p *Process
	var g *reparent.Guard
	tries := 2
	if fresh {
		tries = 3
	}
	for try := range tries {
		if p == nil || fresh {
			var err error
			p = c.Process(fmt.Sprintf("c%d", try))
			if g, err = p.Guard(nil); err != nil {
				t.Fatal(err)
			}
		}
		var rep *reparent.Report
		err := do(func() (err error) {
			rep, err = p.Run(ctx, g, reparent.Emergency())
			return err
		})
		if lead := rep.Leader(); lead != "" {
			if !slices.Contains(in, lead) {
				t.Errorf("%s leads, of the fewer", lead)
			}
			if err := do(func() error { return c.Append(ctx, lead) }); err != nil {
				t.Errorf("%s leads: %v", lead, err)
			}
			return
		}
		said = append(said, fmt.Sprintf("%s: %v", rep, err))
	}
	t.Errorf("%d emergencies failed: %q", len(said), said)
}
