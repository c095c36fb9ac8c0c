package reparenttest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// pass makes so many runs, which must all pass.
func (h Harness) pass(t *testing.T, f Features, tl *tally, first, n uint64) {
	t.Helper()
	for seed := first; seed < first+n; seed++ {
		if got := h.once(t, seed, stepsim.Seed(seed, stepsim.Swarm(seed)), f, tl, false); got.err != nil {
			t.Fatalf("seed %d: %v", seed, got.err)
		}
	}
}

func mixedTraits() map[string]Traits {
	return map[string]Traits{"log": {}, "one call each": {OneCall: true}, "mariadb": mariadbTraits(), "postgres": postgresTraits()}
}

// mixing is a store of whose changes any two follow each other, whatever they are
// made by: which two is a matter of the seed.
func mixing(traits Traits) (h Harness, f Features, mixed []mechanism) {
	traits.Leased = true
	h, f = Store(traits), Features{Crash: true, Partition: true, Clock: true}
	mixed = h.mixed(f)
	h.reshape = func(seed uint64, s *shape) {
		a, b := mixed[int(seed)%len(mixed)], mixed[int(seed)/len(mixed)%len(mixed)]
		by := func(m mechanism) move { return move{change: reparent.Emergency(), by: m, sweeps: true} }
		if a == byHandOver || b == byHandOver || a == byRelay || b == byRelay {
			s.mode = leadership.Full           // else it is refused
			s.zombie, s.sleeper = false, false // the leader can be reached
		}
		s.plans, s.dieAt = [][]move{{by(a), by(b), by(a), by(a)}}, []int{-1}
		s.faults.Crash, s.faults.Drop, s.faults.Cut = min(s.faults.Crash, 1), min(s.faults.Drop, 1), min(s.faults.Cut, 1)
		if seed >= uint64(len(mixed)*len(mixed)) { // what faults kept from happening happens in peace
			s.faults = stepsim.Faults{Reorder: true}
		}
	}
	return h, f, mixed
}

func TestG6_AnyMechanismFollowsAnyOther(t *testing.T) {
	for name, traits := range mixedTraits() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, f, mixed := mixing(traits)
			tl := &tally{}
			all := uint64(len(mixed) * len(mixed))
			h.pass(t, f, tl, 0, all)
			for a := range mixed {
				for b := range mixed {
					if seed := uint64(b*len(mixed) + a); tl.mixes[[2]mechanism{mixed[a], mixed[b]}] == 0 {
						h.pass(t, f, tl, all+seed, 1)
					}
				}
			}
			reached, missing := tl.missingPairs(mixed)
			t.Logf("%d ordered pairs of mechanisms reached, not: %v", reached, missing)
			if want := len(mixed) * len(mixed); reached < want {
				t.Errorf("%d of %d ordered pairs were reached", reached, want)
			}
		})
	}
}

// directed runs play on a cluster of four of which two suffice, led by n1, on
// the quiet schedule.
func directed(t *testing.T, h Harness, play func(w *world, p *stepsim.Proc, g *reparent.Guard) error) (err error) {
	t.Helper()
	bubble(t, func() (got outcome) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		w, werr := newWorld(sim, h, 4, leadership.AtLeast(2))
		if err = werr; err != nil {
			return got
		}
		if err = w.bootstrap(); err != nil {
			return got
		}
		p, g, gerr := w.coordinator("c1", nil)
		if err = gerr; err == nil {
			err = play(w, p, g)
		}
		return got
	})
	return err
}

func TestG6_AnIsolatedNodeIsReleasedByItsPromiseOnly(t *testing.T) {
	t.Parallel()
	for _, hasty := range []bool{false, true} {
		h := LogStore()
		h.hastyRelease = hasty
		err := directed(t, h, func(w *world, p *stepsim.Proc, g *reparent.Guard) error {
			// The node that was only read, and the one that was isolated, hear
			// nothing of the new leader for a while.
			w.sim.Hold("req c1>n4 follow")
			w.sim.Hold("req c1>n1 follow")
			w.sim.Hold("req n2>n4")
			if err := w.sim.Do(maxSteps, func() {
				rep := w.move(p, g, move{change: reparent.Emergency(), by: byIsolation})
				w.note(rep, false)
				_ = sleep(p.Life(), p, 200*time.Millisecond)
			}); err != nil {
				return err
			}
			if n := w.counts[string(Isolated)]; n == 0 {
				t.Error("nobody was isolated")
			}
			w.sim.Free()
			leader, err := w.heal("healer")
			if err == nil {
				err = w.verify(leader)
			}
			return err
		})
		switch {
		case hasty && err == nil:
			t.Error("a node that was let go without a promise was not found")
		case !hasty && err != nil:
			t.Error(err)
		case hasty:
			t.Log(err)
		}
	}
}

func TestLeasesAtTheBoundOfTheClocks(t *testing.T) {
	t.Parallel()
	slow, fast := -int64(leaseRate*1e6), int64(leaseRate*1e6)
	for _, c := range []struct {
		name             string
		traits           Traits
		leader, follower int64 // how much faster their clocks are
		lag              time.Duration
		found            bool
	}{
		{name: "slow leader, fast follower", traits: Traits{LocalReads: true}, leader: slow, follower: fast},
		{name: "fast leader, slow follower", traits: Traits{LocalReads: true}, leader: fast, follower: slow},
		{name: "answers that take long", traits: Traits{LocalReads: true}, leader: slow, follower: fast, lag: 20 * time.Millisecond},
		{name: "no margin", traits: Traits{LocalReads: true, bugs: bugs{leaseNoMargin: true}}, leader: slow, follower: fast, found: true},
		{name: "no margin, and clocks that agree", traits: Traits{LocalReads: true, bugs: bugs{leaseNoMargin: true}}},
		{name: "counted from the reply", traits: Traits{LocalReads: true, bugs: bugs{leaseFromReply: true}}, lag: 20 * time.Millisecond, found: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Store(c.traits)
			if c.traits.bugs.leaseNoMargin {
				h.localReads = false // the coordinator adds none either
			}
			err := directed(t, h, func(w *world, _ *stepsim.Proc, g *reparent.Guard) error {
				return leaseRun(w, g, c.leader, c.follower, c.lag)
			})
			if (err != nil) != c.found {
				t.Errorf("got %v", err)
			}
			t.Log(err)
		})
	}
}

// leaseRun has n1 renew its lease and cuts it off from all but clients, who read
// there all the time while another leader is made.
func leaseRun(w *world, g *reparent.Guard, leader, follower int64, lag time.Duration) error {
	for i, id := range w.ids {
		ppm := follower
		if i == 0 {
			ppm = leader
		}
		w.hosts[id].proc.Skew(0, ppm)
	}
	old := w.hosts["n1"].proc
	reader, writer := w.sim.Proc("reader"), w.sim.Proc("writer")
	reader.Client, writer.Client = true, true
	// The answers to what renews the lease arrive late.
	w.sim.Hold("rep *>n1 entries")
	ctx := context.Background()
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.append(ctx, writer, "n1") })
	if err := w.sim.Do(maxSteps, func() { _ = sleep(ctx, writer, lag+time.Microsecond) }); err != nil {
		return err
	}
	w.sim.Hold("req n1>* entries")
	w.sim.Free("rep *>n1 entries")
	if err := w.sim.Do(maxSteps, wg.Wait); err != nil {
		return err
	}
	w.sim.CutOff(old)
	w.sim.Free()
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = w.read(ctx, reader, "n1")
			_ = sleep(ctx, reader, 313*time.Microsecond)
		}
	})
	wg.Go(func() {
		defer close(stop)
		rep := w.run(g, reparent.Emergency())
		if rep.Err != nil {
			w.mu.Lock()
			w.fail("test", "the emergency failed: %v", rep.Err)
			w.mu.Unlock()
			return
		}
		_ = w.append(ctx, writer, rep.To)
		_ = sleep(ctx, writer, 40*time.Millisecond)
	})
	if err := w.sim.Do(maxSteps, wg.Wait); err != nil {
		return err
	}
	leaderNow, err := w.heal("healer")
	if err == nil {
		err = w.verify(leaderNow)
	}
	return err
}
