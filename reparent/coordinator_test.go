package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// killed runs one change whose coordinator dies at its k-th message, on the
// quiet schedule, and reports whether the change got that far.
func killed(kind traits, change func() reparent.Change, k int, emergency, routers bool) (reached bool, err error) {
	s := newSim(1, faults{})
	defer s.close()
	c := newCluster(s, repeat(kind, 3), leadership.Majority())
	if err := c.bootstrap(); err != nil {
		return false, err
	}
	client := s.proc("client")
	if err := c.do(func() {
		for range 3 {
			_ = c.write(context.Background(), client, "n1")
		}
	}); err != nil {
		return false, err
	}
	if emergency {
		c.nodes["n1"].p.crash()
	}
	if routers {
		c.barrier = &leadership.MemoryBarrier{}
		c.router("r1")
		slow := c.router("r2") // the coordinator does wait
		slow.inFlight.Store(1)
		time.AfterFunc(50*time.Millisecond, func() { slow.inFlight.Store(0) })
	}
	p := s.proc("c1")
	p.dieAt = k
	if err := c.do(func() { _, _ = c.guard(p, nil).Run(context.Background(), change()) }); err != nil {
		return false, fmt.Errorf("killed at %d: %w\n%s", k, err, s.tail(40))
	}
	if p.life.Err() == nil {
		return false, nil
	}
	// A router shares nothing with the coordinator. Whatever step that died
	// in, Decide must not hold for longer than HoldFor; and when a node leads
	// and nobody was revoked, a probe of where it points must succeed.
	router := s.proc("router")
	var routed error
	if err := c.do(func() { routed = c.route(router) }); err != nil {
		return true, fmt.Errorf("killed at %d: router: %w", k, err)
	}
	if leader := c.leaderOf(); leader != "" && routed != nil {
		return true, fmt.Errorf("killed at %d: %s is capable, and a router that only reads the record cannot write to it: %w\n%s", k, leader, routed, s.tail(40))
	}
	if emergency {
		c.nodes["n1"].p.restart()
	}
	leader, err := c.heal("c2")
	if err == nil {
		err = c.verify(leader)
	}
	if err != nil {
		return true, fmt.Errorf("killed at %d: %w\n%s", k, err, s.tail(40))
	}
	return true, nil
}

// route writes once, the way a router does: by Decide, from the record and what
// it was told, for at most two seconds.
func (c *cluster) route(p *proc) error {
	reg := remoteRegistry{p, c}
	start := time.Now()
	var held time.Time
	var refused leadership.Term
	target := leadership.Leadership{}
	var last error
	for time.Since(start) < 2*time.Second {
		rec, err := reg.Load(context.Background())
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
		last = c.write(context.Background(), p, target.Leader)
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
				if err := c.write(context.Background(), p, r.Leader); err == nil {
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
		"with routers": func() reparent.Change { return reparent.Planned("n2") },
		"emergency":    reparent.Emergency,
		"ruleset": func() reparent.Change {
			return reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}})
		},
	}
	for kname, kind := range map[string]traits{"log": logTraits, "mariadb": mariadbTraits, "postgres": pgTraits} {
		for cname, change := range changes {
			t.Run(kname+"/"+cname, func(t *testing.T) {
				t.Parallel()
				points := 0
				for k := range 400 {
					var reached bool
					synctest.Test(t, func(t *testing.T) {
						var err error
						if reached, err = killed(kind, change, k, cname == "emergency", cname == "with routers"); err != nil {
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
