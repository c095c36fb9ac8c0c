package reparenttest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Shape is what a run is made of, drawn from its seed. The schedule is not part
// of it: that is the chooser's.
type shape struct {
	size    int
	policy  leadership.Policy
	faults  stepsim.Faults
	plans   [][]reparent.Change // per coordinator
	dieAt   []int               // per coordinator
	clients []clientShape
	reforms bool
	regDies bool
}

type clientShape struct {
	bound leadership.NodeID
	hunts bool
	reads bool
	ops   int
}

// draw makes the shape of a seed.
func (h Harness) draw(seed uint64, f Features) shape {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := shape{size: 3, policy: h.policy()}
	if h.Policy == nil {
		switch rng.IntN(4) {
		case 0:
			s.size, s.policy = 4, leadership.AtLeast(2)
		case 1:
			s.size, s.policy = 4, leadership.AtLeast(3)
		case 2:
			s.size = 5
		}
	}
	if f.Nodes > 0 {
		s.size = f.Nodes
	}
	s.faults = f.faults(rng)
	// Some policies cannot do without any node.
	s.reforms = h.Policy == nil && seed%3 == 0 && s.faults.Lose == 0
	s.regDies = seed%2 == 0
	id := func() leadership.NodeID { return nodeID(rng.IntN(s.size)) }
	changes := 2 + rng.IntN(2)
	for range 2 {
		die := -1
		if f.Crash && rng.IntN(3) == 0 {
			die = rng.IntN(60)
		}
		s.dieAt = append(s.dieAt, die)
		var plan []reparent.Change
		for range changes {
			kinds := 5
			if s.reforms {
				kinds = 7
			}
			var c reparent.Change
			switch rng.IntN(kinds) {
			case 0, 1:
				c = reparent.Planned(id())
				c.Force = rng.IntN(2) == 0
			case 2:
				c = reparent.Refresh()
			case 3:
				c = reparent.Resume()
			case 4:
				c = reparent.Emergency()
			default:
				policies := []string{"majority", "all", "at-least(2)", "at-least(3)"}
				c = reparent.SetRuleset(leadership.Ruleset{Policy: policies[rng.IntN(len(policies))]})
			}
			plan = append(plan, c)
		}
		s.plans = append(s.plans, plan)
	}
	for range 2 {
		s.clients = append(s.clients, clientShape{bound: id(), hunts: rng.IntN(2) == 0, reads: rng.IntN(2) == 0, ops: 10})
	}
	return s
}

// chaos is one random run: rival coordinators, clients bound to nodes, faults;
// then all faults end and a fresh coordinator must bring the cluster back.
func (h Harness) chaos(seed uint64, chooser stepsim.Chooser, f Features, tally *tally, show bool) (sim *stepsim.Sim, w *World, err error) {
	sh := h.draw(seed, f)
	sim = stepsim.New(chooser, sh.faults)
	defer sim.Close()
	w, err = newWorld(sim, h, sh.size, sh.policy)
	if err != nil {
		return sim, w, err
	}
	w.show = show
	if err := w.bootstrap(); err != nil {
		return sim, w, err
	}
	w.reforms = sh.reforms
	for _, host := range w.hosts {
		host.proc.CanCrash, host.proc.CanPause, host.proc.CanCut, host.proc.CanSkew = f.Crash, f.Pause, f.Partition, f.Clock
		host.proc.CanLose = f.Loss
	}
	w.regProc.CanCrash = f.Crash && sh.regDies
	var wg sync.WaitGroup
	for k, plan := range sh.plans {
		p, g, err := w.coordinator("c"+strconv.Itoa(k), nil)
		if err != nil {
			return sim, w, err
		}
		p.DieAt, p.CanPause = sh.dieAt[k], f.Pause
		for i := range plan {
			if plan[i].Kind == leadership.KindRuleset {
				rs := leadership.Ruleset{Policy: plan[i].Ruleset.Policy, Members: w.ruleset.Members}
				plan[i].Ruleset = &rs
			}
		}
		wg.Go(func() { w.coordinate(p, g, plan) })
	}
	for k, c := range sh.clients {
		p := sim.Proc("client" + strconv.Itoa(k))
		p.Client = true
		wg.Go(func() { w.client(p, c) })
	}
	if err := sim.Do(maxSteps, wg.Wait); err != nil {
		return sim, w, err
	}
	leader, err := w.heal("healer")
	if err == nil {
		err = w.verify(leader)
	}
	tally.add(w)
	return sim, w, err
}

func (w *World) coordinate(p *stepsim.Proc, g *reparent.Guard, plan []reparent.Change) {
	for _, c := range plan {
		rep := w.run(g, c)
		w.note(rep, p.Life().Err() != nil)
		if p.Life().Err() != nil {
			return
		}
	}
}

func (w *World) note(rep *reparent.Report, dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["outcome "+string(rep.Outcome)]++
	var unsaved *reparent.UnsavedError
	if errors.As(rep.Err, &unsaved) || slices.ContainsFunc(rep.Notes, func(n string) bool { return strings.Contains(n, "without it") }) {
		w.counts["without the registry"]++
	}
	if rep.Kind == leadership.KindRuleset && rep.Outcome == reparent.Done {
		w.counts["ruleset changed"]++
	}
	if rep.Undo != nil {
		w.counts["undo"]++
	}
	if dead {
		w.counts["coordinator killed"]++
	}
}

func (w *World) client(p *stepsim.Proc, c clientShape) {
	at := c.bound
	for i := range c.ops {
		var err error
		if c.reads && i%3 == 2 {
			err = w.read(context.Background(), p, at)
		} else {
			err = w.append(context.Background(), p, at)
		}
		var r *leadership.Refusal
		switch {
		case c.hunts && errors.As(err, &r) && r.Leader != "":
			at = r.Leader
		case err != nil:
			t := time.NewTimer(5 * time.Millisecond)
			select {
			case <-t.C:
			case <-p.Life().Done():
				t.Stop()
			}
		}
	}
}
