package acceptor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func TestRecruitPromisesAndReads(t *testing.T) {
	t.Parallel()
	s := &memStore{}
	a := newNode(t, s)
	marks := []leadership.Sighting{{Decided: true}}
	got, err := a.Recruit(context.Background(), term(3), func(context.Context) (acceptor.Reading, error) {
		return acceptor.Reading{Position: pos(2, 9), Markers: marks}, nil
	})
	must(t, err)
	if got.Node != "n1" || got.Incarnation != "d1" || got.Term != term(3) || got.Kind != leadership.Promised ||
		got.Read == nil || got.Read.String() != "2.c1@log:9" || len(got.Markers) != 1 || got.BelowFloor || got.LeaseLeft != 0 || !got.Led.IsZero() {
		t.Errorf("testimony %+v", got)
	}
	if s.disk().Promised != term(3) {
		t.Errorf("on disk: %v", s.disk().Promised)
	}
}

func TestAPromiseAboveIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newNode(t, s)
	_, err := a.Recruit(ctx, term(5), nil)
	must(t, err)
	saves := s.saves
	calls := map[string]func() error{
		"Recruit":  func() error { _, err := a.Recruit(ctx, term(4), at(1, 1)); return err },
		"StepDown": func() error { _, err := a.StepDown(ctx, term(4), nil); return err },
		"Read":     func() error { _, err := a.Read(ctx, term(4), at(1, 1)); return err },
		"Follow":   func() error { return a.Follow(ctx, lead("n2", 4)) },
		"Install":  func() error { return a.Install(ctx, lead("n1", 4), func(context.Context) error { return nil }) },
		"Grant":    func() error { return a.Grant(ctx, term(4), yes) },
		"Admit":    func() error { _, err := a.Admit(lead("n2", 4)); return err },
		"Complete": func() error { _, err := a.Complete(term(4)); return err },
	}
	for name, call := range calls {
		err := call()
		e := as[*leadership.StaleTermError](t, err)
		if e.Node != "n1" || e.Asked != term(4) || e.Promised != term(5) || !leadership.NotExecuted(err) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	// Equal numbers are ordered by their proposers.
	_, err = a.Recruit(ctx, leadership.Term{Num: 5, Proposer: "c0"}, nil)
	as[*leadership.StaleTermError](t, err)
	if s.saves != saves {
		t.Error("a refused call wrote")
	}
}

func TestASameTermRecruitDoesNotUnseat(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newLeader(t, s, 3)
	tok, err := a.Admit(lead("n1", 3))
	must(t, err)
	saves := s.saves
	got, err := a.Recruit(ctx, term(3), at(3, 4))
	must(t, err)
	if got.Led != term(3) || got.Read == nil || s.saves != saves {
		t.Errorf("testimony %+v, saves %d", got, s.saves-saves)
	}
	must(t, a.Confirm(tok))
	c, err := a.Complete(term(3))
	must(t, err)
	c.Done()
	got, err = a.StepDown(ctx, term(3), nil)
	must(t, err)
	if got.Kind != leadership.Promised || a.Status().Leads != term(3) {
		t.Errorf("a step-down at the leader's own term: %+v, %+v", got, a.Status())
	}
}

func TestStepDownSaysWhatItEnded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newLeader(t, &memStore{}, 3)
	for range 2 { // the second is a retry whose first answer was lost
		got, err := a.StepDown(ctx, term(4), at(3, 9))
		must(t, err)
		if got.Kind != leadership.Demoted || got.Led != term(3) || got.Read.String() != "3.c1@log:9" {
			t.Errorf("testimony %+v", got)
		}
	}
	if st := a.Status(); !st.Leads.IsZero() || !st.Accepts.IsZero() || !st.Source.IsZero() || st.Promised != term(4) {
		t.Errorf("status %+v", st)
	}
	_, err := a.Complete(term(3))
	as[*leadership.StaleTermError](t, err)
	got, err := newNode(t, &memStore{}).StepDown(ctx, term(4), nil)
	must(t, err)
	if got.Kind != leadership.Promised {
		t.Errorf("a node that did not lead was %v", got.Kind)
	}
}

func TestFollowOpensTheGateForExactlyOneLeader(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newNode(t, s)
	must(t, a.Follow(ctx, lead("n2", 3)))
	must(t, a.Follow(ctx, lead("n2", 3)))
	if s.disk().Source != lead("n2", 3) || s.disk().Promised != term(3) || s.saves != 2 {
		t.Errorf("disk %+v after %d saves", s.disk(), s.saves)
	}
	tok, err := a.Admit(lead("n2", 3))
	must(t, err)
	must(t, a.Confirm(tok))
	_, err = a.Admit(lead("n3", 3))
	as[*acceptor.TwoLeadersError](t, err)
	for name, err := range map[string]error{
		"follow":  a.Follow(ctx, lead("n3", 3)),
		"install": a.Install(ctx, lead("n1", 3), func(context.Context) error { t.Error("wrote"); return nil }),
	} {
		if e := as[*acceptor.TwoLeadersError](t, err); e.Have != lead("n2", 3) || !leadership.NotExecuted(e) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	_, err = a.Admit(lead("n2", 4))
	as[*acceptor.GateError](t, err)
	_, err = a.Complete(term(3)) // a follower is no second leader, it just does not lead
	as[*acceptor.GateError](t, err)
	must(t, a.Follow(ctx, lead("n3", 4)))
	as[*acceptor.UnconfirmedError](t, a.Confirm(tok))
	_, err = a.Admit(lead("n2", 3))
	as[*leadership.StaleTermError](t, err)
}

func TestG2_WhatWasAdmittedBeforeAPromiseIsNotConfirmedAfterIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	must(t, a.Follow(ctx, lead("n2", 3)))
	tok, err := a.Admit(lead("n2", 3))
	must(t, err)
	_, err = a.Recruit(ctx, term(4), at(3, 7))
	must(t, err)
	as[*acceptor.UnconfirmedError](t, a.Confirm(tok)) // entry 8 was not read
	// Nor once the same leader is followed again.
	must(t, a.Follow(ctx, lead("n2", 4)))
	as[*acceptor.UnconfirmedError](t, a.Confirm(tok))
}

func TestGrantNeedsItsOwnInstalledMarker(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newNode(t, s)
	as[*leadership.NotReadyError](t, a.Grant(ctx, term(3), yes)) // above the promise
	_, err := a.Recruit(ctx, term(3), nil)
	must(t, err)
	as[*leadership.NotReadyError](t, a.Grant(ctx, term(3), yes)) // never installed
	wrote := errors.New("disk full")
	if err := a.Install(ctx, lead("n1", 3), func(context.Context) error { return wrote }); !errors.Is(err, wrote) {
		t.Error(err)
	}
	as[*leadership.NotReadyError](t, a.Grant(ctx, term(3), func() bool { return false }))
	must(t, a.Install(ctx, lead("n1", 3), func(context.Context) error {
		if s.disk().Source != lead("n1", 3) {
			t.Error("the marker was written before the promise was on disk")
		}
		return nil
	}))
	_, err = a.Admit(lead("n1", 3))
	as[*acceptor.GateError](t, err) // installed, not granted
	must(t, a.Grant(ctx, term(3), yes))
	must(t, a.Grant(ctx, term(3), yes))
	_, err = a.Admit(lead("n1", 3))
	must(t, err)

	b := reopen(t, s) // the grant is volatile, the source is not
	if st := b.Status(); !st.Leads.IsZero() || st.Source != lead("n1", 3) || !st.Accepts.IsZero() {
		t.Errorf("after a restart: %+v", st)
	}
	_, err = b.Complete(term(3))
	as[*acceptor.GateError](t, err)
	must(t, b.Grant(ctx, term(3), yes))
	c, err := b.Complete(term(3))
	must(t, err)
	c.Done()
}

func TestAHigherTermDuringTheCheckEndsAGrant(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	must(t, a.Install(ctx, lead("n1", 3), func(context.Context) error { return nil }))
	err := a.Grant(ctx, term(3), func() bool {
		_, err := a.Recruit(ctx, term(4), nil)
		return err == nil
	})
	as[*leadership.StaleTermError](t, err)
	if !a.Status().Leads.IsZero() {
		t.Error("it leads")
	}
}

func TestAHigherTermDuringAReadVoidsIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	_, err := a.Recruit(ctx, term(3), func(context.Context) (acceptor.Reading, error) {
		return acceptor.Reading{}, a.Follow(ctx, lead("n2", 4))
	})
	as[*leadership.StaleTermError](t, err)
}

func TestReadStatesThePositionAfterThePromise(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	_, err := a.Read(ctx, term(3), at(1, 1))
	as[*acceptor.GateError](t, err)
	got, err := a.Recruit(ctx, term(3), nil)
	must(t, err)
	if got.Read != nil {
		t.Error("a nil read has a position")
	}
	got, err = a.Read(ctx, term(3), at(2, 8))
	must(t, err)
	if got.Kind != leadership.Statement || got.Read == nil || got.Read.String() != "2.c1@log:8" {
		t.Errorf("%+v", got)
	}
	boom := errors.New("boom")
	bad := func(context.Context) (acceptor.Reading, error) { return acceptor.Reading{}, boom }
	got, err = a.Recruit(ctx, term(4), bad)
	as[*acceptor.ReadError](t, err)
	if !errors.Is(err, boom) || got.Kind != leadership.Promised || got.Term != term(4) || got.Read != nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAFloorBarsALogUntilItIsBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newNode(t, s)
	_, err := a.Recruit(ctx, term(5), nil)
	must(t, err)
	isBelow := func(a *acceptor.Acceptor, read acceptor.ReadFunc) bool {
		t.Helper()
		got, err := a.Recruit(ctx, term(5), read)
		must(t, err)
		return got.BelowFloor
	}
	must(t, a.SetFloor(ctx, pos(3, 9)))
	must(t, a.SetFloor(ctx, pos(3, 4))) // a floor does not fall
	b := reopen(t, s)
	if !isBelow(b, at(3, 8)) || !isBelow(b, nil) || isBelow(b, at(3, 9)) || isBelow(b, at(4, 1)) {
		t.Error("the floor is compared wrongly")
	}
	as[*leadership.DivergedError](t, b.SetFloor(ctx, leadership.Position{Term: term(3), Point: foreign("x")}))
	if !isBelow(b, func(context.Context) (acceptor.Reading, error) {
		return acceptor.Reading{Position: pos(4, 1)}, b.ClearFloor(ctx)
	}) {
		t.Error("a floor that went away while reading was not minded")
	}
	if isBelow(b, at(3, 8)) || !s.disk().Floor.IsZero() {
		t.Error("the floor was not cleared")
	}
	must(t, b.SetFloor(ctx, leadership.Position{Term: term(3), Point: foreign("x")}))
	if !isBelow(b, at(3, 100)) {
		t.Error("a log that cannot be compared with the floor is not known to be back")
	}
	as[*acceptor.ArgumentError](t, b.SetFloor(ctx, leadership.Position{}))
	as[*leadership.TextError](t, b.SetFloor(ctx, leadership.Position{Term: term(9), Point: leadership.LogPoint{
		Index: 1, Eras: []leadership.Era{{Term: term(9), First: 7}},
	}}))
}

// foreign is a point that nothing here knows.
type foreign string

func (foreign) Kind() string     { return "foreign" }
func (f foreign) String() string { return string(f) }
func (f foreign) Compare(o leadership.Point) leadership.Order {
	if o != nil && o.Kind() == f.Kind() && o.String() == f.String() {
		return leadership.Same
	}
	return leadership.Diverged
}
func (foreign) Extends(leadership.Term, leadership.Position) bool { return false }

func TestG1_WhatIsStagedIsNotCompletedBeforeTheGrant(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	own := lead("n1", 3)
	as[*leadership.NotReadyError](t, a.Stage(ctx, term(3), yes))
	must(t, a.Install(ctx, own, func(context.Context) error { return nil }))
	if _, err := a.Admit(own); err == nil {
		t.Error("an entry of its own was admitted before it was staged or granted")
	}
	as[*leadership.NotReadyError](t, a.Stage(ctx, term(3), func() bool { return false }))
	must(t, a.Stage(ctx, term(3), yes))
	must(t, a.Stage(ctx, term(3), yes))
	tok, err := a.Admit(own)
	must(t, err)
	must(t, a.Confirm(tok))
	if _, err := a.Complete(term(3)); err == nil {
		t.Error("a completion was decided before the grant")
	}
	if st := a.Status(); !st.Leads.IsZero() || st.Accepts != own {
		t.Errorf("%+v", st)
	}
	must(t, a.Grant(ctx, term(3), yes))
	must(t, a.Confirm(tok))
	c, err := a.Complete(term(3))
	must(t, err)
	c.Done()
	must(t, a.Stage(ctx, term(3), yes))

	// A higher promise takes it away, granted or not, and what was staged alone
	// was no leadership that could be stepped down from.
	b := newNode(t, &memStore{})
	must(t, b.Install(ctx, own, func(context.Context) error { return nil }))
	must(t, b.Stage(ctx, term(3), yes))
	if tok, err = b.Admit(own); err != nil {
		t.Fatal(err)
	}
	got, err := b.StepDown(ctx, term(4), nil)
	must(t, err)
	if got.Kind != leadership.Promised || b.Confirm(tok) == nil {
		t.Errorf("%+v", got)
	}
	as[*leadership.StaleTermError](t, b.Stage(ctx, term(3), yes))
}
