package leadership_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// flaky is a registry whose swaps sometimes have an unknown outcome, with or
// without effect.
type flaky struct {
	MemoryRegistry
	next func() int // 0: as it is, 1: unknown and done, 2: unknown and not done
}

func (f *flaky) Swap(ctx context.Context, base uint64, next Record) (Record, error) {
	fault := f.next()
	if fault == 2 {
		return Record{}, fmt.Errorf("%w: lost request", ErrUnknownOutcome)
	}
	out, err := f.MemoryRegistry.Swap(ctx, base, next)
	if err == nil && fault == 1 {
		return Record{}, fmt.Errorf("%w: lost reply", ErrUnknownOutcome)
	}
	return out, err
}

// Several coordinators run their steps in any order on one registry. Fence,
// active and routed never fall, active is never above the fence nor routed above
// active, and nobody touches another's intent without having superseded it.
func TestRecordNeverGoesBack(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	rapid.Check(t, func(t *rapid.T) {
		reg := &flaky{next: func() int { return rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "fault") }}
		ctx := context.Background()
		mode := rapid.SampledFrom([]Mode{Full, Shortcut}).Draw(t, "mode")
		prev, err := reg.MemoryRegistry.Swap(ctx, 0, must(Record{}.Create("c", mode, rs)))
		if err != nil {
			t.Fatal(err)
		}
		terms := map[string]Term{}
		proofs := map[Term]*Installed{}
		begun := map[Term]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				r, err := reg.Load(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Validate(); err != nil {
					t.Fatal(err)
				}
				if r.Fence.Less(prev.Fence) || r.Active.Term.Less(prev.Active.Term) || r.Routed.Term.Less(prev.Routed.Term) {
					t.Fatalf("it went back: %+v after %+v", r, prev)
				}
				if r.Active.Term != prev.Active.Term && mode == Shortcut && (!begun[r.Active.Term] || r.Active.Term != r.Fence) {
					t.Fatalf("in shortcut mode %s is active, the fence is at %s, begun %v", r.Active, r.Fence, begun[r.Active.Term])
				}
				prev = r
			},
			"step": func(t *rapid.T) {
				me := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "who")
				step := rapid.SampledFrom([]string{"term", "begin", "begin", "advance", "activate", "activate", "route", "abandon"}).Draw(t, "step")
				if step == "term" || terms[me].IsZero() {
					terms[me] = must(NextTerm(me, terms[me], prev.Fence))
					return
				}
				tm := terms[me]
				before, err := reg.Load(ctx)
				if err != nil {
					t.Fatal(err)
				}
				force := rapid.Bool().Draw(t, "force")
				after, err := Update(ctx, reg, func(r Record) (Record, error) {
					n, err := r, error(nil)
					switch step {
					case "begin":
						n, err = r.Begin(Intent{Term: tm, By: me, Kind: KindPlanned}, force)
						if err == nil {
							again, err2 := n.Begin(Intent{Term: tm, By: me, Kind: KindPlanned}, force)
							if err2 != nil || !again.Equal(n) {
								t.Fatalf("Begin is not idempotent: %v", err2)
							}
						}
					case "advance":
						n, err = r.Advance(tm)
					case "activate":
						if proofs[tm] == nil {
							proofs[tm] = minted(t, tm, "n1", rs)
						}
						n, err = r.Activate(proofs[tm])
					case "route":
						n, err = r.Route(Leadership{Leader: "n1", Term: tm}, "addr")
					case "abandon":
						n = r.Abandon(tm)
					}
					if err != nil && !n.Equal(r) {
						t.Fatalf("%s failed and yet changed the record", step)
					}
					return n, err
				})
				begun[tm] = begun[tm] || step == "begin" && err == nil
				if err != nil && NotExecuted(err) {
					if now, _ := reg.Load(ctx); now.Version != before.Version {
						t.Fatalf("%s: %v proves that nothing was written, but version %d became %d", step, err, before.Version, now.Version)
					}
				}
				if err == nil && step == "activate" && after.Active.Term != tm {
					t.Fatalf("activated %s, active is %s", tm, after.Active)
				}
				if i := before.Intent; i.Phase != Cleared && i.Term != tm && after.Version != 0 && after.Intent != i &&
					!(i.Term.Less(tm) && err == nil) {
					t.Fatalf("%s at %s changed the intent of %s", step, tm, i.Term)
				}
			},
		})
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func minted(t *rapid.T, tm Term, to NodeID, rs Ruleset) *Installed {
	r := must(NewRound(RoundConfig{Term: tm, Rulesets: []Ruleset{rs}}))
	for _, id := range rs.IDs() {
		if err := r.Add(promise(r, id, at())); err != nil {
			t.Fatal(err)
		}
	}
	p := must(must(r.Revocation()).Propose(to, nil))
	for _, id := range rs.IDs() {
		if err := p.Add(Acceptance{Node: id, Term: tm, Leader: to}); err != nil {
			t.Fatal(err)
		}
	}
	return must(p.Installed())
}

// What became of a change of the ruleset is known once somebody is activated, and
// not before: neither another intent nor its end says so.
func TestADraftedRulesetIsForgottenByActivationOnly(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	r := must(Record{}.Create("c", Full, rs))
	was := r
	r = must(r.Begin(Intent{Term: term(2, "c"), Kind: KindRuleset}, false))
	if r.Drafted != term(2, "c") || r.Equal(was) {
		t.Fatalf("drafted %s", r.Drafted)
	}
	same := r
	if same.Drafted = (Term{}); same.Equal(r) {
		t.Error("records that differ in what is drafted are equal")
	}
	for i, next := range []Record{r.Abandon(term(2, "c")), must(r.Begin(Intent{Term: term(3, "c"), Kind: KindEmergency}, true)),
		must(r.Begin(Intent{Term: term(3, "c"), Kind: KindEmergency}, true)).Abandon(term(3, "c"))} {
		if next.Drafted != term(2, "c") {
			t.Errorf("%d: drafted %s", i, next.Drafted)
		}
	}
	next := must(r.Begin(Intent{Term: term(4, "c"), Kind: KindRuleset}, true))
	if next.Drafted != term(4, "c") {
		t.Errorf("drafted %s", next.Drafted)
	}
	if got := must(next.Activate(established(t, term(5, "c"), "n1", rs))); !got.Drafted.IsZero() {
		t.Errorf("drafted %s", got.Drafted)
	}
	// One that was granted before another draft began does not end that.
	if got := must(next.Granted(established(t, term(3, "c"), "n1", rs))); got.Drafted != term(4, "c") {
		t.Errorf("drafted %s", got.Drafted)
	}
	next = must(next.Begin(Intent{Term: term(7, "c"), Kind: KindEmergency}, true))
	if got := must(next.Granted(established(t, term(6, "c"), "n1", rs))); !got.Drafted.IsZero() {
		t.Errorf("drafted %s", got.Drafted)
	}
	r.Drafted = term(3, "c")
	wantAs[*TransitionError](t, r.Validate())
}

// Who leads although the record could not be written is not forgotten because a
// rival announced itself, but when one of a higher term is active.
func TestWhatWasGrantedUnrecordedStandsUntilAnotherIsActive(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	in := established(t, term(2, "c"), "n1", rs)
	r := must(Record{}.Create("c", Full, rs))
	rival := must(r.Begin(Intent{Term: term(3, "d"), Kind: KindEmergency}, false))
	got := must(rival.Granted(in))
	if got.Active != in.Leadership() || got.Fence != term(3, "d") || got.Intent != rival.Intent {
		t.Errorf("%+v", got)
	}
	if again := must(got.Granted(in)); !again.Equal(got) {
		t.Errorf("said again, it is %+v", again)
	}
	if got := must(r.Granted(in)); got.Fence != term(2, "c") || got.Active != in.Leadership() {
		t.Errorf("with no rival: %+v", got)
	}
	won := must(rival.Activate(established(t, term(3, "d"), "n2", rs)))
	n, err := won.Granted(in)
	wantAs[*SupersededError](t, err)
	if !n.Equal(won) {
		t.Error("touched")
	}
	got, err = won.Granted(established(t, term(3, "d"), "n1", rs))
	wantAs[*TransitionError](t, err)
	if !got.Equal(won) {
		t.Error("touched")
	}
	_, err = r.Granted(nil)
	wantIs(t, err, ErrNotMinted)
	// In shortcut mode nobody leads whom the record does not show.
	short := must(must(Record{}.Create("c", Shortcut, rs)).Begin(Intent{Term: term(3, "d")}, false))
	_, err = short.Granted(in)
	wantAs[*SupersededError](t, err)
}

// In shortcut mode both neighbours of "fence, install, activate" are refused.
func TestG6_ShortcutNeedsTheFenceFirst(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	in := established(t, term(2, "c"), "n1", rs)
	short, full := must(Record{}.Create("c", Shortcut, rs)), must(Record{}.Create("c", Full, rs))
	_, err := short.Activate(in)
	wantAs[*TransitionError](t, err)
	r, err := full.Activate(in)
	if err != nil || r.Fence != term(2, "c") {
		t.Errorf("full mode: fence %s, %v", r.Fence, err)
	}
	short = must(short.Begin(Intent{Term: term(2, "c")}, false))
	if _, err = short.Activate(in); err != nil {
		t.Error(err)
	}
	_, err = short.Begin(Intent{Term: term(3, "c")}, false)
	wantAs[*BusyError](t, err)
	short = must(short.Begin(Intent{Term: term(3, "c")}, true))
	_, err = short.Activate(in)
	wantAs[*SupersededError](t, err)
	_, err = short.Route(in.Leadership(), "a")
	wantAs[*TransitionError](t, err)
	_, err = full.Begin(Intent{Term: term(3, "c"), HoldFor: -1}, false)
	wantAs[*TransitionError](t, err)
}

// An isolated node is let go by nothing below the term that isolated it.
func TestReleaseNeedsAPromiseOfTheIsolatingTerm(t *testing.T) {
	t.Parallel()
	r := must(Record{}.Create("c", Full, ruleset(t, 1, Majority(), ids(3)...)))
	r = must(r.Begin(Intent{Term: term(5, "c")}, false))
	_, err := r.Hold(Isolation{Node: "n0", Term: term(4, "c")})
	wantAs[*SupersededError](t, err)
	r = must(r.Hold(Isolation{Node: "n0", Term: term(5, "c"), By: "c"}))
	for _, bad := range []Testimony{
		{Node: "n0", Term: term(5, "c"), Kind: Isolated}, {Node: "n0", Term: term(5, "c"), Kind: Promised, Held: true},
		{Node: "n0", Term: term(3, "c"), Kind: Promised}, {Node: "n0", Term: term(5, "c"), Kind: LeaseExpired},
	} {
		n, err := r.Release(bad)
		wantAs[*TransitionError](t, err)
		if !n.Equal(r) {
			t.Error("touched")
		}
	}
	if n := must(r.Release(Testimony{Node: "n0", Term: term(5, "c"), Kind: Demoted})); len(n.Held) != 0 || len(r.Held) != 1 {
		t.Errorf("held %v after release, %v before", n.Held, r.Held)
	}
}

// An error after a write whose outcome was never settled must not prove that
// nothing was written.
func TestG9_UpdateDoesNotDenyAWriteItCannotRuleOut(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	reg := &flaky{next: func() int { return 1 }}
	_, err := Update(t.Context(), reg, func(r Record) (Record, error) { return r.Create("c", Full, rs) })
	wantIs(t, err, ErrUnknownOutcome) // it is there, and who made it cannot be told
	if NotExecuted(err) {
		t.Errorf("%v denies a write that took place", err)
	}
	// Terms tell: the same outcome on a step with a term is settled.
	if _, err := Update(t.Context(), reg, func(r Record) (Record, error) {
		return r.Begin(Intent{Term: term(1, "c"), By: "c"}, false)
	}); err != nil {
		t.Error(err)
	}
	// Not settled: the same version is still there, and then the registry is gone.
	broken := &flaky{next: func() int { return 2 }}
	calls := 0
	_, err = Update(t.Context(), broken, func(r Record) (Record, error) {
		if calls++; calls == 2 {
			return r, &TransitionError{Step: "x", Reason: "y"}
		}
		return r.Create("c", Full, rs)
	})
	wantIs(t, err, ErrUnknownOutcome)
	if NotExecuted(err) {
		t.Error("denied")
	}
}

func TestDecideHoldsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	dur := rapid.Int64Range(-int64(time.Second), int64(10*time.Second))
	rapid.Check(t, func(t *rapid.T) {
		num := rapid.Uint64Range(0, 3)
		lead := func(n uint64) Leadership {
			if n == 0 {
				return Leadership{}
			}
			return Leadership{Leader: "n0", Term: term(n, "c")}
		}
		routed := num.Draw(t, "routed")
		active := max(routed, num.Draw(t, "active"))
		r := Record{Mode: Full, Routed: lead(routed), Active: lead(active), Intent: Intent{
			Term:    lead(rapid.Uint64Range(0, 4).Draw(t, "intent")).Term,
			Phase:   rapid.SampledFrom([]Phase{Cleared, Preparing, Holding}).Draw(t, "phase"),
			HoldFor: max(0, time.Duration(dur.Draw(t, "hold for"))),
		}}
		since, refused := time.Duration(dur.Draw(t, "since")), lead(num.Draw(t, "refused")).Term
		d := r.Decide(since, refused)
		announced := r.Intent.Phase == Holding && r.Routed.Term.Less(r.Intent.Term)
		since = max(since, 0) // a clock that went back counts as just begun
		switch {
		case announced && !lead(active).Term.Less(r.Intent.Term):
			if d.Verdict != Probe {
				t.Fatalf("active and not routed yet: %+v", d)
			}
		case announced && since < r.Intent.HoldFor:
			if d.Verdict != Hold || d.Wait <= 0 || d.Wait > r.Intent.HoldFor {
				t.Fatalf("announced: %+v", d)
			}
		case active == 0:
			if d.Verdict != Hold || d.Wait <= 0 {
				t.Fatalf("nobody leads: %+v", d)
			}
		case announced:
			if d.Verdict != Probe {
				t.Fatalf("held long enough: %+v", d)
			}
		case lead(active).Term.Less(refused):
			if d.Verdict == Send || d.Wait <= 0 || d.Verdict == Hold && since+d.Wait > time.Second {
				t.Fatalf("refused for a term that the record does not show: %+v", d)
			}
		default:
			if d.Verdict != Send {
				t.Fatalf("nothing is announced: %+v", d)
			}
		}
		if d.Verdict != Hold && d.To != lead(active) {
			t.Fatalf("to %s, the newest is %s", d.To, lead(active))
		}
	})
}

func TestNotExecutedFollowsWrappedErrors(t *testing.T) {
	t.Parallel()
	yes, no := error(&Refusal{}), errors.New("boom")
	for _, c := range []struct {
		err  error
		want bool
	}{{nil, false}, {yes, true}, {no, false}, {fmt.Errorf("x: %w", yes), true}, {errors.Join(yes, yes), true}, {errors.Join(yes, no), false},
		{fmt.Errorf("%w (after %w)", yes, ErrUnknownOutcome), false}, {&SupersededError{}, false}, {&ConflictError{}, true},
		{(*StaleTermError)(nil), false}, {fmt.Errorf("x: %w", (*ConflictError)(nil)), false}, {(*ContradictionError)(nil), false}} {
		if got := NotExecuted(c.err); got != c.want {
			t.Errorf("NotExecuted(%#v) = %v", c.err, got)
		}
	}
}
