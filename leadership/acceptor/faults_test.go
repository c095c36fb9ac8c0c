package acceptor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// The file's own errors are told apart by whether the new record may be there.
func TestASaveThatFailsSaysWhetherItMayBeOnDisk(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rec := acceptor.State{Node: "n1", Incarnation: "d1", Promised: term(3)}

	t.Run("before the rename", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "state")
		must(t, os.Mkdir(dir, 0o755))
		s := openFile(t, dir)
		must(t, os.Remove(dir))
		if err := s.Save(ctx, rec); !errors.Is(err, os.ErrNotExist) || errors.Is(err, leadership.ErrUnknownOutcome) {
			t.Errorf("without a directory: %v", err)
		}
	})
	t.Run("at the rename", func(t *testing.T) {
		t.Parallel()
		s := openFile(t, t.TempDir())
		must(t, os.MkdirAll(filepath.Join(s.Path(), "full"), 0o755))
		if err := s.Save(ctx, rec); !errors.Is(err, leadership.ErrUnknownOutcome) {
			t.Errorf("in the place of a directory: %v", err)
		}
		if _, _, err := s.Load(ctx); err == nil {
			t.Error("a directory was read as a record, or as none")
		}
		if _, err := acceptor.OpenFile(filepath.Dir(s.Path())); err == nil {
			t.Error("a directory in the place of the record was opened")
		}
	})
	t.Run("before anything", func(t *testing.T) {
		t.Parallel()
		s := openFile(t, t.TempDir())
		gone, cancel := context.WithCancelCause(ctx)
		why := errors.New("the caller went away")
		cancel(why)
		err := s.Save(gone, rec)
		if as[*acceptor.CanceledError](t, err); !errors.Is(err, why) || !leadership.NotExecuted(err) {
			t.Errorf("got %v", err)
		}
		_, _, err = s.Load(gone)
		as[*acceptor.CanceledError](t, err)
		bad := rec
		bad.Promised = leadership.Term{Num: 3}
		as[*leadership.TermError](t, s.Save(ctx, bad))
		as[*acceptor.ArgumentError](t, (*acceptor.FileStore)(nil).Save(ctx, rec))
		if _, ok, err := s.Load(ctx); ok || err != nil {
			t.Errorf("something was written: %v, %v", ok, err)
		}
	})
}

func TestAStateThatIsNoRecordIsRefused(t *testing.T) {
	t.Parallel()
	good := acceptor.State{Node: "n1", Incarnation: "d1", Promised: term(3), Source: lead("n2", 3)}
	must(t, good.Validate())
	for name, change := range map[string]func(s *acceptor.State){
		"a node of no name":       func(s *acceptor.State) { s.Node = "n/1" },
		"no storage":              func(s *acceptor.State) { s.Incarnation = "" },
		"a storage of a novel":    func(s *acceptor.State) { s.Incarnation = strings.Repeat("x", 257) },
		"a storage of no text":    func(s *acceptor.State) { s.Incarnation = "d\xff" },
		"half a promise":          func(s *acceptor.State) { s.Promised = leadership.Term{Num: 3} },
		"a source of no name":     func(s *acceptor.State) { s.Source.Leader = "n/2" },
		"a source of no term":     func(s *acceptor.State) { s.Source.Term.Proposer = "" },
		"a source of another":     func(s *acceptor.State) { s.Source.Term = term(2) },
		"a floor without a way":   func(s *acceptor.State) { s.Floor = leadership.Position{Term: term(2), Point: odd("a b\xff")} },
		"a floor of another text": func(s *acceptor.State) { s.Floor = leadership.Position{Term: term(2), Point: odd("07")} },
	} {
		s := good
		change(&s)
		if err := s.Validate(); err == nil {
			t.Errorf("%s was taken", name)
		}
		store := &memStore{}
		odd := s.Node != good.Node || s.Incarnation != good.Incarnation
		if _, err := acceptor.Create(context.Background(), store, s.Node, s.Incarnation); (err != nil) != odd || store.has == odd {
			t.Errorf("%s: create says %v, with a record: %v", name, err, store.has)
		}
	}
}

// odd is a point of the kind of our own logs whose text is not one of theirs.
type odd string

func (odd) Kind() string                                              { return leadership.LogPoint{}.Kind() }
func (o odd) String() string                                          { return string(o) }
func (odd) Compare(leadership.Point) leadership.Order                 { return leadership.Same }
func (odd) Extends(leadership.Term, leadership.Position) (reads bool) { return true }

// A node whose record another program wrote opens only when its floor can be read
// by the catalog it is given.
func TestAFloorThatCannotBeReadIsCorrupt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &memStore{has: true, rec: acceptor.State{Node: "n1", Incarnation: "d1", Promised: term(3), Floor: leadership.Position{Term: term(2), Point: lsn("0/7")}}}
	if _, err := acceptor.Open(ctx, store, "n1", "d1", acceptor.Options{}); err != nil {
		t.Fatalf("a kind that nobody knows is kept: %v", err)
	}
	var c leadership.Catalog
	must(t, c.RegisterPoint("lsn", func(text string) (leadership.Point, error) {
		return nil, &leadership.TextError{What: "lsn", Text: text, Reason: "it has no timeline"}
	}))
	_, err := acceptor.Open(ctx, store, "n1", "d1", acceptor.Options{Catalog: &c})
	if e := as[*leadership.CorruptError](t, err); !strings.Contains(e.Reason, "no timeline") || !strings.Contains(e.Path, "n1") {
		t.Errorf("got %v", e)
	}
}

type lsn string

func (lsn) Kind() string                                              { return "lsn" }
func (l lsn) String() string                                          { return string(l) }
func (lsn) Compare(leadership.Point) leadership.Order                 { return leadership.Diverged }
func (lsn) Extends(leadership.Term, leadership.Position) (reads bool) { return false }

func TestErrorsNameTheNodeAndSayWhatBecameOfTheCall(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	for _, c := range []struct {
		err  error
		says []string
		not  bool // NotExecuted
		is   error
	}{
		{&acceptor.ArgumentError{Name: "floor", Reason: "it is odd"}, []string{"floor", "it is odd"}, true, nil},
		{&acceptor.ExistsError{Record: acceptor.State{Node: "n1", Incarnation: "d1"}}, []string{"n1", `"d1"`, "open it"}, true, nil},
		{&acceptor.NoRecordError{Node: "n1", Incarnation: "d1"}, []string{"n1", `"d1"`, "another node ID"}, true, nil},
		{&acceptor.ShortReadingError{}, []string{"empty", "ReadFunc"}, false, nil},
		{&acceptor.ShortReadingError{Known: term(3), Got: pos(2, 7)}, []string{"3.c1", "2.c1@log:7", "ReadFunc"}, false, nil},
		{&acceptor.TwoLeadersError{Node: "n1", Have: lead("n2", 3), Got: lead("n3", 3)}, []string{"n1", "n2", "n3", "3.c1"}, true, nil},
		{&acceptor.GateError{Node: "n1", Promised: term(3), Changing: true}, []string{"n1", "3.c1", "being made"}, true, nil},
		{&acceptor.PendingError{Node: "n1", Asked: term(3)}, []string{"n1", "3.c1", "not settled"}, true, nil},
		{&acceptor.PendingError{Node: "n1", Asked: term(3), Err: cause}, []string{"n1", "disk full"}, true, nil},
		{&acceptor.CanceledError{Err: cause}, []string{"not executed", "disk full"}, true, cause},
		{&acceptor.UnconfirmedError{Node: "n1", Leadership: lead("n2", 3)}, []string{"n1", "n2", "do not acknowledge"}, false, leadership.ErrUnknownOutcome},
		{&acceptor.UnsettledError{Node: "n1", Term: term(3), Err: cause}, []string{"n1", "3.c1", "disk full"}, false, leadership.ErrUnknownOutcome},
		{&acceptor.ReadError{Node: "n1", Term: term(3), Err: cause}, []string{"n1", "3.c1", "disk full"}, false, cause},
	} {
		for _, s := range c.says {
			if !strings.Contains(c.err.Error(), s) {
				t.Errorf("%T does not say %q: %v", c.err, s, c.err)
			}
		}
		if leadership.NotExecuted(c.err) != c.not {
			t.Errorf("%T: not executed: %v", c.err, !c.not)
		}
		if c.is != nil && !errors.Is(c.err, c.is) {
			t.Errorf("%T is no %v", c.err, c.is)
		}
	}
}
