package leadership_test

import (
	"slices"
	"testing"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

// With 2 of 4, a reached set that is durable itself proves nothing: n0 has n3.
func TestReachedSetThatIsDurableDoesNotRevoke(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, AtLeast(2), ids(4)...))
	add(t, r, promise(r, "n1", at(1)), promise(r, "n2", at(1)))
	e := wantAs[*NotRevokedError](t, r.Revoked())
	if got, want := e.Counter.String(), "n0 could still complete with {n0, n3} (ruleset 1): reach n0 or n3"; got != want {
		t.Errorf("counter-example %q, want %q", got, want)
	}
	if _, err := r.Revocation(); err == nil {
		t.Error("a revocation was minted")
	}
	add(t, r, promise(r, "n3", at(1)))
	if err := r.Ready("n1"); err != nil {
		t.Error(err)
	}
}

// 2 of 4 refuses reach 2 and accepts 3; 3 of 4 accepts reach 2, which is what
// unique terms make sound.
func TestReachThatSufficesFollowsThePolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, reach int
		ok       bool
	}{{2, 2, false}, {2, 3, true}, {3, 1, false}, {3, 2, true}, {4, 1, true}, {1, 3, false}, {1, 4, true}} {
		r := newRound(t, term(2, "c"), ruleset(t, 1, AtLeast(c.k), ids(4)...))
		for _, id := range ids(4)[:c.reach] {
			add(t, r, promise(r, id, at(1)))
		}
		if got := r.Revoked() == nil; got != c.ok {
			t.Errorf("%d of 4, %d reached: %v", c.k, c.reach, r.Revoked())
		}
		// A node that answers twice is one node.
		for range 4 {
			add(t, r, promise(r, "n0", at(1)))
		}
		if got := r.Revoked() == nil; got != c.ok {
			t.Errorf("%d of 4, %d reached, n0 five times: %v", c.k, c.reach, r.Revoked())
		}
	}
}

func TestReadBeforeBlockIsNotDiscovery(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	early := Testimony{Node: "n1", Term: r.Term(), Kind: Statement, Read: at(1)}
	wantAs[*ReadBeforeBlockError](t, r.Add(early))
	add(t, r, promise(r, "n1", nil), promise(r, "n2", nil))
	if err := r.Revoked(); err != nil {
		t.Fatal(err)
	}
	wantAs[*NotDiscoveredError](t, r.Discovered())
	// Read again, after the block: n0 had completed index 2 on n1 in between.
	add(t, r, Testimony{Node: "n1", Term: r.Term(), Kind: Statement, Read: at(1, 1)},
		Testimony{Node: "n2", Term: r.Term(), Kind: Statement, Read: at(1)})
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Donors(); !slices.Equal(got, []NodeID{"n1"}) {
		t.Errorf("donors %v", got)
	}
}

// A read of a node that was not blocked counts because revocation held. When a
// ruleset comes to light under which it did not hold, the read is void: with 2
// of 4, n0 may have completed on n3 since.
func TestReadThatReliedOnRevocationIsVoidWithIt(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, AtLeast(3), ids(4)...), ruleset(t, 2, AtLeast(2), ids(4)...)
	r := newRound(t, term(2, "c"), v1)
	add(t, r, promise(r, "n1", nil), promise(r, "n2", nil))
	add(t, r, Testimony{Node: "n3", Term: r.Term(), Kind: Statement, Read: at(1)})
	add(t, r, Testimony{Node: "n1", Term: r.Term(), Read: at(1), Markers: []Sighting{{Marker: Marker{Ruleset: v2}, Decided: true}}})
	wantAs[*NotRevokedError](t, r.Revoked())
	add(t, r, promise(r, "n3", nil), Testimony{Node: "n2", Term: r.Term(), Read: at(1)})
	if err := r.Revoked(); err != nil {
		t.Fatal(err)
	}
	wantAs[*NotDiscoveredError](t, r.Discovered())

	// The same when the block it relied on turns out to be undone.
	r = newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	add(t, r, Testimony{Node: "n0", Incarnation: "a", Term: r.Term(), Kind: Isolated}, promise(r, "n1", at(1)))
	add(t, r, Testimony{Node: "n2", Term: r.Term(), Read: at(1)})
	if err := r.Discovered(); err != nil {
		t.Fatal(err)
	}
	_ = r.Add(Testimony{Node: "n0", Incarnation: "b", Term: r.Term()})
	add(t, r, promise(r, "n2", nil))
	if err := r.Revoked(); err != nil {
		t.Fatal(err)
	}
	wantAs[*NotDiscoveredError](t, r.Discovered())
}

func TestSelectionIsByAcceptedTermThenLength(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reads  map[NodeID]*Position
		donors []NodeID
	}{
		"a long tail of a stale leader loses": {map[NodeID]*Position{"n0": at(1, 1, 1), "n1": at(1, 2)}, []NodeID{"n1"}},
		"a promise without content loses":     {map[NodeID]*Position{"n0": at(1, 1), "n2": at(1)}, []NodeID{"n0"}},
		"equal logs are both donors":          {map[NodeID]*Position{"n0": at(1, 1), "n2": at(1, 1)}, []NodeID{"n0", "n2"}},
		"an empty log loses":                  {map[NodeID]*Position{"n0": at(), "n1": at(1)}, []NodeID{"n1"}},
	} {
		r := newRound(t, term(3, "c"), ruleset(t, 1, Majority(), ids(3)...))
		for _, id := range ids(3) {
			if c.reads[id] != nil {
				add(t, r, promise(r, id, c.reads[id]))
			}
		}
		v, err := r.Revocation()
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Donors(); !slices.Equal(got, c.donors) {
			t.Errorf("%s: donors %v, want %v", name, got, c.donors)
		}
	}
}

// Two attempts of one number: with the tie-break, the node that both reach
// refuses one of them, and disjoint sets cannot both be candidates.
func TestEqualNumbersAreOrderedByProposer(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, AtLeast(3), ids(4)...)
	a, b := newRound(t, term(2, "a"), rs), newRound(t, term(2, "b"), rs)
	add(t, a, promise(a, "n0", at(1)), promise(a, "n1", at(1)))
	add(t, b, promise(b, "n2", at(1)), promise(b, "n3", at(1)))
	for _, r := range []*Round{a, b} {
		if err := r.Revoked(); err != nil {
			t.Fatal(err)
		}
	}
	wantAs[*NotReadyError](t, a.Ready("n0")) // its marker needs a third node
	wantAs[*NotReadyError](t, b.Ready("n2"))
	wantAs[*SupersededError](t, a.Add(Testimony{Node: "n2", Term: term(2, "b"), Kind: Refused}))
	wantAs[*SupersededError](t, a.Revoked())
	add(t, b, promise(b, "n1", at(1)))
	if err := b.Ready("n2"); err != nil {
		t.Error(err)
	}
}

func TestExpiredLeaseBlocksALeaderAndNoFollower(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	r := newRound(t, term(2, "c"), rs)
	lease := Testimony{Node: "n0", Term: r.Term(), Kind: LeaseExpired}
	add(t, r, lease, promise(r, "n1", at(1)))
	// Some other leader, n2, could still complete with n0 as its follower.
	if e := wantAs[*NotRevokedError](t, r.Revoked()); e.Counter.Leader != "n2" {
		t.Errorf("counter-example %v", e.Counter)
	}
	r, err := NewRound(RoundConfig{Term: term(2, "c"), Rulesets: []Ruleset{rs}, Known: &Leadership{Leader: "n0", Term: term(1, "c")}})
	if err != nil {
		t.Fatal(err)
	}
	add(t, r, lease)
	if err := r.Revoked(); err != nil {
		t.Errorf("the only leader's lease is over: %v", err)
	}
	// A promise takes the lease's place, so that the node may take part.
	add(t, r, promise(r, "n0", at(1)), promise(r, "n1", at(1)))
	if err := r.Ready("n0"); err != nil {
		t.Error(err)
	}
}

func TestKnownLeaderIsEnoughOnlyWhileItIsKnown(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, AtLeast(2), ids(4)...)
	known := &Leadership{Leader: "n0", Term: term(1, "c")}
	make := func() *Round {
		r, err := NewRound(RoundConfig{Term: term(5, "c"), Rulesets: []Ruleset{rs}, Known: known})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := make()
	add(t, r, promise(r, "n0", at(1)))
	if r.Revoked() != nil || r.Discovered() != nil {
		t.Error("blocking the known leader revokes it")
	}
	r = make()
	led := promise(r, "n1", at(1, 2))
	led.Led = term(2, "c")
	add(t, r, promise(r, "n0", at(1)), led)
	wantAs[*NotRevokedError](t, r.Revoked())
	r = make()
	gone := promise(r, "n1", at(1, 2))
	gone.Markers = []Sighting{{Marker: Marker{Ruleset: ruleset(t, 2, AtLeast(2), "n1", "n2", "n3")}, Decided: true}}
	add(t, r, gone)
	wantAs[*NotRevokedError](t, r.Revoked())
}

func TestHeldBlocksRevokeButTakeNoPart(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	add(t, r, Testimony{Node: "n0", Term: r.Term(), Kind: Isolated, Incarnation: "a", Read: at(1)}, promise(r, "n1", at(1)))
	if err := r.Revoked(); err != nil {
		t.Fatal(err)
	}
	wantAs[*NotReadyError](t, r.Ready("n1")) // n0 cannot take its marker
	wantAs[*NotReadyError](t, r.Ready("n0"))
	// A restart undoes it.
	add(t, r, Testimony{Node: "n0", Term: r.Term(), Incarnation: "b"})
	wantAs[*NotRevokedError](t, r.Revoked())
	// An old message of the life before does not bring it back.
	wantAs[*IncarnationError](t, r.Add(Testimony{Node: "n0", Term: r.Term(), Kind: Isolated, Incarnation: "a"}))
	wantAs[*NotRevokedError](t, r.Revoked())

	// An isolator that does not know the incarnation takes no promise away.
	r = newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	n0 := promise(r, "n0", at(1))
	n0.Incarnation = "a"
	add(t, r, n0, Testimony{Node: "n0", Term: r.Term(), Kind: Isolated}, promise(r, "n1", at(1)))
	if err := r.Ready("n0"); err != nil {
		t.Error(err)
	}
}

func TestNodeBelowItsFloorIsBlockedButNoEvidence(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	low := promise(r, "n0", at(1))
	low.BelowFloor = true
	add(t, r, low, promise(r, "n1", at(1)))
	if err := r.Revoked(); err != nil {
		t.Fatal(err)
	}
	wantAs[*NotDiscoveredError](t, r.Discovered())
	add(t, r, promise(r, "n2", at(1)))
	wantAs[*BarredError](t, r.Ready("n0"))
	if err := r.Ready("n1"); err != nil {
		t.Error(err)
	}
}

func TestWaiverBlocksAndOnlyLossSkipsDiscovery(t *testing.T) {
	t.Parallel()
	for _, loss := range []bool{false, true} {
		r := newRound(t, term(2, "c"), ruleset(t, 1, Any(), ids(3)...))
		w := Waiver{Gone: []NodeID{"n0", "n1"}, Loss: loss, Reason: "fire", By: "me"}
		if err := r.Waive(w); err != nil {
			t.Fatal(err)
		}
		add(t, r, promise(r, "n2", at(1)))
		if err := r.Revoked(); err != nil {
			t.Fatal(err)
		}
		if err := r.Discovered(); (err == nil) != loss {
			t.Errorf("loss %v: %v", loss, err)
		}
		if got := r.Waivers(); len(got) != 1 || got[0].By != "me" {
			t.Errorf("waivers %v", got)
		}
		// What answers is not gone: not blocked, and to be read.
		add(t, r, Testimony{Node: "n0", Term: r.Term()})
		wantAs[*WaiverError](t, r.Waive(w))
		if got := r.Blocked(); slices.Contains(got, "n0") {
			t.Errorf("n0 answered without a promise and counts as blocked: %v", got)
		}
		add(t, r, promise(r, "n0", nil))
		wantAs[*NotDiscoveredError](t, r.Discovered())
	}
	r := newRound(t, term(2, "c"), ruleset(t, 1, AtLeast(2), ids(3)...))
	for _, w := range []Waiver{{}, {Gone: ids(1)}, {Gone: ids(1), Reason: "x"}, {Gone: ids(1), By: "x"}} {
		wantAs[*WaiverError](t, r.Waive(w))
	}
	wantAs[*NodeIDError](t, r.Waive(Waiver{Gone: []NodeID{"not a name"}, Reason: "r", By: "b"}))
	wantAs[*WaiverError](t, r.Add(Testimony{Node: "n0", Term: r.Term(), Kind: Certified}))
	if len(r.Blocked())+len(r.Waivers()) != 0 {
		t.Error("a refused waiver left something behind")
	}
}

// What is lost is what was on the nodes that are gone alone: who lives may hold what
// was completed with them.
func TestLossSkipsDiscoveryOnlyOnceAllWhoAreNotGoneWereRead(t *testing.T) {
	t.Parallel()
	v1 := ruleset(t, 1, Majority(), ids(3)...)
	w := Waiver{Gone: ids(1), Loss: true, Reason: "fire", By: "me"}
	begin := func(barred func(Testimony) string) *Round {
		r, err := NewRound(RoundConfig{Term: term(2, "c"), Rulesets: []Ruleset{v1}, Barred: barred})
		if err != nil {
			t.Fatal(err)
		}
		waive(t, r, w)
		return r
	}
	r := begin(nil)
	add(t, r, promise(r, "n1", nil), promise(r, "n2", at(1)))
	wantAs[*NotDiscoveredError](t, r.Ready("n2"))
	if got := r.Missing(); len(got) != 2 || !slices.Equal(got[1], []NodeID{"n1"}) { // n0 would do as well
		t.Errorf("missing %v", got)
	}
	add(t, r, Testimony{Node: "n1", Term: r.Term(), Read: at(1, 1)})
	if err := r.Ready("n1"); err != nil {
		t.Error(err)
	}
	// Of who is below its floor, or barred, nothing better can be had.
	five := ruleset(t, 1, AtLeast(4), ids(5)...)
	for name, low := range map[string]bool{"below its floor": true, "barred": false} {
		r, err := NewRound(RoundConfig{Term: term(2, "c"), Rulesets: []Ruleset{five}, Barred: func(t Testimony) string {
			if !low && t.Node == "n1" {
				return "fire"
			}
			return ""
		}})
		if err != nil {
			t.Fatal(err)
		}
		waive(t, r, w)
		one := promise(r, "n1", at(1))
		one.BelowFloor = low
		if err := r.Add(one); low != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		add(t, r, promise(r, "n2", at(1)), promise(r, "n3", at(1)), promise(r, "n4", at(1)))
		if err := r.Ready("n2"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A read that was void afterwards is none.
	r = begin(nil)
	two := promise(r, "n2", at(1))
	two.Incarnation = "old"
	add(t, r, two, Testimony{Node: "n1", Term: r.Term(), Read: at(1)})
	two.Incarnation = "new"
	add(t, r, two)
	wantAs[*NotDiscoveredError](t, r.Ready("n2"))
}

func TestDivergedLogsOfOneTermStopTheRound(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(9, "c"), ruleset(t, 1, Majority(), ids(3)...))
	add(t, r, promise(r, "n0", at(1, 3)), promise(r, "n1", at(2, 3)))
	_, err := r.Revocation()
	e := wantAs[*DivergedError](t, err)
	if got := e.Nodes(); len(got) != 2 || !slices.Contains(got, "n0") || !slices.Contains(got, "n1") {
		t.Errorf("diverged nodes %v", got)
	}
	add(t, r, promise(r, "n2", at(1, 4))) // a higher term settles it
	if _, err := r.Revocation(); err != nil {
		t.Error(err)
	}
}

func TestALogAboveTheTermSupersedesTheRound(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	wantAs[*SupersededError](t, r.Add(promise(r, "n0", at(1, 7))))
	if r.Superseded() != term(7, "c") {
		t.Errorf("superseded by %s", r.Superseded())
	}
	r = newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	wantAs[*StaleTermError](t, r.Add(Testimony{Node: "n0", Term: term(1, "c"), Kind: Promised}))
	wantAs[*StaleTermError](t, r.Add(Testimony{Node: "n0", Term: term(1, "c"), Kind: Refused}))
}

func TestLeaseLeftIsTheLongestOfTheReached(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	a, b := promise(r, "n0", at(1)), promise(r, "n1", at(1))
	a.LeaseLeft, b.LeaseLeft = time.Second, 3*time.Second
	add(t, r, a, b)
	b.LeaseLeft = 0
	add(t, r, b)
	if got := r.LeaseLeft(); got != 3*time.Second {
		t.Errorf("LeaseLeft %v", got)
	}
}
