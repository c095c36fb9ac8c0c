package reparenttest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// plain reports whether h is one of simulated stores as they are: only of them
// is it known what a change comes to, and how they name their writes.
func (h Harness) plain() bool { return h.Name == "store" && h.Revoke == nil && h.Establish == nil }

// script is a scenario being played. Its methods are called by the scheduler,
// between two steps; those that wait take steps. The first thing that goes
// wrong ends the script.
type script struct {
	*world
	variant int
	// quiet: as written, on simulated stores, where more can be demanded than
	// in any order and of any nodes.
	quiet   bool
	stopped error
	writers int
}

// stop is what a script that ended early panics with.
type stop struct{}

func (s *script) play(sc scenario) error {
	if err := s.start(sc.mode); err != nil {
		return err
	}
	for _, host := range s.hosts {
		host.proc.CanCrash = true // so that healing restarts it
	}
	s.regProc.CanCrash = true
	s.tell(sc.script)
	if s.stopped != nil || sc.unhealed {
		return s.stopped
	}
	leader, err := s.heal("healer")
	if err == nil {
		err = s.verify(leader)
	}
	return err
}

func (s *script) tell(f func(*script)) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(stop); !ok {
				panic(r)
			}
		}
	}()
	f(s)
}

// none is the mode of a cluster that nobody bootstrapped.
const none leadership.Mode = "none"

// start makes n1 leader.
func (s *script) start(mode leadership.Mode) error {
	if mode == none {
		return nil
	}
	f := s.sim.Allowed()
	s.sim.Allow(stepsim.Faults{Scripted: true})
	defer s.sim.Allow(f)
	_, g, err := s.world.coordinator("boot", nil)
	if err != nil {
		return err
	}
	c := reparent.Bootstrap(s.ruleset, s.ids[0])
	c.Mode, s.mode = mode, mode
	var rep *reparent.Report
	if err := s.sim.Do(maxSteps, func() { rep = s.run(g, c) }); err != nil {
		return err
	}
	return rep.Err
}

func (s *script) fail(format string, args ...any) {
	s.stopped = &Violation{Name: "scenario", Says: fmt.Sprintf(format, args...)}
	panic(stop{})
}

// demand ends the script unless ok.
func (s *script) demand(ok bool, format string, args ...any) {
	if !ok {
		s.fail(format, args...)
	}
}

// patience of a script, in simulated time.
const scriptWaits = 6 * time.Second

// reach takes steps until cond holds, and reports false when it does not come
// to hold. cond is asked when nothing runs.
func (s *script) reach(cond func() bool) bool {
	start, held := time.Now(), false
	err := s.sim.Run(maxSteps, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		held = cond()
		return held || time.Since(start) > scriptWaits
	})
	if err != nil {
		s.stopped = err
		panic(stop{})
	}
	return held
}

// until is reach for what must come to hold when the script goes as written.
func (s *script) until(what string, cond func() bool) bool {
	ok := s.reach(cond)
	if s.quiet {
		s.demand(ok, "the script waited in vain for this: %s", what)
	}
	return ok
}

// let lets time pass.
func (s *script) let(d time.Duration) {
	start := time.Now()
	s.reach(func() bool { return time.Since(start) >= d })
}

// waits takes steps until an event that is held matches.
func (s *script) waits(pattern string) bool {
	return s.until(pattern, func() bool { return s.sim.Waiting(pattern) > 0 })
}

// hold keeps events back; see stepsim for patterns.
func (s *script) hold(patterns ...string) {
	for _, p := range patterns {
		s.sim.Hold(p)
	}
}

func (s *script) free(patterns ...string) { s.sim.Free(patterns...) }

func (s *script) crash(id leadership.NodeID)   { s.hosts[id].proc.Crash() }
func (s *script) restart(id leadership.NodeID) { s.hosts[id].proc.Restart() }

// apart cuts a host off from processes, or from all.
func (s *script) apart(id leadership.NodeID, from ...*stepsim.Proc) {
	s.sim.Isolate(s.hosts[id].proc, from...)
}

func (s *script) rejoin(id leadership.NodeID) { s.sim.Rejoin(s.hosts[id].proc) }

// procs returns the processes of nodes.
func (s *script) procs(ids ...leadership.NodeID) (ps []*stepsim.Proc) {
	for _, id := range ids {
		ps = append(ps, s.hosts[id].proc)
	}
	return ps
}

// actor is a coordinator of a script.
type actor struct {
	s *script
	p *stepsim.Proc
	g *reparent.Guard
}

func (s *script) coordinator(name string) *actor { return s.coordinatorWith(name, nil) }

func (s *script) coordinatorWith(name string, edit func(*reparent.Config)) *actor {
	p, g, err := s.world.coordinator(name, edit)
	if err != nil {
		s.stopped = err
		panic(stop{})
	}
	return &actor{s, p, g}
}

// deed is something that goes on beside the script.
type deed struct {
	s    *script
	name string
	over bool
	err  error
	rep  *reparent.Report
	// value is what a write writes.
	value uint64
}

// begin runs a change beside the script.
func (a *actor) begin(c reparent.Change) *deed {
	d := &deed{s: a.s, name: a.p.Name}
	a.s.sim.Go(func() {
		rep := a.s.run(a.g, c)
		a.s.mu.Lock()
		defer a.s.mu.Unlock()
		d.rep, d.err, d.over = rep, rep.Err, true
	})
	return d
}

// do runs a change to its end.
func (a *actor) do(c reparent.Change) *deed { return a.begin(c).wait() }

// die kills the coordinator.
func (a *actor) die() { a.p.Crash() }

// wait takes steps until it is over.
func (d *deed) wait() *deed {
	if !d.s.reach(func() bool { return d.over }) {
		d.s.fail("%s is not over after %v", d.name, scriptWaits)
	}
	return d
}

// ends waits and demands one of these outcomes, when the script goes as
// written.
func (d *deed) ends(outcomes ...reparent.Outcome) *deed {
	d.wait()
	if d.s.quiet {
		d.s.demand(slices.Contains(outcomes, d.rep.Outcome), "%s ended %s, want %v\n%s", d.name, d.rep.Outcome, outcomes, d.rep)
	}
	return d
}

// never waits and demands, in any order, that it did not end so.
func (d *deed) never(o reparent.Outcome) *deed {
	d.wait()
	d.s.demand(d.rep.Outcome != o, "%s ended %s\n%s", d.name, o, d.rep)
	return d
}

// write begins a client's write at a node.
func (s *script) write(id leadership.NodeID) *deed {
	s.writers++
	p := s.sim.Proc(fmt.Sprintf("writer%d", s.writers))
	p.Client = true
	d := &deed{s: s, name: p.Name, value: valueOf(p, 1)}
	s.sim.Go(func() {
		err := s.append(context.Background(), p, id)
		s.mu.Lock()
		defer s.mu.Unlock()
		d.err, d.over = err, true
	})
	return d
}

// reads begins a client's read at a node.
func (s *script) reads(id leadership.NodeID) *deed {
	s.writers++
	p := s.sim.Proc(fmt.Sprintf("reader%d", s.writers))
	p.Client = true
	d := &deed{s: s, name: p.Name}
	s.sim.Go(func() {
		err := s.read(context.Background(), p, id)
		s.mu.Lock()
		defer s.mu.Unlock()
		d.err, d.over = err, true
	})
	return d
}

// wrote makes writes at a node and demands, as written, that they succeed.
func (s *script) wrote(id leadership.NodeID, times int) {
	for range times {
		d := s.write(id).wait()
		if s.quiet {
			s.demand(d.err == nil, "a write at %s failed: %v", id, d.err)
		}
	}
}

// ask runs f, which calls nodes directly, beside the script.
func (s *script) ask(name string, f func(ctx context.Context, p *Process) error) *deed {
	s.writers++
	p := s.sim.Proc(fmt.Sprintf("%s%d", name, s.writers))
	view := s.process(p)
	d := &deed{s: s, name: p.Name}
	s.sim.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
		defer cancel()
		err := f(ctx, view)
		s.mu.Lock()
		defer s.mu.Unlock()
		d.err, d.over = err, true
	})
	return d
}

// leader is the newest leadership that was granted.
func (s *script) leader() leadership.Leadership {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l leadership.Leadership
	for _, g := range s.grants {
		if l.Term.Less(g.Term) {
			l = g
		}
	}
	return l
}

// facts is what there is to see of a node.
func (s *script) facts(id leadership.NodeID) Facts {
	if n := s.hosts[id].node.Inspect; n != nil {
		return n.Facts()
	}
	return Facts{}
}

// has reports whether the log of a node holds what is written. Of nodes that
// cannot be looked at it is not known.
func (s *script) has(id leadership.NodeID, w *deed) bool {
	return slices.ContainsFunc(s.facts(id).Log, func(e Entry) bool { return e.Value == w.value })
}

// left reports whether nodes promised more than a term.
func (s *script) left(t leadership.Term, ids ...leadership.NodeID) bool {
	return !slices.ContainsFunc(ids, func(id leadership.NodeID) bool { return !t.Less(s.facts(id).Promised) })
}

// granted counts grants.
func (s *script) granted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.grants)
}

// seen counts events of a kind.
func (s *script) seen(k EventKind) int { return s.counts[string(k)] }

// high is a term that no coordinator would take.
func high(num uint64) leadership.Term { return leadership.Term{Num: num, Proposer: "other"} }
