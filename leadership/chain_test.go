package leadership_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// established runs a whole round for to under tm and returns the proof.
func established(t testing.TB, tm Term, to NodeID, rs Ruleset) *Installed {
	t.Helper()
	r := newRound(t, tm, rs)
	for _, id := range rs.IDs() {
		add(t, r, promise(r, id, at()))
	}
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Propose(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range rs.IDs() {
		if err := p.Add(Acceptance{Node: id, Term: tm, Leader: to}); err != nil {
			t.Fatal(err)
		}
	}
	in, err := p.Installed()
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// Each proof is made by the step before it and by nothing else.
func TestG3_NoStepCanBeSkipped(t *testing.T) {
	t.Parallel()
	var nilRound *Round
	for _, r := range []*Round{new(Round), nilRound} {
		wantIs(t, r.Revoked(), ErrNotMinted)
		wantIs(t, r.Discovered(), ErrNotMinted)
		wantIs(t, r.Ready("n0"), ErrNotMinted)
		wantIs(t, r.Add(Testimony{Node: "n0", Kind: Promised}), ErrNotMinted)
		wantIs(t, r.Waive(Waiver{Gone: ids(1), Reason: "r", By: "b"}), ErrNotMinted)
		_, err := r.Revocation()
		wantIs(t, err, ErrNotMinted)
		if got := r.Missing(); got != nil {
			t.Errorf("missing %v", got)
		}
	}
	var nilRevocation *Revocation
	for _, v := range []*Revocation{new(Revocation), nilRevocation} {
		_, err := v.Propose("n0", nil)
		wantIs(t, err, ErrNotMinted)
		wantIs(t, v.Ready("n0"), ErrNotMinted)
		if !v.Term().IsZero() || !v.Selection().IsZero() || v.Donors() != nil || v.Reads() != nil || v.Rulesets() != nil || v.LeaseLeft() != 0 {
			t.Error("a revocation that nobody made says something")
		}
	}
	var nilProposal *Proposal
	for _, p := range []*Proposal{new(Proposal), nilProposal} {
		_, err := p.Installed()
		wantIs(t, err, ErrNotMinted)
		wantIs(t, p.Add(Acceptance{Node: "n0"}), ErrNotMinted)
		_, err = p.Position(t.Context(), "n0")
		wantIs(t, err, ErrNotMinted)
		if !p.Term().IsZero() || p.To() != "" || p.Donors() != nil || p.Members() != nil || p.Accepted() != nil || !p.Selection().IsZero() {
			t.Error("a proposal that nobody made says something")
		}
	}
	rec, err := Record{}.Create("c", Full, ruleset(t, 1, Majority(), ids(3)...))
	if err != nil {
		t.Fatal(err)
	}
	var nilInstalled *Installed
	for _, in := range []*Installed{new(Installed), nilInstalled} {
		wantIs(t, in.Minted(), ErrNotMinted)
		if !in.Leadership().IsZero() {
			t.Error("an installation that nobody made says something")
		}
		next, err := rec.Activate(in)
		wantIs(t, err, ErrNotMinted)
		if !next.Equal(rec) {
			t.Error("the record changed")
		}
	}
}

// A revocation that was proven once is proven again before it is used.
func TestG3_NoProposalFromARevocationThatHoldsNoMore(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	a := promise(r, "n0", at(1))
	a.Incarnation = "a"
	add(t, r, a, promise(r, "n1", at(1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	add(t, r, Testimony{Node: "n0", Term: r.Term(), Incarnation: "b"})
	_, err = v.Propose("n1", nil)
	wantAs[*NotRevokedError](t, err)
	_ = r.Add(Testimony{Node: "n2", Term: term(9, "c"), Kind: Refused})
	_, err = v.Propose("n1", nil)
	wantAs[*SupersededError](t, err)
}

func TestNothingPanicsOnZeroValues(t *testing.T) {
	t.Parallel()
	var c *Cohort
	if c.Len() != 0 || c.All() != 0 || c.Node(3) != (Node{}) || len(c.Names(0)) != 0 {
		t.Error("a nil cohort is not empty")
	}
	_, err := c.Set("n0")
	wantAs[*UnknownNodeError](t, err)
	var rules Rules
	if rules.Durable(0, 1) || rules.Members() != 0 {
		t.Error("zero rules say something")
	}
	if _, ok := rules.Could(^Set(0), ^Set(0)); ok {
		t.Error("zero rules say something")
	}
	if got := LeaderConditions().Holders(View{}); got != nil {
		t.Error("a zero view has leaders")
	}
	LeaderConditions().Explain(View{}, "n0")
	var refusal *Refusal
	if refusal.NotExecuted() || refusal.Error() == "" {
		t.Error("a nil refusal proves something")
	}
	_, err = Ruleset{}.Compile(nil)
	wantIs(t, err, ErrEmptyCohort)
	for _, s := range []fmt.Stringer{Term{}, Leadership{}, Position{}, LogPoint{}, Intent{}, CounterExample{}, TestimonyKind(99), Verdict(9), Scope(9), Order(9)} {
		if s.String() == "" {
			t.Errorf("%T prints nothing", s)
		}
	}
	d := Record{}.Decide(0, Term{})
	if d.Verdict != Hold || d.Wait <= 0 {
		t.Errorf("the zero record decides %+v", d)
	}
}

type nothing struct{}

func (nothing) Spec() string                       { return "nothing" }
func (nothing) Compile(*Cohort, Set) (Rule, error) { return nil, nil }

// leaderless is durable without the leader's own node.
type leaderless struct{}

func (leaderless) Spec() string                       { return "leaderless" }
func (leaderless) Compile(*Cohort, Set) (Rule, error) { return leaderless{}, nil }
func (leaderless) Durable(_ Member, have Set) bool    { return have.Len() >= 2 }

func TestG10_BadRulesetsAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]Node, MaxMembers+1)
	for i := range many {
		many[i] = Node{ID: NodeID(fmt.Sprintf("n%d", i))}
	}
	for name, c := range map[string]struct {
		p     Policy
		nodes []Node
		as    func(error) bool
	}{
		"empty cohort":     {Majority(), nil, func(err error) bool { return errors.Is(err, ErrEmptyCohort) }},
		"duplicate node":   {Majority(), []Node{{ID: "a"}, {ID: "a"}}, isA[*DuplicateNodeError]},
		"bad node id":      {Majority(), []Node{{ID: "a b"}}, isA[*NodeIDError]},
		"empty node id":    {Majority(), []Node{{}}, isA[*NodeIDError]},
		"negative weight":  {Majority(), []Node{{ID: "a", Weight: -1}}, isA[*WeightError]},
		"cohort of 65":     {Majority(), many, isA[*CohortSizeError]},
		"unsatisfiable":    {AtLeast(3), []Node{{ID: "a"}, {ID: "b"}}, isA[*PolicyError]},
		"no copies":        {AtLeast(0), []Node{{ID: "a"}}, isA[*PolicyError]},
		"no zone":          {Zones(1), []Node{{ID: "a"}}, isA[*PolicyError]},
		"huge weight":      {Weighted(0), []Node{{ID: "a", Weight: 1 << 30}}, isA[*PolicyError]},
		"nobody may lead":  {Majority(), []Node{{ID: "a", Ineligible: true}}, isA[*IneligibleError]},
		"no policy":        {nil, []Node{{ID: "a"}}, func(err error) bool { return errors.Is(err, ErrNoPolicy) }},
		"half a joint":     {Joint(Majority(), nil), []Node{{ID: "a"}}, func(err error) bool { return errors.Is(err, ErrNoPolicy) }},
		"no rule":          {nothing{}, []Node{{ID: "a"}}, isA[*PolicyError]},
		"not self":         {leaderless{}, []Node{{ID: "a"}, {ID: "b"}, {ID: "c"}}, isA[*PolicyError]},
		"weight too large": {Weighted(1 << 30), []Node{{ID: "a"}}, isA[*PolicyError]},
	} {
		rs, err := NewRuleset(c.p, c.nodes...)
		if !c.as(err) {
			t.Errorf("%s: %v (%T)", name, err, err)
		}
		if !rs.IsZero() {
			t.Errorf("%s: a ruleset came with the error", name)
		}
	}
	full := many[:MaxMembers]
	rs, err := NewRuleset(All(), full...)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := rs.Compile(nil)
	if err != nil || !rules.Durable(63, rules.Members()) || rules.Durable(63, rules.Members().Without(0)) {
		t.Errorf("a cohort of 64: %v", err)
	}
}

func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func TestG10_BadRoundsAndTermsAreRefused(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	for _, tm := range []Term{{}, {Num: 1}, {Proposer: "c"}, {Num: 1 << 62, Proposer: "c"}, {Num: 1, Proposer: "C"}, {Num: 1, Proposer: "abcdefghijklmnopqrstu"}} {
		_, err := NewRound(RoundConfig{Term: tm, Rulesets: []Ruleset{rs}})
		wantAs[*TermError](t, err)
		rec := Record{Mode: Full}
		next, err := rec.Begin(Intent{Term: tm}, true)
		wantAs[*TermError](t, err)
		if !next.Equal(rec) {
			t.Error("touched")
		}
		next, err = rec.Hold(Isolation{Node: "n0", Term: tm})
		wantAs[*TermError](t, err)
		if !next.Equal(rec) {
			t.Error("touched")
		}
	}
	_, err := NextTerm("c", term(MaxTermNum, "x"))
	wantAs[*TermError](t, err)
	_, err = NextTerm("c", term(^uint64(0), "x"))
	wantAs[*TermError](t, err)
	if tm, err := NextTerm("c", term(3, "z"), Term{}, term(7, "a")); err != nil || tm != term(8, "c") {
		t.Errorf("NextTerm %v %v", tm, err)
	}
	_, err = NewRound(RoundConfig{Term: term(1, "c")})
	wantIs(t, err, ErrEmptyCohort)
	_, err = NewRound(RoundConfig{Term: term(1, "c"), Rulesets: []Ruleset{rs}, Known: &Leadership{Leader: "x"}})
	wantAs[*UnknownNodeError](t, err)
	r := newRound(t, term(2, "c"), rs)
	wantAs[*UnknownNodeError](t, r.Add(promise(r, "stranger", at(1))))
	bad := promise(r, "n0", at(1))
	bad.Markers = []Sighting{{Marker: Marker{Ruleset: Ruleset{Version: 2, Members: rs.Members, Policy: "nobody knows"}}}}
	wantAs[*PolicyError](t, r.Add(bad))
	if len(r.Blocked()) != 0 {
		t.Error("a testimony that was refused was counted")
	}
	barred, err := NewRound(RoundConfig{Term: term(2, "c"), Rulesets: []Ruleset{rs}, Barred: func(at Testimony) string {
		id := at.Node
		if id == "n0" {
			return "gone"
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantAs[*BarredError](t, barred.Add(promise(barred, "n0", at(1))))
	if len(barred.Blocked()) != 1 || len(barred.Reads()) != 0 {
		t.Error("a barred node's promise counts, and its log does not")
	}
	rs.Members[2].Ineligible = true
	r = newRound(t, term(2, "c"), rs)
	add(t, r, promise(r, "n1", at(1)), promise(r, "n2", at(1)))
	wantAs[*IneligibleError](t, r.Ready("n2"))
	wantAs[*UnknownNodeError](t, r.Ready("x"))
}

func TestG10_RegistriesRefuseAfterCloseAndCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var reg MemoryRegistry
	_, err := Update(ctx, &reg, func(Record) (Record, error) { t.Error("called"); return Record{}, nil })
	wantIs(t, err, context.Canceled)
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Update(t.Context(), &reg, func(Record) (Record, error) { t.Error("called"); return Record{}, nil })
	wantIs(t, err, ErrClosed)
}
