package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

func TestATermCarriesOneProposal(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	add(t, r, promise(r, "n0", at(1)), promise(r, "n1", at(1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Propose("n1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.Propose("n1", nil); err != nil || again != p {
		t.Errorf("asked again: %p %v, want %p", again, err, p)
	}
	_, err = v.Propose("n0", nil)
	wantAs[*BoundError](t, err)
	next := ruleset(t, 2, All(), ids(3)...)
	_, err = v.Propose("n1", &next)
	wantAs[*BoundError](t, err)
	v2, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	_, err = v2.Propose("n0", nil)
	wantAs[*BoundError](t, err)
}

// The log is selected when the term is bound, not when the proof was minted: a
// held block may have been undone in between, and its node completed more.
func TestProposeSelectsFromTheReadsThatCountByThen(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, AtLeast(2), ids(4)...))
	add(t, r, Testimony{Node: "n0", Term: r.Term(), Kind: Isolated, Incarnation: "a", Read: at(1)},
		promise(r, "n1", at(1)), promise(r, "n2", at(1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	add(t, r, Testimony{Node: "n0", Term: r.Term(), Incarnation: "b"})
	_, err = v.Propose("n1", nil)
	wantAs[*NotRevokedError](t, err)
	n0 := promise(r, "n0", at(1, 1)) // it completed index 2 with n3
	n0.Incarnation = "b"
	add(t, r, n0)
	p, err := v.Propose("n1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Donors(); !slices.Equal(got, []NodeID{"n0"}) || p.Selection().Rank(*at(1, 1)) != Same {
		t.Errorf("selected %s from %v", p.Selection(), got)
	}
}

func TestRulesetChangeMustBeDurableUnderBoth(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, Majority(), "n0", "n3", "n4")
	r := newRound(t, term(2, "c"), v1)
	add(t, r, promise(r, "n0", at(1)), promise(r, "n1", at(1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Propose("n0", &v1)
	wantAs[*TransitionError](t, err)
	_, err = v.Propose("n1", &v2)
	wantAs[*IneligibleError](t, err)
	p, err := v.Propose("n0", &v2) // the refusals before bound nothing
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Marker(); !m.Ruleset.Equal(v2) || len(m.Over) != 1 || !m.Over[0].Equal(v1) {
		t.Errorf("marker %+v", m)
	}
	accept := func(id NodeID) error { return p.Add(Acceptance{Node: id, Term: r.Term(), Leader: "n0"}) }
	for _, id := range []NodeID{"n0", "n1"} { // durable under v1 alone
		if err := accept(id); err != nil {
			t.Fatal(err)
		}
	}
	_, err = p.Installed()
	if e := wantAs[*NotDurableError](t, err); e.Ruleset != 2 {
		t.Errorf("not durable under %d", e.Ruleset)
	}
	wantAs[*UnknownNodeError](t, accept("n9"))
	wantAs[*StaleTermError](t, p.Add(Acceptance{Node: "n3", Term: term(1, "c"), Leader: "n0"}))
	wantAs[*StaleTermError](t, p.Add(Acceptance{Node: "n3", Term: r.Term(), Leader: "n1"}))
	if err := accept("n4"); err != nil {
		t.Fatal(err)
	}
	in, err := p.Installed()
	if err != nil {
		t.Fatal(err)
	}
	if in.Leadership() != (Leadership{Leader: "n0", Term: r.Term()}) {
		t.Errorf("installed %v", in.Leadership())
	}
}

// Answers go on arriving after the term is bound; what they show must not
// change the proposal.
func TestLateTestimonyDoesNotChangeAProposal(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, Majority(), ids(3)...)
	r := newRound(t, term(3, "c"), v1, v2)
	add(t, r, promise(r, "n0", at(1)), promise(r, "n1", at(1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Propose("n0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Marker(); m.Ruleset.Version != 2 {
		t.Errorf("the marker goes back to ruleset %d", m.Ruleset.Version)
	}
	late := promise(r, "n2", at(1))
	late.Markers = []Sighting{{Marker: Marker{Ruleset: v2}, Decided: true}}
	add(t, r, late)
	if got := len(p.Marker().Over); got != 1 {
		t.Errorf("%d rulesets over the marker", got)
	}
	if _, err := p.Installed(); err == nil {
		t.Error("installed on nothing")
	}
	for _, id := range ids(2) {
		if err := p.Add(Acceptance{Node: id, Term: r.Term(), Leader: "n0"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Installed(); err != nil {
		t.Error(err)
	}
}

// The marker carries on the ruleset that the selected log shows, also when the
// node shows it with its promise and is read later.
func TestMarkerInheritsTheRulesetOfTheSelectedLog(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, All(), ids(3)...)
	for _, c := range []struct {
		shows NodeID
		want  uint64
	}{{"n0", 2}, {"n1", 1}} { // n0 holds the selected log
		r := newRound(t, term(5, "c"), v1)
		for _, id := range ids(3) {
			p := promise(r, id, nil)
			if id == c.shows {
				p.Markers = []Sighting{{Marker: Marker{Ruleset: v2, Over: []Ruleset{v1}}}, {Marker: Marker{}}}
			}
			add(t, r, p)
		}
		add(t, r, Testimony{Node: "n0", Term: r.Term(), Read: at(1, 2)},
			Testimony{Node: "n1", Term: r.Term(), Read: at(1)}, Testimony{Node: "n2", Term: r.Term(), Read: at(1)})
		v, err := r.Revocation()
		if err != nil {
			t.Fatal(err)
		}
		p, err := v.Propose("n0", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Marker(); got.Ruleset.Version != c.want || len(got.Over) != 1 {
			t.Errorf("%s shows ruleset 2: the marker is of %d over %d", c.shows, got.Ruleset.Version, len(got.Over))
		}
	}
}
