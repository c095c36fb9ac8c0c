package leadership_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

func rootFS() fs.FS { return os.DirFS(".") }

// TestMain lets the test binary stand in for other processes; see
// registry_file_test.go and barrier_file_test.go.
func TestMain(m *testing.M) {
	if path := os.Getenv("LEADERSHIP_TEST_WRITER"); path != "" {
		os.Exit(writer(path))
	}
	if path := os.Getenv("LEADERSHIP_TEST_ROUTER"); path != "" {
		os.Exit(routerProcess(path))
	}
	os.Exit(m.Run())
}

func term(num uint64, proposer string) Term { return Term{Num: num, Proposer: proposer} }

// ruleset returns a ruleset of n0, n1, ... of the given version.
func ruleset(t testing.TB, version uint64, p Policy, ids ...NodeID) Ruleset {
	t.Helper()
	nodes := make([]Node, len(ids))
	for i, id := range ids {
		nodes[i] = Node{ID: id}
	}
	rs, err := NewRuleset(p, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	rs.Version = version
	return rs
}

func ids(n int) []NodeID {
	return []NodeID{"n0", "n1", "n2", "n3", "n4", "n5"}[:n]
}

func newRound(t testing.TB, tm Term, rss ...Ruleset) *Round {
	t.Helper()
	r, err := NewRound(RoundConfig{Term: tm, Rulesets: rss})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// at is a position of a log of one-entry eras: at(1, 2) is [1 2].
func at(terms ...uint64) *Position {
	if len(terms) == 0 {
		return &Position{}
	}
	p := LogPoint{Index: uint64(len(terms))}
	for i, n := range terms {
		if i == 0 || terms[i-1] != n {
			p.Eras = append(p.Eras, Era{Term: term(n, "c"), First: uint64(i + 1)})
		}
	}
	return &Position{Term: term(terms[len(terms)-1], "c"), Point: p}
}

func promise(r *Round, id NodeID, read *Position) Testimony {
	return Testimony{Node: id, Term: r.Term(), Kind: Promised, Read: read}
}

func add(t testing.TB, r *Round, ts ...Testimony) {
	t.Helper()
	for _, one := range ts {
		if err := r.Add(one); err != nil {
			t.Fatalf("add %s: %v", one.Node, err)
		}
	}
}

// wantAs fails unless err is an E.
func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a %T", err, err, e)
	}
	return e
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}
