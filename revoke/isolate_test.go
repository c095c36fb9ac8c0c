package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// fence is an Isolator that obeys only the newest term, and looks into the
// registry at each command.
type fence struct {
	reg     leadership.Registry
	j       journal
	term    map[leadership.NodeID]leadership.Term
	cut     map[leadership.NodeID]bool
	freed   map[leadership.NodeID]bool
	seen    []leadership.Record // as of each command
	release error
}

func (f *fence) command(op string, t leadership.Term, id leadership.NodeID, cut bool) error {
	rec, err := f.reg.Load(context.Background())
	if err != nil {
		return err
	}
	f.j.add(op + " " + string(id) + " " + t.String())
	f.seen = append(f.seen, rec)
	if t.Less(f.term[id]) || cut && t == f.term[id] && f.freed[id] {
		return stale(id, t, f.term[id])
	}
	f.term[id], f.cut[id], f.freed[id] = t, cut, !cut
	return nil
}

func (f *fence) Isolate(_ context.Context, t leadership.Term, id leadership.NodeID) error {
	return f.command("isolate", t, id, true)
}

func (f *fence) Release(_ context.Context, t leadership.Term, id leadership.NodeID) error {
	if f.release != nil {
		return f.release
	}
	return f.command("release", t, id, false)
}

// flaky is a registry whose writes fail when told to.
type flaky struct {
	leadership.MemoryRegistry
	load, swap error
}

func (f *flaky) Load(ctx context.Context) (leadership.Record, error) {
	if f.load != nil {
		return leadership.Record{}, f.load
	}
	return f.MemoryRegistry.Load(ctx)
}

func (f *flaky) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	if f.swap != nil {
		return leadership.Record{}, f.swap
	}
	return f.MemoryRegistry.Swap(ctx, base, next)
}

// cut is a registry with a record whose fence is at t7, an isolator, and the
// mechanism over both.
func cut(t *testing.T, nodes func(revoke.Ask) []leadership.NodeID) (*revoke.Isolate, *fence, *flaky) {
	t.Helper()
	reg := &flaky{}
	rs := must[leadership.Ruleset](t)(leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"}))
	update(t, reg, func(r leadership.Record) (leadership.Record, error) { return r.Create("c", leadership.Full, rs) })
	update(t, reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Begin(leadership.Intent{Term: t7, By: "c1", Kind: leadership.KindEmergency}, true)
	})
	f := &fence{reg: &reg.MemoryRegistry, term: map[leadership.NodeID]leadership.Term{}, cut: map[leadership.NodeID]bool{}, freed: map[leadership.NodeID]bool{}}
	return must[*revoke.Isolate](t)(revoke.NewIsolate(f, reg, "c1", nodes)), f, reg
}

func update(t testing.TB, reg leadership.Registry, step func(leadership.Record) (leadership.Record, error)) {
	t.Helper()
	if _, err := leadership.Update(context.Background(), reg, step); err != nil {
		t.Fatal(err)
	}
}

func holds(t testing.TB, reg leadership.Registry) []leadership.Isolation {
	t.Helper()
	return must[leadership.Record](t)(reg.Load(context.Background())).Held
}

func TestTheHoldIsRecordedBeforeTheNodeIsIsolated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		iso, f, reg := cut(t, func(revoke.Ask) []leadership.NodeID { return []leadership.NodeID{"n1"} })
		h := listen()
		if err := iso.Revoke(t.Context(), ask(), h.report); err != nil {
			t.Fatal(err)
		}
		want := []leadership.Isolation{{Node: "n1", Term: t7, By: "c1"}}
		if len(f.seen) != 1 || !slices.Equal(f.seen[0].Held, want) {
			t.Errorf("when it was isolated the record showed %+v, want %v", f.seen, want)
		}
		if !slices.Equal(holds(t, reg), want) || !f.cut["n1"] {
			t.Errorf("after: %v, %v", holds(t, reg), f.cut)
		}
		if h.len() != 1 || h.list()[0].Kind != leadership.Isolated || !h.list()[0].Held || h.list()[0].Read != nil || h.list()[0].Term != t7 || h.list()[0].Mechanism != "isolate" {
			t.Errorf("reports %+v", h.list())
		}
	})
}

func TestSeveralNodesAreIsolatedEachWithItsHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := &flaky{}
		update(t, reg, func(r leadership.Record) (leadership.Record, error) {
			return r.Create("c", leadership.Full, leadership.Ruleset{})
		})
		j := &journal{}
		iso := must[*revoke.Isolate](t)(revoke.NewIsolate(isolatorFunc(func(_ context.Context, _ leadership.Term, id leadership.NodeID) error {
			j.add(string(id))
			return nil
		}), reg, "c1", func(a revoke.Ask) []leadership.NodeID { return a.Targets }))
		h := listen()
		if err := iso.Revoke(t.Context(), ask(), h.report); err != nil {
			t.Fatal(err)
		}
		if h.len() != 3 || len(j.all()) != 3 || len(holds(t, reg)) != 3 {
			t.Errorf("%d reports, isolated %v, held %v", h.len(), j.all(), holds(t, reg))
		}
	})
}

type isolatorFunc func(context.Context, leadership.Term, leadership.NodeID) error

func (f isolatorFunc) Isolate(ctx context.Context, t leadership.Term, id leadership.NodeID) error {
	return f(ctx, t, id)
}
func (isolatorFunc) Release(context.Context, leadership.Term, leadership.NodeID) error { return nil }

func TestANodeWhoseHoldCannotBeRecordedIsNotIsolated(t *testing.T) {
	down := errors.New("registry down")
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *flaky)
		check func(*testing.T, error)
	}{
		{"load fails", func(_ *testing.T, r *flaky) { r.load = down }, func(t *testing.T, err error) { wantIs(t, err, down) }},
		{"swap fails", func(_ *testing.T, r *flaky) { r.swap = down }, func(t *testing.T, err error) { wantIs(t, err, down) }},
		{"unknown", func(_ *testing.T, r *flaky) { r.swap = fmt.Errorf("%w", leadership.ErrUnknownOutcome) }, func(t *testing.T, err error) { wantIs(t, err, leadership.ErrUnknownOutcome) }},
		{"a newer attempt began", func(t *testing.T, r *flaky) {
			update(t, r, func(rec leadership.Record) (leadership.Record, error) {
				return rec.Begin(leadership.Intent{Term: t9, By: "c2"}, true)
			})
		}, func(t *testing.T, err error) { wantAs[*leadership.SupersededError](t, err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				iso, f, reg := cut(t, nil)
				c.spoil(t, reg)
				h := listen()
				err := iso.Revoke(t.Context(), ask(), h.report)
				c.check(t, err)
				if e := wantAs[*revoke.NodeError](t, err); e.Node != "n1" {
					t.Errorf("%v", err)
				}
				if len(f.j.all()) != 0 || h.len() != 0 {
					t.Errorf("calls %v, reports %+v", f.j.all(), h.list())
				}
			})
		})
	}
}

func TestAStaleIsolationIsRefusedByTheIsolatorAndReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		iso, f, _ := cut(t, nil)
		f.term["n1"] = t9
		h := listen()
		err := iso.Revoke(t.Context(), ask(), h.report)
		if e := wantAs[*leadership.StaleTermError](t, err); e.Promised != t9 {
			t.Errorf("%v", err)
		}
		if h.len() != 1 || h.list()[0].Kind != leadership.Refused || h.list()[0].Term != t9 || h.list()[0].Mechanism != "isolate" {
			t.Errorf("reports %+v", h.list())
		}
		if f.cut["n1"] {
			t.Error("it was isolated")
		}
	})
}

// A command that comes late, or twice, must not cut off a node whose hold has
// left the record: nobody would know whom to let go.
func TestAnIsolationOfATermThatReleasedTheNodeIsRefusedAndEndsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		iso, f, reg := cut(t, nil)
		if err := iso.Revoke(t.Context(), ask(), listen().report); err != nil {
			t.Fatal(err)
		}
		if err := iso.Release(t.Context(), promised("n1", t7)); err != nil {
			t.Fatal(err)
		}
		h := listen()
		err := iso.Revoke(t.Context(), ask(), h.report)
		if e := wantAs[*leadership.StaleTermError](t, err); e.Asked != t7 || e.Promised != t7 {
			t.Errorf("%v", err)
		}
		if h.len() != 0 {
			t.Errorf("reports %+v: there is no newer attempt", h.list())
		}
		if f.cut["n1"] {
			t.Error("it was isolated again")
		}
		// What it holds now is for nothing, and a sweep ends it.
		if len(holds(t, reg)) != 1 {
			t.Errorf("held %v", holds(t, reg))
		}
		if err := iso.Release(t.Context(), promised("n1", t7)); err != nil || len(holds(t, reg)) != 0 {
			t.Errorf("%v, held %v", err, holds(t, reg))
		}
	})
}

func TestIsolateWithNobodyToIsolateTouchesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		iso, f, reg := cut(t, nil)
		a := ask()
		a.Leader = ""
		wantAs[*revoke.TargetError](t, iso.Revoke(t.Context(), a, listen().report))
		if len(f.j.all()) != 0 || len(holds(t, reg)) != 0 {
			t.Errorf("calls %v, held %v", f.j.all(), holds(t, reg))
		}
	})
}

// established makes the leadership of n2 at a term above all.
func established(t *testing.T, reg leadership.Registry, tm leadership.Term) {
	t.Helper()
	rec := must[leadership.Record](t)(reg.Load(context.Background()))
	round := must[*leadership.Round](t)(leadership.NewRound(leadership.RoundConfig{Term: tm, Rulesets: []leadership.Ruleset{rec.Ruleset}}))
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		if err := round.Add(promised(id, tm)); err != nil {
			t.Fatal(err)
		}
	}
	p := must[*leadership.Proposal](t)(must[*leadership.Revocation](t)(round.Revocation()).Propose("n2", nil))
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		if err := p.Add(leadership.Acceptance{Node: id, Term: tm, Leader: "n2"}); err != nil {
			t.Fatal(err)
		}
	}
	in := must[*leadership.Installed](t)(p.Installed())
	update(t, reg, func(r leadership.Record) (leadership.Record, error) { return r.Activate(in) })
}

// Theory and practice: a node that is let go without a promise is a second
// leader as soon as one follower never heard of the new term.
func TestAnUnconvertedNodeStaysIsolated(t *testing.T) {
	for _, c := range []struct {
		name   string
		active leadership.Term
		t      leadership.Testimony
	}{
		{"isolated is no promise", leadership.Term{}, leadership.Testimony{Node: "n1", Term: t7, Kind: leadership.Isolated, Held: true}},
		{"a held promise", leadership.Term{}, leadership.Testimony{Node: "n1", Term: t7, Kind: leadership.Promised, Held: true}},
		{"a statement", leadership.Term{}, leadership.Testimony{Node: "n1", Term: t7}},
		{"an expired lease", leadership.Term{}, leadership.Testimony{Node: "n1", Term: t7, Kind: leadership.LeaseExpired}},
		{"a person's word", leadership.Term{}, leadership.Testimony{Node: "n1", Term: t7, Kind: leadership.Certified}},
		{"a refusal", leadership.Term{}, leadership.Testimony{Node: "n1", Term: t9, Kind: leadership.Refused}},
		{"below the term that isolated it", leadership.Term{}, promised("n1", leadership.Term{Num: 6, Proposer: "c1"})},
		{"below the active term", t8, promised("n1", t7)},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				iso, f, reg := cut(t, nil)
				if err := iso.Revoke(t.Context(), ask(), listen().report); err != nil {
					t.Fatal(err)
				}
				if !c.active.IsZero() {
					established(t, reg, c.active)
				}
				err := iso.Release(t.Context(), c.t)
				if e := wantAs[*revoke.UnconvertedError](t, err); e.Node != "n1" || !leadership.NotExecuted(err) {
					t.Errorf("%v", err)
				}
				if !f.cut["n1"] || len(f.j.all()) != 1 || len(holds(t, reg)) != 1 {
					t.Errorf("commands %v, held %v", f.j.all(), holds(t, reg))
				}
			})
		})
	}
}

func TestAConvertedNodeIsReleasedAndItsHoldLeavesTheRecordLast(t *testing.T) {
	for _, kind := range []leadership.TestimonyKind{leadership.Promised, leadership.Demoted} {
		t.Run(kind.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				iso, f, reg := cut(t, nil)
				if err := iso.Revoke(t.Context(), ask(), listen().report); err != nil {
					t.Fatal(err)
				}
				established(t, reg, t8)
				if err := iso.Release(t.Context(), leadership.Testimony{Node: "n1", Term: t8, Kind: kind}); err != nil {
					t.Fatal(err)
				}
				if f.cut["n1"] || f.term["n1"] != t8 {
					t.Errorf("not released: %v", f.j.all())
				}
				if len(f.seen) != 2 || len(f.seen[1].Held) != 1 {
					t.Errorf("at the release the record no longer showed the hold: a crash in between would leave a node cut off that nobody knows of")
				}
				if got := holds(t, reg); len(got) != 0 {
					t.Errorf("still held: %v", got)
				}
			})
		})
	}
}

func TestAReleaseThatFailsSaysHowFarItCame(t *testing.T) {
	down := errors.New("down")
	bubble(t, func(t *testing.T) {
		iso, f, reg := cut(t, nil)
		if err := iso.Revoke(t.Context(), ask(), listen().report); err != nil {
			t.Fatal(err)
		}
		good := promised("n1", t7)
		reg.load = down
		wantIs(t, iso.Release(t.Context(), good), down)
		reg.load = nil
		f.release = stale("n1", t7, t9)
		err := iso.Release(t.Context(), good)
		if e := wantAs[*revoke.NodeError](t, err); e.Op != "release" || e.Node != "n1" {
			t.Errorf("%v", err)
		}
		wantAs[*leadership.StaleTermError](t, err)
		if !f.cut["n1"] || len(holds(t, reg)) != 1 {
			t.Errorf("commands %v, held %v", f.j.all(), holds(t, reg))
		}
		// The node is let go, and only the record cannot be written.
		f.release = nil
		reg.swap = &leadership.TransitionError{Step: "write", Reason: "no"}
		err = iso.Release(t.Context(), good)
		if leadership.NotExecuted(err) {
			t.Errorf("the node was let go: %v", err)
		}
		if e := wantAs[*revoke.NodeError](t, err); e.Node != "n1" || f.cut["n1"] || len(holds(t, reg)) != 1 {
			t.Errorf("%v, %v", err, f.cut)
		}
		// Doing it again finishes it.
		reg.swap = nil
		if err := iso.Release(t.Context(), good); err != nil || len(holds(t, reg)) != 0 {
			t.Errorf("%v, held %v", err, holds(t, reg))
		}
	})
}
