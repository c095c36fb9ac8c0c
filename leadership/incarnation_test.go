package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// A request of term 1 was completed on n0 and n1, at two entries; n2 has the first
// only. Then n0 is cut off, and n1 lost its disk.
//
// A proof is about nodes by their name, and no round knows the incarnations of the
// one before: so what n1 says with its new, empty disk counts as what n1 says, and
// the request is given up. That is why a node that lost its storage must not come
// back under its name, and why acceptor.Open refuses to. If the answer changes, so
// must what Testimony.Incarnation and acceptor.NoRecordError say.
func TestANewIncarnationUnderTheOldNameProtectsNothing(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	back := promise(r, "n1", at())
	back.Incarnation = "disk-2"
	add(t, r, back, promise(r, "n2", at(1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Selection(); got.Rank(*at(1, 1)) != Behind {
		t.Errorf("the selection is %s: the incarnation is compared now? then say so in the docs", got)
	}
}

// Under another name, the same disk proves nothing until a change has admitted it,
// and that change cannot be made without the nodes that have the request.
func TestALostNodeThatComesBackUnderAnotherNameProvesNothing(t *testing.T) {
	t.Parallel()
	three := ruleset(t, 1, Majority(), ids(3)...)
	next := ruleset(t, 2, Majority(), "n0", "n2", "n3") // n3 in place of n1
	r := newRound(t, term(2, "c"), three)
	wantAs[*UnknownNodeError](t, r.Add(promise(r, "n3", at())))
	add(t, r, promise(r, "n2", at(1)))
	e := wantAs[*NotRevokedError](t, r.Revoked())
	if !slices.Equal(e.Counter.Could, ids(2)) {
		t.Errorf("counter-example %v", e.Counter)
	}
	if _, err := r.Revocation(); err == nil {
		t.Fatal("the empty disk was taken for evidence")
	}
	// With the node that has the request the change can be made, and keeps it.
	add(t, r, promise(r, "n0", at(1, 1)))
	v, err := r.Revocation()
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Propose("n0", &next)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Selection(); got.Rank(*at(1, 1)) != Same {
		t.Errorf("selected %s", got)
	}
	if err := p.Add(Acceptance{Node: "n0", Term: r.Term(), Leader: "n0"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Add(Acceptance{Node: "n3", Term: r.Term(), Leader: "n0"}); err != nil {
		t.Fatal(err)
	}
	// n0 and n3 are durable under the new ruleset and not under the old one.
	wantAs[*NotDurableError](t, func() error { _, err := p.Installed(); return err }())
	if err := p.Add(Acceptance{Node: "n2", Term: r.Term(), Leader: "n0"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Installed(); err != nil {
		t.Fatal(err)
	}
}
