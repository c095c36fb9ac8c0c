package leadership_test

import (
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// n0 leads under the first ruleset. The attempt of term 2 made a marker with
// another ruleset durable, so that its candidate knew it to be complete, and died
// before it was activated. The attempt of term 3 missed it, as it may in Shortcut
// mode, and n0 was activated again. Who hears of the marker at term 4 must not
// judge n0 by a ruleset that n0 never had.
func TestG6_ARulesetThatWasNeverActivatedTakesNoOtherOutOfForce(t *testing.T) {
	t.Parallel()
	first, second := ruleset(t, 1, Majority(), "n0", "n1", "n2"), ruleset(t, 2, Majority(), "n0", "n1", "n2", "n3")
	round := func() *Round {
		return must(NewRound(RoundConfig{Term: term(4, "c"), Rulesets: []Ruleset{first}, Known: &Leadership{Leader: "n0", Term: term(3, "c")}}))
	}
	seen := func(r *Round, id NodeID) Testimony {
		w := promise(r, id, at(1, 2))
		w.Markers = []Sighting{{Marker: Marker{Term: term(2, "c"), Leader: "n1", Ruleset: second, Over: []Ruleset{first}}, Decided: true}}
		return w
	}
	r := round()
	add(t, r, seen(r, "n2"))
	if err := r.Add(seen(r, "n3")); err != nil {
		t.Fatal(err)
	}
	// {n0, n1} is no majority of the four, and one of the three.
	e := wantAs[*NotRevokedError](t, r.Revoked())
	if e.Counter.Ruleset != 1 {
		t.Errorf("the counter-example is %v", e.Counter)
	}
	// n1 has promised and was not read: what n0 completed with it may be there only.
	add(t, r, Testimony{Node: "n1", Term: r.Term(), Kind: Promised})
	if err := r.Revoked(); err != nil {
		t.Error(err)
	}
	wantAs[*NotDiscoveredError](t, r.Discovered())

	// What the record had before the ruleset of now is over: it was activated.
	r = must(NewRound(RoundConfig{Term: term(4, "c"), Rulesets: []Ruleset{second}, Known: &Leadership{Leader: "n0", Term: term(3, "c")}}))
	old := promise(r, "n0", at(1, 3))
	old.Markers = []Sighting{{Marker: Marker{Term: term(1, "c"), Leader: "n0", Ruleset: first}, Decided: true}, {Marker: Marker{Term: term(3, "c"), Leader: "n0", Ruleset: second}, Decided: true}}
	add(t, r, old)
	if got := r.Rulesets(); len(got) != 1 || !got[0].Equal(second) {
		t.Errorf("in force are %+v", got)
	}
	if err := r.Revoked(); err != nil {
		t.Errorf("the known leader has promised: %v", err)
	}
}

// A registry that was restored from an old copy names a leader that is none any
// more. Whoever follows the leader of now knows its marker to be complete.
func TestACompleteMarkerAboveTheKnownLeaderMeansThatNobodyIsKnown(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, AtLeast(2), ids(4)...)
	for _, decided := range []bool{false, true} {
		r := must(NewRound(RoundConfig{Term: term(7, "c"), Rulesets: []Ruleset{rs}, Known: &Leadership{Leader: "n0", Term: term(1, "c")}}))
		w := promise(r, "n0", at(1, 5))
		w.Markers = []Sighting{{Marker: Marker{Term: term(1, "c"), Leader: "n0", Ruleset: rs}, Decided: true}, {Marker: Marker{Term: term(5, "c"), Leader: "n1", Ruleset: rs}, Decided: decided}}
		add(t, r, w)
		if err := r.Revoked(); (err != nil) != decided {
			t.Errorf("decided %v: %v", decided, err)
		}
	}
}

func TestAGrantOfTheKnownTermAtAnotherNodeMeansThatNobodyIsKnown(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, AtLeast(2), ids(4)...)
	r := must(NewRound(RoundConfig{Term: term(5, "c"), Rulesets: []Ruleset{rs}, Known: &Leadership{Leader: "n0", Term: term(3, "c")}}))
	own, other := promise(r, "n0", at(1, 3)), promise(r, "n1", at(1, 3))
	own.Led, other.Led = term(3, "c"), term(3, "c")
	add(t, r, own)
	if err := r.Revoked(); err != nil {
		t.Fatalf("the known leader has promised: %v", err)
	}
	add(t, r, other)
	wantAs[*NotRevokedError](t, r.Revoked())
}

// A node may show its log with its markers before its position is read.
func TestAMarkerAboveTheTermSupersedesTheRound(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(5, "c"), ruleset(t, 1, Majority(), ids(3)...))
	w := Testimony{Node: "n0", Term: r.Term(), Kind: Promised, Markers: []Sighting{{Marker: Marker{Term: term(6, "d"), Leader: "n1"}}}}
	if e := wantAs[*SupersededError](t, r.Add(w)); e.By != term(6, "d") {
		t.Errorf("superseded by %s", e.By)
	}
}

// Logs of one term are told apart by their length. An adapter that leaves it out
// would make a shorter log as good as the longest.
func TestAPositionWithoutAPlaceIsNoRead(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(5, "c"), ruleset(t, 1, Majority(), ids(3)...))
	long, short := &Position{Term: term(2, "c")}, &Position{Term: term(2, "c")}
	wantAs[*TextError](t, r.Add(promise(r, "n0", long)))
	wantAs[*TextError](t, r.Add(promise(r, "n1", short)))
	if err := r.Revoked(); err != nil {
		t.Errorf("both have promised: %v", err)
	}
	wantAs[*NotDiscoveredError](t, r.Discovered())
	// An empty log has no place to name, and one that is read again is read.
	add(t, r, promise(r, "n0", &Position{}), promise(r, "n1", at(2)))
	if err := r.Discovered(); err != nil || len(r.Reads()) != 2 {
		t.Errorf("%v, read %v", err, r.Reads())
	}
}

// A coordinator that was paused finishes its writes after a newer one's.
func TestWhatALateCoordinatorWritesTakesNoNewerWordBack(t *testing.T) {
	t.Parallel()
	r := must(Record{}.Create("c", Full, ruleset(t, 1, Majority(), ids(3)...)))

	// The attempt of term 5 began without the registry: the fence is below it.
	held := must(r.Hold(Isolation{Node: "n0", Term: term(5, "b"), By: "b"}))
	got, err := held.Hold(Isolation{Node: "n0", Term: term(4, "a"), By: "a"})
	if e := wantAs[*SupersededError](t, err); e.By != term(5, "b") || !got.Equal(held) {
		t.Errorf("%v, %+v", e, got.Held)
	}
	promised := Testimony{Node: "n0", Term: term(4, "a"), Kind: Promised}
	_, err = got.Release(promised)
	wantAs[*TransitionError](t, err)
	if again := must(held.Hold(Isolation{Node: "n0", Term: term(5, "b"), By: "b"})); !again.Equal(held) {
		t.Errorf("the same again: %+v", again.Held)
	}
	if next := must(held.Hold(Isolation{Node: "n0", Term: term(6, "c")})); len(next.Held) != 1 || next.Held[0].Term != term(6, "c") {
		t.Errorf("a newer one: %+v", next.Held)
	}
	if two := must(held.Hold(Isolation{Node: "n1", Term: term(4, "a")})); len(two.Held) != 2 {
		t.Errorf("another node: %+v", two.Held)
	}

	barred := must(r.Bar(Bar{Node: "n0", Term: term(5, "b")}))
	late := must(barred.Bar(Bar{Node: "n0", Term: term(4, "a")}))
	old := Testimony{Node: "n0", Term: term(9, "c"), Read: &Position{Term: term(4, "a")}}
	if !late.Equal(barred) || late.IsBarred(old) == "" {
		t.Errorf("the older word counts: %+v", late.Barred)
	}
	if next := must(barred.Bar(Bar{Node: "n0", Term: term(6, "c")})); len(next.Barred) != 1 || next.Barred[0].Term != term(6, "c") {
		t.Errorf("a newer one: %+v", next.Barred)
	}
	_, err = r.Bar(Bar{Node: "n0"})
	wantAs[*TermError](t, err) // it would bar nothing
}
