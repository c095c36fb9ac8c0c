package acceptor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func TestAFailedSaveLeavesTheGateShutUntilARetrySettlesIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, f := range []fault{failBefore, failAfter} {
		s := &memStore{}
		a := newNode(t, s)
		must(t, a.Follow(ctx, lead("n2", 3)))
		tok, err := a.Admit(lead("n2", 3))
		must(t, err)
		s.next = f
		_, err = a.Recruit(ctx, term(5), func(context.Context) (acceptor.Reading, error) {
			t.Error("read although nothing was promised")
			return acceptor.Reading{}, nil
		})
		as[*acceptor.UnsettledError](t, err)
		if !errors.Is(err, leadership.ErrUnknownOutcome) || !errors.Is(err, errDisk) || leadership.NotExecuted(err) {
			t.Errorf("%v", err)
		}
		as[*acceptor.UnconfirmedError](t, a.Confirm(tok))
		_, err = a.Admit(lead("n2", 3))
		if e := as[*acceptor.GateError](t, err); !e.Changing || e.Promised != term(3) {
			t.Errorf("%+v", e)
		}
		// A lower term is refused; while that cannot be reported as a
		// promise on disk, it is reported as pending.
		s.next = failBefore
		err = a.Follow(ctx, lead("n2", 4))
		as[*acceptor.PendingError](t, err)
		if !leadership.NotExecuted(err) || errors.Is(err, leadership.ErrUnknownOutcome) {
			t.Error(err)
		}
		err = a.Follow(ctx, lead("n2", 4))
		if e := as[*leadership.StaleTermError](t, err); e.Promised != term(5) || s.disk().Promised != term(5) {
			t.Errorf("%+v, disk %v", e, s.disk().Promised)
		}
		_, err = a.Recruit(ctx, term(5), nil)
		must(t, err)
	}
}

func TestOpenRefusesWhatIsNotItsRecord(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	_, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{})
	as[*acceptor.NoRecordError](t, err)
	a := newNode(t, s)
	_, err = acceptor.Create(ctx, s, "n1", "d1")
	as[*acceptor.ExistsError](t, err)
	_, err = acceptor.Open(ctx, s, "n1", "d2", acceptor.Options{})
	if e := as[*leadership.IncarnationError](t, err); e.Want != "d2" || e.Got != "d1" {
		t.Errorf("%+v", e)
	}
	_, err = acceptor.Open(ctx, s, "n2", "d1", acceptor.Options{})
	as[*leadership.IncarnationError](t, err)
	must(t, a.Follow(ctx, lead("n2", 3)))
	if st := reopen(t, s).Status(); st.Accepts != lead("n2", 3) {
		t.Errorf("the source of the promised term was not opened again: %+v", st)
	}
	s.rec.Source = lead("n2", 2) // a record that no acceptor writes
	_, err = acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{})
	as[*leadership.CorruptError](t, err)
	empty := &memStore{next: failAfter}
	_, err = acceptor.Create(ctx, empty, "n1", "d1")
	as[*acceptor.UnsettledError](t, err)
	reopen(t, empty)
}

func TestOpenRaisesThePromiseToTheLog(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	must(t, newNode(t, s).Follow(ctx, lead("n2", 3)))
	s.next = failBefore
	_, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{LogTerm: term(6)})
	as[*acceptor.UnsettledError](t, err)
	a, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{LogTerm: term(6)})
	must(t, err)
	if st := a.Status(); st.Promised != term(6) || !st.Accepts.IsZero() || s.disk().Promised != term(6) {
		t.Errorf("%+v", st)
	}
	a, err = acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{LogTerm: term(2)})
	must(t, err)
	if a.Status().Promised != term(6) {
		t.Error("the promise fell to the log's term")
	}
}

func TestAMintedIncarnationIsOfOneStorageOnly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	names := map[string]bool{}
	for range 3 {
		s := &memStore{}
		a, err := acceptor.Create(ctx, s, "n1", acceptor.Minted)
		must(t, err)
		name := a.Status().Incarnation
		if len(name) < 20 || names[name] || s.disk().Incarnation != name {
			t.Fatalf("minted %q, on disk %q", name, s.disk().Incarnation)
		}
		names[name] = true
		for _, asked := range []string{acceptor.Minted, name} {
			a, err = acceptor.Open(ctx, s, "n1", asked, acceptor.Options{})
			must(t, err)
			if got := a.Status().Incarnation; got != name {
				t.Errorf("opened as %q, want %q", got, name)
			}
		}
		_, err = acceptor.Open(ctx, s, "n1", name+"x", acceptor.Options{})
		as[*leadership.IncarnationError](t, err)
		_, err = acceptor.Open(ctx, s, "n2", acceptor.Minted, acceptor.Options{})
		as[*leadership.IncarnationError](t, err)
		_, err = acceptor.Create(ctx, s, "n1", acceptor.Minted)
		as[*acceptor.ExistsError](t, err)
	}
	if (acceptor.State{Node: "n1", Incarnation: acceptor.Minted}).Validate() == nil {
		t.Error("a record may have the word for any incarnation as its own")
	}
}
