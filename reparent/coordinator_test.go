package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// killed runs one change whose coordinator dies at its k-th message, on the
// quiet schedule, and reports whether the change got that far.
func killed(t *testing.T, c *cluster, change reparent.Change, k int, routers bool) (reached bool, err error) {
	for range 3 {
		_ = c.writes("n1")
	}
	emergency := change.Kind == leadership.KindEmergency
	if emergency {
		c.Crash("n1")
	}
	if routers {
		_, err := c.Router("r1")
		require.NoError(t, err)
		slow, err := c.Router("r2") // the coordinator does wait
		require.NoError(t, err)
		slow.Busy(true)
		time.AfterFunc(50*time.Millisecond, func() { slow.Busy(false) })
	}
	p := c.Process("c1")
	g := guard(t, p, nil)
	p.DieAt(k)
	if err := c.Do(func() { _, _ = p.Run(context.Background(), g, change) }); err != nil {
		return false, fmt.Errorf("killed at %d: %w", k, err)
	}
	if !p.Dead() {
		return false, nil
	}
	// A router shares nothing with the coordinator. Whatever step that died
	// in, Decide must not hold for longer than HoldFor; and when a node leads
	// and nobody was revoked, a probe of where it points must succeed.
	router := c.Process("router")
	var routed error
	if err := c.Do(func() { routed = c.route(router) }); err != nil {
		return true, fmt.Errorf("killed at %d: router: %w", k, err)
	}
	if leader := c.Leader(); leader != "" && routed != nil {
		return true, fmt.Errorf("killed at %d: %s is capable, and a router that only reads the record cannot write to it: %w", k, leader, routed)
	}
	if _, err := c.Heal("c2"); err != nil {
		return true, fmt.Errorf("killed at %d: %w", k, err)
	}
	return true, nil
}

// route writes once, the way a router does: by Decide, from the record and what
// it was told, for at most two seconds.
func (c *cluster) route(p *reparenttest.Process) error {
	start := time.Now()
	var held time.Time
	var refused leadership.Term
	target := leadership.Leadership{}
	var last error
	for time.Since(start) < 2*time.Second {
		rec, err := p.Registry.Load(context.Background())
		if err != nil {
			return err
		}
		since := time.Duration(0)
		if !held.IsZero() {
			since = time.Since(held)
		}
		d := rec.Decide(since, refused)
		if d.Verdict == leadership.Hold {
			if held.IsZero() {
				held = time.Now()
			}
			if since > rec.Intent.HoldFor && rec.Intent.Phase == leadership.Holding {
				return fmt.Errorf("held for %s, more than the intent's %s", since, rec.Intent.HoldFor)
			}
			wait(d.Wait)
			continue
		}
		if target.Term.Less(d.To.Term) {
			target = d.To
		}
		last = c.Append(context.Background(), target.Leader)
		var r *leadership.Refusal
		switch {
		case last == nil:
			return nil
		case errors.As(last, &r):
			if held.IsZero() {
				held = time.Now()
			}
			refused = leadership.MaxTerm(refused, r.Until)
			// Responses teach the leader, too: a hint is followed once.
			if r.Leader != "" && r.Leader != target.Leader {
				if err := c.Append(context.Background(), r.Leader); err == nil {
					return nil
				}
			}
			wait(20 * time.Millisecond)
		default:
			wait(20 * time.Millisecond)
		}
	}
	return fmt.Errorf("no write succeeded: %w", last)
}

func wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

func TestG5_ACoordinatorKilledBeforeOrAfterAnyCallDoesNoHarmAndAnotherFinishes(t *testing.T) {
	changes := map[string]func() reparent.Change{
		"planned": func() reparent.Change { return reparent.Planned("n2") },
		"refresh": reparent.Refresh,
		// Dead while it waits for routers, or just before or after.
		"with routers":      func() reparent.Change { return reparent.Planned("n2") },
		"led by the leader": func() reparent.Change { return led("n2") },
		"emergency":         reparent.Emergency,
		"ruleset": func() reparent.Change {
			return reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}})
		},
	}
	for kname, kind := range kinds() {
		for cname, change := range changes {
			if cname == "led by the leader" && kname != "log" {
				continue // the others offer no HandOver
			}
			t.Run(kname+"/"+cname, func(t *testing.T) {
				t.Parallel()
				points := 0
				for k := range 400 {
					var reached bool
					inSim(t, kind, func(t *testing.T, c *cluster) {
						var err error
						if reached, err = killed(t, c, change(), k, cname == "with routers"); err != nil {
							t.Fatal(err)
						}
					})
					if !reached {
						break
					}
					points++
				}
				if points < 20 || points >= 400 {
					t.Errorf("killed at %d points: that is not every one", points)
				}
				t.Logf("killed at each of %d points", points)
			})
		}
	}
}
