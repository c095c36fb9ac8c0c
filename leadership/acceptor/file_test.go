package acceptor_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func openFile(t testing.TB, dir string) *acceptor.FileStore {
	t.Helper()
	s, err := acceptor.OpenFile(dir)
	must(t, err)
	return s
}

func TestAFileKeepsTheRecordAcrossARestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	s := openFile(t, dir)
	if _, ok, err := s.Load(ctx); ok || err != nil {
		t.Fatal("a record out of nothing", err)
	}
	a := newNode(t, s)
	must(t, a.Follow(ctx, lead("n2", 7)))
	floor := leadership.Position{Term: term(6), Point: leadership.LogPoint{Index: 12, Eras: []leadership.Era{{Term: term(6), First: 3}}}}
	must(t, a.SetFloor(ctx, floor))
	// What a crash leaves of a write that did not get to its rename.
	must(t, os.WriteFile(s.Path()+".tmp", []byte("half a rec"), 0o600))
	st := reopen(t, openFile(t, dir)).Status()
	if st.Promised != term(7) || st.Source != lead("n2", 7) || st.Accepts != lead("n2", 7) || st.Floor.String() != floor.String() {
		t.Errorf("%+v", st)
	}
	_, err := acceptor.Open(ctx, s, "n1", "another disk", acceptor.Options{})
	as[*leadership.IncarnationError](t, err)
	_, err = acceptor.Open(ctx, s, "n2", "d1", acceptor.Options{})
	as[*leadership.IncarnationError](t, err)
	must(t, os.Remove(s.Path()))
	_, err = acceptor.Open(ctx, openFile(t, dir), "n1", "d1", acceptor.Options{})
	as[*acceptor.NoRecordError](t, err)
}

func TestADamagedFileIsNeverARecord(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	s := openFile(t, dir)
	a := newNode(t, s)
	must(t, a.Follow(ctx, lead("n2", 7)))
	good, err := os.ReadFile(s.Path())
	must(t, err)
	refused := func(what string, n int, b []byte) {
		t.Helper()
		must(t, os.WriteFile(s.Path(), b, 0o600))
		for _, err := range []error{
			func() error { _, err := acceptor.OpenFile(dir); return err }(),
			func() error { _, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{}); return err }(),
			func() error { _, err := acceptor.Create(ctx, s, "n1", "d1"); return err }(),
		} {
			var e *leadership.CorruptError
			if !errors.As(err, &e) || e.Path != s.Path() {
				t.Fatalf("%s %d: %v", what, n, err)
			}
		}
		left, err := os.ReadFile(s.Path())
		must(t, err)
		if string(left) != string(b) {
			t.Fatalf("%s %d: the file was touched", what, n)
		}
	}
	for n := range good {
		refused("torn at", n, good[:n])
	}
	for n := range len(good) * 8 {
		b := append([]byte(nil), good...)
		b[n/8] ^= 1 << (n % 8)
		refused("flipped bit", n, b)
	}
	refused("longer by", 1, append(append([]byte(nil), good...), '\n'))
	must(t, os.WriteFile(s.Path(), good, 0o600))
	reopen(t, s)
}

func TestAFileStoreRefusesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	if _, err := acceptor.OpenFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s := openFile(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600))
	if _, err := acceptor.OpenFile(filepath.Join(dir, "plain")); err == nil {
		t.Error("a plain file was taken for a directory")
	}
	as[*leadership.NodeIDError](t, s.Save(ctx, acceptor.State{}))
	as[*acceptor.ArgumentError](t, s.Save(ctx, acceptor.State{Node: "n1", Incarnation: "\xff"}))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	as[*acceptor.CanceledError](t, s.Save(gone, acceptor.State{Node: "n1", Incarnation: "d1"}))
	_, _, err := new(acceptor.FileStore).Load(ctx)
	as[*acceptor.ArgumentError](t, err)
	if _, ok, _ := s.Load(ctx); ok {
		t.Error("a refused Save wrote")
	}
	// The directory goes away under the node: nothing is known, all is shut.
	a := newNode(t, s)
	must(t, a.Follow(ctx, lead("n2", 7)))
	must(t, os.RemoveAll(dir))
	_, err = a.Recruit(ctx, term(8), nil)
	as[*acceptor.UnsettledError](t, err)
	if _, err := a.Admit(lead("n2", 7)); err == nil {
		t.Error("the gate is open")
	}
}
