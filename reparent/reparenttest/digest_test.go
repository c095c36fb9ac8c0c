package reparenttest

import (
	"context"
	"maps"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent/handover"
)

// givenState is an acceptor's store with this record in it.
type givenState acceptor.State

func (g givenState) Load(context.Context) (acceptor.State, bool, error) {
	return acceptor.State(g), true, nil
}
func (g givenState) Save(context.Context, acceptor.State) error { return nil }

// part says of one field how a change of it shows in the digest, or why it need
// not be there.
type part struct {
	changes []func(n *store)
	need    string // why it is left out
	zero    bool   // left out because nothing is ever there
}

func shows(changes ...func(n *store)) part { return part{changes: changes} }

func storeParts(t *testing.T) map[string]part {
	later := leadership.Term{Num: 99, Proposer: "later"}
	opened := func(st acceptor.State) func(n *store) {
		return func(n *store) {
			acc, err := acceptor.Open(context.Background(), givenState(st), st.Node, st.Incarnation, acceptor.Options{})
			if err != nil {
				t.Fatal(err)
			}
			n.acc = acc
		}
	}
	return map[string]part{
		"Traits":   {need: "they are the same all through a search"},
		"h":        {need: "it is the same all through a search; its life, its clock and what it has pending are the scheduler's to tell"},
		"life":     {need: "it is over for all of them when it is over for one; that it is, is the scheduler's to tell"},
		"mu":       {need: "nobody has it at a quiescent point"},
		"turn":     {need: "who has it has a write or a message pending, and who waits for it is in doing"},
		"give":     {need: "it is the same function all through a life"},
		"last":     {need: "it remembers what follows from the log and the commit"},
		"desk":     {need: "who has it has a write pending, or waits for one, and who waits for it is in doing"},
		"changed":  {need: "who waits for it is in doing"},
		"engine":   shows(func(n *store) { n.engine.Leader = "n3" }),
		"holds":    shows(func(n *store) { n.holds++ }),
		"renewing": shows(func(n *store) { n.renewing = later }),
		"given":    shows(func(n *store) { n.given++ }),
		"support": shows(
			func(n *store) { n.support = map[leadership.NodeID]time.Duration{"n2": 1} },
			func(n *store) { n.support = map[leadership.NodeID]time.Duration{"n3": 1} },
		),

		"acc": shows(
			opened(acceptor.State{Node: "n1", Incarnation: "disk-1"}),
			opened(acceptor.State{Node: "n1", Incarnation: "disk-1", Promised: later}),
			opened(acceptor.State{Node: "n1", Incarnation: "disk-1", Promised: later, Source: leadership.Leadership{Leader: "n3", Term: later}}),
			opened(acceptor.State{Node: "n1", Incarnation: "disk-1", Floor: leadership.Position{Term: later, Point: leadership.LogPoint{Index: 3, Eras: []leadership.Era{{Term: later, First: 1}}}}}),
		),
		"disk": shows(func(n *store) { d := *n.disk; d.incarnation = "another"; n.disk = &d }),
		"gate": shows(
			func(n *store) {
				gate, err := shutGate(n.h)
				if err != nil {
					t.Fatal(err)
				}
				n.gate = gate
			},
			func(n *store) {
				gate, err := lameduck.New(lameduck.Options{Name: string(n.h.ID)})
				if err == nil {
					err = gate.Serve(n.gate.State().Term)
				}
				if err == nil {
					_, err = gate.Enter(lameduck.Single) // like its own, but for a request
				}
				if err != nil {
					t.Fatal(err)
				}
				n.gate = gate
			},
		),
		"out":       shows(func(n *store) { n.out = true }),
		"stepping":  shows(func(n *store) { n.stepping.Store(true) }),
		"stopping":  shows(func(n *store) { n.stopping.Store(true) }),
		"installed": shows(func(n *store) { n.installed = later }),
		"asked":     shows(func(n *store) { n.asked = later }),
		"loaded":    shows(func(n *store) { n.loaded = later }),
		"matched":   shows(func(n *store) { n.matched["n2"] += 7 }, func(n *store) { n.matched["n9"] = 1 }),
		"sending":   shows(func(n *store) { n.sending["n9"] = true }),
		"commit":    shows(func(n *store) { n.commit++ }),
		"rulesets":  shows(func(n *store) { n.rulesets = append(n.rulesets, leadership.Ruleset{}) }),
		"rules":     shows(func(n *store) { n.rules = append(n.rules, nil) }),
		"history":   shows(func(n *store) { n.history = append(n.history, later) }),
		"doing":     shows(func(n *store) { n.doing.Add(1) }),
		"observers": shows(
			func(n *store) { n.observers["n9"] = leadership.Leadership{Leader: "n1", Term: later} },
			func(n *store) { n.observers["n8"] = leadership.Leadership{Leader: "n1"} },
		),
		"asks": shows(func(n *store) { n.asks.Leader = "n3" }),
		"hand": shows(
			func(n *store) { n.hand.fed++ },
			func(n *store) { n.hand.carried = later },
			func(n *store) { n.hand.staged = later },
			func(n *store) { n.hand.giving = &passing{} },
			func(n *store) { n.hand.giving = &passing{term: later} },
			func(n *store) { n.hand.taking = &passing{over: true} },
			func(n *store) {
				n.hand.taking = &passing{account: handover.Account{Accepted: make([]leadership.Acceptance, 1)}}
			},
			func(n *store) { n.hand.taking = &passing{err: errOut} },
		),
	}
}

func diskParts() map[string]part {
	later := leadership.Term{Num: 99, Proposer: "later"}
	on := func(f func(d *storeDisk)) func(n *store) {
		return func(n *store) { d := *n.disk; f(&d); n.disk = &d }
	}
	return map[string]part{
		"user": {need: "only a store of the user's own keeps anything there, and what it said it kept is in rec", zero: true},

		"incarnation": shows(on(func(d *storeDisk) { d.incarnation = "another" })),
		"rec": shows(
			on(func(d *storeDisk) { d.rec.Promised = later }),
			on(func(d *storeDisk) { d.rec.Source.Leader = "n3" }),
		),
		"have": shows(on(func(d *storeDisk) { d.have = !d.have })),
		"torn": shows(on(func(d *storeDisk) { d.torn = true })),
		"log": shows(
			on(func(d *storeDisk) { d.log = append(d.log[:len(d.log):len(d.log)], Entry{Term: later, Value: 5}) }),
			on(func(d *storeDisk) { d.log = nil }),
		),
		"own":        shows(on(func(d *storeDisk) { d.own++ })),
		"applied":    shows(on(func(d *storeDisk) { d.applied++ })),
		"master":     shows(on(func(d *storeDisk) { d.master.Leader = "n3" })),
		"checkpoint": shows(on(func(d *storeDisk) { d.checkpoint = later })),
		"adrift":     shows(on(func(d *storeDisk) { d.adrift = true })),
	}
}

// What a digest leaves out, a search takes for the same, and does not look at
// again. So every field of the simulated store is either shown here to change
// it, or named with the reason why it may be left out.
func TestTheDigestOfAStoreCoversAllThatItsBehaviourRestsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		w, err := newWorld(sim, LogStore(), 3, LogStore().policy())
		if err == nil {
			err = w.bootstrap()
		}
		if err != nil {
			t.Fatal(err)
		}
		p := sim.Proc("client")
		if err := sim.Do(maxSteps, func() {
			_ = w.append(context.Background(), p, "n1")
			_ = sleep(context.Background(), p, 100*time.Millisecond)
		}); err != nil {
			t.Fatal(err)
		}
		n := w.hosts["n1"].node.Client.(*store)
		plain := n.Digest()
		if again := n.Digest(); again != plain {
			t.Fatalf("one state, two digests: %x and %x", plain, again)
		}
		for what, c := range map[string]struct {
			of    reflect.Value
			parts map[string]part
		}{
			"the store": {reflect.ValueOf(n).Elem(), storeParts(t)},
			"its disk":  {reflect.ValueOf(n.disk).Elem(), diskParts()},
		} {
			for i := range c.of.NumField() {
				name := c.of.Type().Field(i).Name
				k, ok := c.parts[name]
				delete(c.parts, name)
				switch empty := c.of.Field(i).IsZero() || c.of.Field(i).Kind() == reflect.Map && c.of.Field(i).Len() == 0; {
				case !ok:
					t.Errorf("nothing says whether %s of %s is in the digest: add it to Digest and to this test, or say here why it need not be", name, what)
				case k.zero && !empty:
					t.Errorf("%s of %s is left out because %s, and something is there", name, what, k.need)
				case (k.need == "") == (len(k.changes) == 0):
					t.Errorf("%s of %s needs a change that shows, or a reason", name, what)
				}
				for j, change := range k.changes {
					if got := changed(n, change); got == plain {
						t.Errorf("change %d of %s of %s does not show in the digest", j, name, what)
					}
				}
			}
			for name := range c.parts {
				t.Errorf("%s has no %s any more", what, name)
			}
		}
		if got := n.Digest(); got != plain {
			t.Error("the test left something changed behind")
		}
	})
}

// A lease runs out while nothing else happens.
func TestTheDigestOfALeasedStoreChangesWithItsClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		digests := func(tr Traits) (before, after uint64) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			w, err := newWorld(sim, Store(tr), 3, LogStore().policy())
			if err != nil {
				t.Fatal(err)
			}
			n := w.hosts["n1"].node.Client.(*store)
			before = n.Digest()
			time.Sleep(time.Millisecond)
			return before, n.Digest()
		}
		if a, b := digests(Traits{}); a != b {
			t.Error("the digest of a store without leases changes with time alone: nothing is explored once")
		}
		for name, tr := range map[string]Traits{"leased": {Leased: true}, "local reads": {LocalReads: true}} {
			if a, b := digests(tr); a == b {
				t.Errorf("%s: a state in which a lease holds and one in which it has run out are taken for one", name)
			}
		}
	})
}

// changed is the digest of a copy of n to which something was done.
func changed(n *store, change func(n *store)) uint64 {
	c := &store{
		Traits: n.Traits, h: n.h, life: n.life, disk: n.disk, acc: n.acc, gate: n.gate, out: n.out, installed: n.installed,
		matched: map[leadership.NodeID]int{}, sending: map[leadership.NodeID]bool{}, commit: n.commit,
		observers: maps.Clone(n.observers), asks: n.asks,
		rulesets: n.rulesets, rules: n.rules, history: n.history, turn: make(chan struct{}, 1),
		engine: n.engine, holds: n.holds, renewing: n.renewing, given: n.given, support: maps.Clone(n.support),
	}
	c.stepping.Store(n.stepping.Load())
	c.stopping.Store(n.stopping.Load())
	c.doing.Store(n.doing.Load())
	for id, at := range n.matched {
		c.matched[id] = at
	}
	for id := range n.sending {
		c.sending[id] = true
	}
	change(c)
	return c.Digest()
}
