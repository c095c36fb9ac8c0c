package reparenttest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

var errDenied = errors.New("denied")

// denied is a node that leads and serves clients only in part.
type denied struct {
	Client
	write, read bool
}

func (d denied) Append(ctx context.Context, v uint64) error {
	if d.write {
		return errDenied
	}
	return d.Client.Append(ctx, v)
}

func (d denied) Read(ctx context.Context) ([]uint64, error) {
	if d.read {
		return nil, errDenied
	}
	return d.Client.Read(ctx)
}

// stray follows nobody.
type stray struct{ establish.Follower }

func (stray) Follow(context.Context, leadership.Term, leadership.NodeID) (leadership.Acceptance, error) {
	return leadership.Acceptance{}, errDenied
}

// down is for good.
func down(w *world, ids ...leadership.NodeID) {
	w.excuse("L3")
	for _, id := range ids {
		w.hosts[id].proc.Crash()
		w.hosts[id].proc.Final = true
	}
}

// lost has lost its storage for good.
func lost(w *world, id leadership.NodeID) {
	p := w.hosts[id].proc
	p.CanCrash = true
	p.Lose()
	p.Crash()
}

// cutShort died in the middle of a repair: all it had is noted, and gone.
func cutShort(t *testing.T, w *world, id leadership.NodeID) {
	n := w.hosts[id].node.Client.(*store)
	err := w.sim.Do(maxSteps, func() {
		if err := n.acc.SetFloor(w.hosts[id].Life(), n.position()); err != nil {
			t.Error(err)
		}
		n.saw(Event{Kind: Truncated, Index: 1})
		if err := n.write(w.hosts[id].Life(), "rewind", 0, nil); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	w.hosts[id].proc.CanCrash = true
	w.hosts[id].proc.Crash()
}

// What must come to be when all faults are over is not there: each check says
// so, by its own name and with what is missing.
func TestEachLivenessCheckFiresAndItsNearMissDoesNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, id, says string
		size           int
		spoil          func(w *world)
	}{
		{"a majority does not come back", "L1", "no leader could be established", 3, func(w *world) {
			down(w, "n2", "n3")
		}},
		{"a disk is lost, and a repair was never finished", "reparenttest", "may not show all that was completed", 3, func(w *world) {
			lost(w, "n1")
			cutShort(t, w, "n2")
		}},
		{"a disk is lost", "", "", 3, func(w *world) { lost(w, "n1") }},
		{"a repair was never finished", "", "", 3, func(w *world) { cutShort(t, w, "n2") }},
		{"a disk is lost, and one that has all is down", "L1", "no leader could be established", 3, func(w *world) {
			lost(w, "n1")
			down(w, "n2")
		}},
		{"the leader takes no requests", "L1", "n1 was established, and cannot be written to", 1, func(w *world) {
			n := &w.hosts["n1"].node
			n.Client = denied{Client: n.Client, write: true}
		}},
		{"the leader shows nothing", "L1", "n1 leads, and cannot be read from", 1, func(w *world) {
			n := &w.hosts["n1"].node
			n.Client = denied{Client: n.Client, read: true}
		}},
		{"a cluster of one", "", "", 1, func(*world) {}},
		{"somebody changes the leader unasked", "L2", "nothing failed and nobody asked, and n1@", 3, func(w *world) {
			down(w, "n3")
			p, g, err := w.coordinator("rogue", nil)
			if err != nil {
				t.Error(err)
			}
			w.sim.Go(func() {
				_ = sleep(p.Life(), p, 150*time.Millisecond) // the healer is done, and waits for n3
				w.run(g, reparent.Refresh())
			})
		}},
		{"nobody changes the leader, and the healer waits as long", "", "", 3, func(w *world) { down(w, "n3") }},
		{"a node does not follow", "L3", "n3: denied", 3, func(w *world) {
			n := &w.hosts["n3"].node
			n.Follow = stray{n.Follow}
			w.sim.Isolate(w.hosts["n3"].proc) // or the leader finds it by itself
			w.hosts["n3"].proc.Isolated = true
		}},
		{"a node comes back late", "", "", 3, func(w *world) {
			w.hosts["n3"].proc.CanCrash = true
			w.hosts["n3"].proc.Crash()
		}},
	} {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
				defer sim.Close()
				w, err := newWorld(sim, LogStore(), c.size, leadership.Majority())
				if err == nil {
					err = w.bootstrap()
				}
				if err != nil {
					t.Fatal(err)
				}
				c.spoil(w)
				leader, err := w.heal("healer")
				if err == nil {
					err = w.verify(leader)
				}
				switch {
				case c.id == "" && err != nil:
					t.Error(err)
				case c.id != "" && (err == nil || violated(err) != c.id || !strings.Contains(err.Error(), c.says)):
					t.Errorf("%v; want %s: %s", err, c.id, c.says)
				}
			})
		})
	}
}
