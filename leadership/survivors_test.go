package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// gone is a waiver of all but the last of n nodes, with a ruleset to go on with.
func gone(t *testing.T, on Ruleset, ids ...NodeID) Waiver {
	t.Helper()
	on.Version = 0
	return Waiver{Gone: ids, Loss: true, Reason: "fire", By: "me", Ruleset: &on}
}

func waive(t *testing.T, r *Round, w Waiver) {
	t.Helper()
	if err := r.Waive(w); err != nil {
		t.Fatal(err)
	}
}

func shows(p Testimony, ss ...Sighting) Testimony {
	p.Markers = ss
	return p
}

func propose(t *testing.T, r *Round, to NodeID) *Proposal {
	t.Helper()
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Propose(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSurvivorsGoOnUnderARulesetOfTheirOwn(t *testing.T) {
	t.Parallel()
	v1, alone := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 1, Majority(), "n2")
	r := newRound(t, term(2, "c"), v1)
	waive(t, r, gone(t, alone, "n0", "n1"))
	if got := r.Missing(); len(got) != 1 || !slices.Equal(got[0], []NodeID{"n2"}) {
		t.Errorf("missing %v", got)
	}
	add(t, r, promise(r, "n2", at(1)))
	p := propose(t, r, "n2")
	m := p.Marker()
	if m.Ruleset.Version != 2 || !slices.Equal(m.Ruleset.IDs(), []NodeID{"n2"}) || len(m.Over) != 0 || len(m.Waived) != 1 || !m.Waived[0].Equal(v1) {
		t.Errorf("marker %+v", m)
	}
	if !slices.Equal(p.Members(), []NodeID{"n2"}) {
		t.Errorf("who is gone is asked to accept: %v", p.Members())
	}
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.Propose("n2", nil); err != nil || again != p {
		t.Errorf("a retry is another proposal: %v", err)
	}
	_, err = v.Propose("n2", &alone)
	wantAs[*WaiverError](t, err)
	_, err = p.Installed()
	wantAs[*NotDurableError](t, err)
	if err := p.Add(Acceptance{Node: "n2", Term: r.Term(), Leader: "n2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Installed(); err != nil {
		t.Error(err)
	}
	if c := m; !c.Equal(p.Marker()) || c.Equal(Marker{Term: m.Term, Leader: m.Leader, Ruleset: m.Ruleset}) {
		t.Error("markers that differ in what they waive are equal, or one is not like itself")
	}
}

func TestSurvivorsAreRefused(t *testing.T) {
	t.Parallel()
	v1 := ruleset(t, 1, Majority(), ids(5)...)
	two := ruleset(t, 1, Majority(), "n3", "n4")
	for name, c := range map[string]struct {
		waiver Waiver
		hear   []NodeID
	}{
		"who is not gone is not heard":         {gone(t, two, "n0", "n1", "n2"), ids(5)[3:4]},
		"the ruleset can be satisfied":         {gone(t, ruleset(t, 1, Majority(), ids(5)[2:]...), "n0", "n1"), ids(5)[2:]},
		"who is gone answers":                  {gone(t, two, "n0", "n1", "n2"), ids(5)[2:]},
		"one of the survivors is not declared": {gone(t, ruleset(t, 1, Majority(), "n4"), "n0", "n1", "n2"), ids(5)[4:]},
	} {
		r := newRound(t, term(2, "c"), v1)
		waive(t, r, c.waiver)
		for _, id := range c.hear {
			_ = r.Add(promise(r, id, at(1)))
		}
		if err := r.Revoked(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := r.Revocation()
		wantAs[*WaiverError](t, err)
	}
	// One that promised and whose log was not read may hold more than the others.
	r := newRound(t, term(2, "c"), v1)
	waive(t, r, gone(t, two, "n0", "n1", "n2"))
	add(t, r, promise(r, "n4", at(1)), promise(r, "n3", nil))
	_, err := r.Revocation()
	wantAs[*WaiverError](t, err)
	// One that cannot lead, for a majority of two, is not enough either.
	r = newRound(t, term(2, "c"), v1)
	lame := two
	lame.Members = slices.Clone(two.Members)
	lame.Members[0].Ineligible = true
	waive(t, r, gone(t, lame, "n0", "n1", "n2"))
	add(t, r, promise(r, "n3", at(1)), promise(r, "n4", at(1)))
	wantAs[*IneligibleError](t, r.Ready("n3"))
	if err := r.Ready("n4"); err != nil {
		t.Error(err)
	}

	r = newRound(t, term(2, "c"), v1)
	stranger := ruleset(t, 1, Majority(), "n3", "x")
	for _, w := range []Waiver{gone(t, two, "n0", "n3"), gone(t, stranger, "n0", "n1", "n2")} {
		wantAs[*WaiverError](t, r.Waive(w))
	}
	odd := two
	odd.Policy = "no such"
	wantAs[*PolicyError](t, r.Waive(gone(t, odd, "n0", "n1", "n2")))
	if len(r.Blocked())+len(r.Waivers()) != 0 {
		t.Error("a refused waiver left something behind")
	}
	waive(t, r, gone(t, two, "n0", "n1", "n2"))
	wantAs[*WaiverError](t, r.Waive(gone(t, two, "n0", "n1", "n2")))

	// Nor when a candidate was proposed under what it would replace.
	r = newRound(t, term(2, "c"), v1)
	for _, id := range ids(5)[2:] {
		add(t, r, promise(r, id, at(1)))
	}
	p := propose(t, r, "n4")
	wantAs[*WaiverError](t, r.Waive(gone(t, ruleset(t, 1, Majority(), "n4"), "n0", "n1")))
	if v, err := r.Revocation(); err != nil {
		t.Error(err)
	} else if again, err := v.Propose("n4", nil); err != nil || again != p {
		t.Errorf("a refused waiver made another proposal: %v", err)
	}
}

// That a log shows it does not make a ruleset the only one: the attempt may have
// been abandoned, and the nodes may have been found again.
func TestAWaivedRulesetIsOverOnlyForWhoKnowsTheNextFromTheRecord(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, Majority(), "n2")
	marker := Marker{Term: term(2, "c"), Leader: "n2", Ruleset: v2, Waived: []Ruleset{v1}}
	for _, c := range []struct {
		name    string
		known   Ruleset
		decided bool
		want    []uint64
	}{
		{"an old record", v1, false, []uint64{1, 2}},
		{"an old record, and it is complete", v1, true, []uint64{2}},
		{"the record", v2, false, []uint64{2}},
	} {
		for _, first := range []bool{true, false} {
			r := newRound(t, term(3, "c"), c.known)
			survivor := shows(promise(r, "n2", at(1, 2)), Sighting{Marker: Marker{Term: term(1, "c"), Leader: "n0", Ruleset: v1}, Decided: true}, Sighting{Marker: marker, Decided: c.decided})
			old := shows(promise(r, "n0", at(1)), Sighting{Marker: Marker{Term: term(1, "c"), Leader: "n0", Ruleset: v1}, Decided: true})
			all := []Testimony{survivor, old}
			if !first {
				slices.Reverse(all)
			}
			for _, p := range all {
				_ = r.Add(p)
			}
			var got []uint64
			for _, rs := range r.Rulesets() {
				got = append(got, rs.Version)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: in force are %v, want %v", c.name, got, c.want)
			}
			if c.known.Equal(v2) {
				if m := propose(t, r, "n2").Marker(); len(m.Waived) != 1 || !m.Waived[0].Equal(v1) {
					t.Errorf("%s: the next marker does not keep the old ruleset out: %+v", c.name, m)
				}
			}
		}
	}
	// In shortcut mode the record's own is what counts, complete or not.
	for _, decided := range []bool{false, true} {
		r, err := NewRound(RoundConfig{Term: term(3, "c"), Rulesets: []Ruleset{v2}, Known: &Leadership{Leader: "n2", Term: term(2, "c")}})
		if err != nil {
			t.Fatal(err)
		}
		first := Sighting{Marker: Marker{Term: term(1, "c"), Leader: "n0", Ruleset: v1}}
		add(t, r, shows(promise(r, "n2", at(1, 2)), first, Sighting{Marker: marker, Decided: decided}))
		if got := r.Rulesets(); len(got) != 1 || !got[0].Equal(v2) {
			t.Errorf("decided %v: in force are %v", decided, got)
		}
	}
	// A marker cannot lift what is not below it.
	r := newRound(t, term(3, "c"), v2)
	marker.Waived = []Ruleset{v2}
	add(t, r, shows(promise(r, "n2", at(1, 2)), Sighting{Marker: marker}))
	if got := r.Rulesets(); len(got) != 1 || !got[0].Equal(v2) {
		t.Errorf("in force are %v", got)
	}
}

// An older draft is never gone back to: whoever sees a newer one complete would
// ignore what is in use, and establish a second leader.
func TestALastResortGoesBackToNoOlderDraft(t *testing.T) {
	t.Parallel()
	v1 := ruleset(t, 1, Majority(), "n1", "n2", "n3", "n4", "n5", "n6", "n7")
	lost := []NodeID{"n1", "n2", "n5", "n7"}
	alone, three := ruleset(t, 1, Majority(), "n3"), ruleset(t, 1, Majority(), "n3", "n4", "n6")
	live := []NodeID{"n3", "n4", "n6"}
	// One for n3 alone came into its log and no further.
	a := newRound(t, term(2, "a"), v1)
	waive(t, a, gone(t, alone, lost...))
	for _, id := range live {
		add(t, a, promise(a, id, at(1)))
	}
	ma := propose(t, a, "n3").Marker()
	// Another, for all three, became durable and was never activated.
	b := newRound(t, term(3, "b"), v1)
	waive(t, b, gone(t, three, lost...))
	add(t, b, shows(promise(b, "n3", at(1, 2)), Sighting{Marker: ma}), promise(b, "n4", at(1)), promise(b, "n6", at(1)))
	mb := propose(t, b, "n3").Marker()
	// The third is for n3 alone again.
	c := newRound(t, term(4, "c"), v1)
	waive(t, c, gone(t, alone, lost...))
	for _, id := range live {
		add(t, c, shows(promise(c, id, at(1, 2, 3)), Sighting{Marker: ma}, Sighting{Marker: mb}))
	}
	mc := propose(t, c, "n3").Marker()
	if ma.Ruleset.Version != 2 || mb.Ruleset.Version != 3 || mc.Ruleset.Version != 4 || len(mc.Over) != 2 {
		t.Errorf("versions %d, %d, %d, the last over %d", ma.Ruleset.Version, mb.Ruleset.Version, mc.Ruleset.Version, len(mc.Over))
	}
	// It is activated, and n3 leads alone: n4 and n6 are not enough for anybody.
	d := newRound(t, term(5, "d"), mc.Ruleset)
	for _, id := range live[1:] {
		add(t, d, shows(promise(d, id, at(1, 2, 3, 4)), Sighting{Marker: ma, Decided: true}, Sighting{Marker: mb, Decided: true}, Sighting{Marker: mc, Decided: true}))
	}
	wantAs[*NotRevokedError](t, d.Ready("n4"))
}

// Of two drafts of one version neither is gone on with: one of them may be complete.
func TestALastResortGoesOnWithNoneOfTwoDraftsOfOneVersion(t *testing.T) {
	t.Parallel()
	v1, alone, all := ruleset(t, 1, Majority(), ids(5)...), ruleset(t, 2, Majority(), "n4"), ruleset(t, 2, All(), "n3", "n4")
	first := Sighting{Marker: Marker{Term: term(2, "c"), Leader: "n4", Ruleset: alone, Waived: []Ruleset{v1}}}
	other := Sighting{Marker: Marker{Term: term(3, "c"), Leader: "n3", Ruleset: all, Waived: []Ruleset{v1}}}
	for _, on := range []Ruleset{alone, all} {
		r := newRound(t, term(4, "c"), v1)
		waive(t, r, gone(t, on, "n0", "n1", "n2"))
		add(t, r, shows(promise(r, "n3", at(1, 3)), other), shows(promise(r, "n4", at(1, 2)), first))
		if m := propose(t, r, "n4").Marker(); m.Ruleset.Version != 3 || len(m.Over) != 2 {
			t.Errorf("marker %+v", m)
		}
	}
}

// The person says it again after an attempt that came as far as the log.
func TestSurvivorsGoOnFromAnAttemptBefore(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, Majority(), "n2")
	marker := Marker{Term: term(2, "c"), Leader: "n2", Ruleset: v2, Waived: []Ruleset{v1}}
	for _, c := range []struct {
		on          Ruleset
		want        uint64
		over, waive int
	}{
		{v2, 2, 0, 1},
		{ruleset(t, 2, All(), "n2"), 3, 1, 1},
	} {
		r := newRound(t, term(3, "c"), v1)
		waive(t, r, gone(t, c.on, "n0", "n1"))
		add(t, r, shows(promise(r, "n2", at(1, 2)), Sighting{Marker: marker}))
		m := propose(t, r, "n2").Marker()
		if m.Ruleset.Version != c.want || m.Ruleset.Policy != c.on.Policy || len(m.Over) != c.over || len(m.Waived) != c.waive {
			t.Errorf("marker %+v", m)
		}
	}
	// A version of one's own must be above all that are in force.
	r := newRound(t, term(3, "c"), v1)
	w := gone(t, ruleset(t, 1, All(), "n2"), "n0", "n1")
	w.Ruleset.Version = 2
	waive(t, r, w)
	add(t, r, shows(promise(r, "n2", at(1, 2)), Sighting{Marker: marker}))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Propose("n2", nil)
	wantAs[*TransitionError](t, err)
}
