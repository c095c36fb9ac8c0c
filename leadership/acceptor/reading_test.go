package acceptor_test

import (
	"context"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// forgetful is a ReadFunc that fills nothing in.
func forgetful(context.Context) (acceptor.Reading, error) { return acceptor.Reading{}, nil }

// follows lets a confirm an entry of l.
func follows(t *testing.T, a *acceptor.Acceptor, l leadership.Leadership) {
	t.Helper()
	must(t, a.Follow(context.Background(), l))
	tok, err := a.Admit(l)
	must(t, err)
	must(t, a.Confirm(tok))
}

func TestAReadingBelowWhatTheLogIsKnownToHoldIsNoEvidence(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	leads := func(t *testing.T) *acceptor.Acceptor { return newLeader(t, &memStore{}, 9) }
	for name, c := range map[string]struct {
		node  func(t *testing.T) *acceptor.Acceptor
		read  acceptor.ReadFunc
		known leadership.Term
	}{
		"empty, an entry was confirmed": {node: func(t *testing.T) *acceptor.Acceptor {
			a := newNode(t, &memStore{})
			follows(t, a, lead("n2", 9))
			return a
		}, read: forgetful},
		"empty, and long ago": {node: func(t *testing.T) *acceptor.Acceptor {
			a := newNode(t, &memStore{})
			follows(t, a, lead("n2", 3))
			must(t, a.Follow(ctx, lead("n3", 5)))
			_, err := a.Recruit(ctx, term(7), nil)
			must(t, err)
			return a
		}, read: forgetful},
		"empty, at the leader":       {node: leads, read: forgetful, known: term(9)},
		"below the leader's marker":  {node: leads, read: at(8, 100), known: term(9)},
		"a point without its term":   {node: leads, read: at(0, 100), known: term(9)},
		"below a marker not granted": {node: installed, read: at(8, 1), known: term(9)},
		"below a marker granted after a restart": {node: func(t *testing.T) *acceptor.Acceptor {
			s := &memStore{}
			newLeader(t, s, 9)
			a := reopen(t, s)
			must(t, a.Grant(ctx, term(9), yes))
			return a
		}, read: at(8, 1), known: term(9)},
		"below the log's term": {node: func(t *testing.T) *acceptor.Acceptor { return logged(t, 6) }, read: at(5, 7), known: term(6)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := c.node(t)
			for range 2 { // asked again, it says the same
				got, err := a.Recruit(ctx, term(11), c.read)
				as[*acceptor.ReadError](t, err)
				if e := as[*acceptor.ShortReadingError](t, err); e.Known != c.known {
					t.Errorf("known is %s, want %s", e.Known, c.known)
				}
				if got.Term != term(11) || got.Read != nil || got.Markers != nil || leadership.NotExecuted(err) {
					t.Errorf("the block holds, and nothing was read: %+v, %v", got, err)
				}
			}
			_, err := a.Read(ctx, term(11), c.read)
			as[*acceptor.ShortReadingError](t, err)
			got, err := a.Recruit(ctx, term(11), at(9, 2)) // what was wrong was mended
			must(t, err)
			if got.Read == nil || got.Read.String() != pos(9, 2).String() {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAReadingThatMayBeTrueIsTaken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		node func(t *testing.T) *acceptor.Acceptor
		read acceptor.ReadFunc
	}{
		"a log that nothing was ever put in": {
			node: func(t *testing.T) *acceptor.Acceptor {
				a := newNode(t, &memStore{})
				must(t, a.Follow(ctx, lead("n2", 9)))
				return a
			}, read: forgetful,
		},
		"a follower that has only the old entries of its leader yet": {
			node: func(t *testing.T) *acceptor.Acceptor {
				a := newNode(t, &memStore{})
				follows(t, a, lead("n2", 9))
				return a
			}, read: at(3, 5),
		},
		"a leader whose tail the next one has begun to replace": {
			node: func(t *testing.T) *acceptor.Acceptor {
				a := newLeader(t, &memStore{}, 9)
				must(t, a.Follow(ctx, lead("n2", 10)))
				return a
			}, read: at(8, 1),
		},
		"a leader whose tail a donor's has begun to replace": {
			node: func(t *testing.T) *acceptor.Acceptor {
				a := newLeader(t, &memStore{}, 9)
				_, err := a.Recruit(ctx, term(10), at(9, 2))
				must(t, err)
				return a
			}, read: at(8, 1),
		},
		"a follower that was opened with a tail its leader replaces": {
			node: func(t *testing.T) *acceptor.Acceptor {
				s := &memStore{}
				must(t, newNode(t, s).Follow(ctx, lead("n2", 9)))
				a, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{LogTerm: term(6)})
				must(t, err)
				return a
			}, read: at(5, 1),
		},
		"asked again by the attempt that replaces the tail": {
			node: func(t *testing.T) *acceptor.Acceptor {
				a := newLeader(t, &memStore{}, 9)
				must(t, a.Follow(ctx, lead("n2", 11)))
				return a
			}, read: at(8, 1),
		},
		"a log under repair, which says so": {
			node: func(t *testing.T) *acceptor.Acceptor {
				a := newLeader(t, &memStore{}, 9)
				must(t, a.SetFloor(ctx, pos(9, 4)))
				return a
			}, read: forgetful,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.node(t).Recruit(ctx, term(11), c.read)
			must(t, err)
			if want, _ := c.read(ctx); got.Read == nil || got.Read.String() != want.Position.String() || got.BelowFloor != (name == "a log under repair, which says so") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// installed returns n1 with the marker of term 9 and no grant.
func installed(t *testing.T) *acceptor.Acceptor {
	t.Helper()
	a := newNode(t, &memStore{})
	must(t, a.Install(context.Background(), lead("n1", 9), func(context.Context) error { return nil }))
	return a
}

// logged returns n1 opened with a log that ends at a term.
func logged(t *testing.T, n uint64) *acceptor.Acceptor {
	t.Helper()
	s := &memStore{}
	newNode(t, s)
	a, err := acceptor.Open(context.Background(), s, "n1", "d1", acceptor.Options{LogTerm: term(n)})
	must(t, err)
	return a
}
