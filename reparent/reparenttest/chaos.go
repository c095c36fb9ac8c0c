package reparenttest

import (
	"cmp"
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
	size    int // hosts
	few     int // how many of them are members at first; 0: all
	policy  leadership.Policy
	faults  stepsim.Faults
	plans   [][]move // per coordinator
	dieAt   []int    // per coordinator
	clients []clientShape
	routers int
	quiet   bool // two more routers are at a barrier
	mode    leadership.Mode
	calm    bool // planned changes only, and no fault: clients of routers get no error
	reforms bool
	cohort  *rand.Rand // of who is a member, apart from the rest of the shape; nil: all always are
	alone   bool       // a ruleset may have one member
	regDies bool
	zombie  bool // the first leader is cut from all but clients
	sleeper bool // and acknowledgements reach it only after it was replaced
	waits   []time.Duration
}

// clientShape is a client: bound to a node, so that one that was replaced is
// asked too, or hunting for the leader; its operations spread in time, so that
// changes of leader come between them.
type clientShape struct {
	bound leadership.NodeID
	hunts bool
	shuns leadership.NodeID // whom it never turns to when it hunts
	reads int               // every so many operations, 0 for never
	ops   int
	pause []time.Duration
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
	s.drawCohort(seed, h, f)
	id := func() leadership.NodeID { return nodeID(rng.IntN(s.size)) }
	changes := 2 + rng.IntN(2)
	mixed := h.mixed(f)
	for range 2 {
		die := -1
		if f.Crash && rng.IntN(3) == 0 {
			die = rng.IntN(60)
		}
		s.dieAt = append(s.dieAt, die)
		var plan []move
		for range changes {
			m := s.drawMove(rng, mixed)
			s.drawMembers(&m)
			plan = append(plan, m)
		}
		s.plans = append(s.plans, plan)
	}
	if s.zombie = f.Partition && rng.IntN(8) == 0; s.zombie {
		s.plans[0][0] = move{change: reparent.Emergency(), by: ownMechanism}
		s.sleeper = rng.IntN(2) == 0
	}
	for range 4 {
		s.waits = append(s.waits, time.Duration(rng.IntN(4)*rng.IntN(40))*time.Millisecond+3*time.Microsecond)
	}
	if s.sleeper {
		s.waits[0] = 0
	}
	for k := range 2 {
		c := clientShape{bound: id(), hunts: rng.IntN(2) == 0, reads: rng.IntN(4), ops: 6 + rng.IntN(8)}
		slow := 0
		if s.zombie {
			// One writes to whoever else leads, one asks the leader that was.
			c = clientShape{bound: nodeID(1 - k), hunts: k == 0, shuns: nodeID(0), ops: 25, reads: 24 * k}
			slow = 20
		}
		for range 4 {
			c.pause = append(c.pause, time.Duration(slow+rng.IntN(3)*rng.IntN(20))*time.Millisecond)
		}
		s.clients = append(s.clients, c)
	}
	if rng.IntN(3) == 0 {
		s.mode = leadership.Shortcut
	}
	// A client of its own, or one behind a router.
	if s.routers = rng.IntN(3); s.zombie {
		s.routers = 0
	} else if s.routers > 0 {
		s.clients = s.clients[1:]
	}
	if s.quiet = seed%5 == 4; h.reshape != nil {
		s.quiet = false
		h.reshape(seed, &s)
	}
	return s
}

// chaos is one random run: rival coordinators, clients bound to nodes, faults;
// then all faults end and a fresh coordinator must bring the cluster back.
func (h Harness) chaos(seed uint64, chooser stepsim.Chooser, f Features, tally *tally, show bool) (sim *stepsim.Sim, w *world, err error) {
	sh := h.draw(seed, f)
	sim = stepsim.New(chooser, sh.faults)
	sim.Shake = h.shake
	defer sim.Close()
	w, err = newWorldOf(sim, h, sh.size, cmp.Or(sh.few, sh.size), sh.policy)
	if err != nil {
		return sim, w, err
	}
	w.show, w.mode, w.joins = show, sh.mode, sh.few > 0
	if err := w.bootstrap(); err != nil {
		return sim, w, err
	}
	w.reforms = sh.reforms
	if sh.quiet {
		for k := range 2 {
			r, err := w.barrierRouter("quiet" + strconv.Itoa(k))
			if err != nil {
				return sim, w, err
			}
			r.p.CanCrash = f.Crash
		}
	}
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
			if c := &plan[i].change; c.Kind == leadership.KindRuleset {
				rs := w.members(*c.Ruleset)
				c.Ruleset = &rs
			}
		}
		wg.Go(func() { w.coordinate(p, g, plan, sh.waits[2*(k%2):]) })
	}
	for k, c := range sh.clients {
		p := sim.Proc("client" + strconv.Itoa(k))
		p.Client = true
		wg.Go(func() { w.client(p, c) })
	}
	switch {
	case sh.sleeper:
		w.sleep()
	case sh.zombie:
		sim.CutOff(w.hosts[w.ids[0]].proc)
	}
	if sh.routers > 0 {
		r, err := w.router("router")
		if err != nil {
			return sim, w, err
		}
		r.p.CanPause, r.p.CanCut = f.Pause, f.Partition
		ops := 5
		if sh.calm {
			ops = 30
		}
		r.clients(&wg, sh.routers, ops, sh.calm)
	}
	if err := sim.Do(maxSteps, wg.Wait); err != nil {
		return sim, w, err
	}
	if sh.calm {
		if err := w.painless(); err != nil {
			return sim, w, err
		}
	}
	leader, err := w.heal("healer")
	switch {
	case errors.Is(err, errShort):
		w.count("more was lost than the policy allows for")
		err = w.truthful()
	case err == nil:
		err = w.verify(leader)
	}
	w.pairs()
	tally.add(w)
	return sim, w, err
}

// sleep keeps from the first leader, until it is replaced, that it is, and that
// what it wrote is durable.
func (w *world) sleep() {
	id := w.ids[0]
	for _, p := range w.sim.Procs() {
		if !p.Peer && !p.Client {
			w.sim.Cut(p, w.hosts[id].proc)
			w.sim.Cut(w.hosts[id].proc, p)
		}
	}
	w.sim.Hold("rep *>" + string(id) + " entries")
	w.sim.Hold("req *>" + string(id) + " entries")
	w.asleep = true
}

func (w *world) coordinate(p *stepsim.Proc, g *reparent.Guard, plan []move, waits []time.Duration) {
	for i, m := range plan {
		w.nap(p, waits[i%2])
		rep := w.move(p, g, m)
		w.note(rep, p.Life().Err() != nil)
		if p.Life().Err() != nil {
			return
		}
	}
}

func (w *world) note(rep *reparent.Report, dead bool) {
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
	w.noteQuiet(rep)
	if rep.Undo != nil {
		w.counts["undo"]++
	}
	if dead {
		w.counts["coordinator killed"]++
	}
}

func (w *world) client(p *stepsim.Proc, c clientShape) {
	at := c.bound
	for i := range c.ops {
		var err error
		if c.reads > 0 && i%(c.reads+1) > 0 {
			err = w.read(context.Background(), p, at)
		} else {
			err = w.append(context.Background(), p, at)
		}
		pause := c.pause[i%len(c.pause)]
		if err != nil {
			pause += 5 * time.Millisecond
			if c.hunts {
				if at = w.next(at, err); at == c.shuns {
					at = w.next(at, nil)
				}
			}
		}
		w.nap(p, pause)
	}
}

// next is whom a client asks after at refused: whom it named, else another.
func (w *world) next(at leadership.NodeID, err error) leadership.NodeID {
	var r *leadership.Refusal
	if errors.As(err, &r) && r.Leader != "" && r.Leader != at {
		if _, ok := w.hosts[r.Leader]; ok {
			return r.Leader
		}
	}
	return w.ids[(w.index(at)+1)%len(w.ids)]
}

// nap waits, or for the end of the process. A fake timer orders nothing for the
// race detector; the lock, which every quiescent point takes, does.
func (w *world) nap(p *stepsim.Proc, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.Life().Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
}
