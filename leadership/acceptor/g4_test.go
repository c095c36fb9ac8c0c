package acceptor_test

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// g4 is one node under a store that fails and crashes at every step, beside
// what must be true of it: two numbers and the grant.
type g4 struct {
	s *memStore
	a *acceptor.Acceptor
	// reported is the highest promise in any reply, tried the highest that
	// was asked for since the last start.
	reported, tried leadership.Term
	source, grant   leadership.Leadership // known to be in force
	// maybe is a source whose write had an unknown outcome: it comes into
	// force when a later call settles the record, and not before.
	maybe leadership.Leadership
	tok   acceptor.Token
	tokOf leadership.Leadership
	nodes []leadership.NodeID
}

func terms() *rapid.Generator[leadership.Term] {
	return rapid.Custom(func(t *rapid.T) leadership.Term {
		return leadership.Term{Num: rapid.Uint64Range(1, 5).Draw(t, "num"), Proposer: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by")}
	})
}

// leaderOf gives each term one leader, as a sound coordinator does.
func (g *g4) leaderOf(t leadership.Term) leadership.Leadership {
	return leadership.Leadership{Leader: g.nodes[int(t.Num)%len(g.nodes)], Term: t}
}

// heard takes the promise out of a reply, which must be on disk by now.
func (g *g4) heard(t *rapid.T, p leadership.Term) {
	if d := g.s.disk().Promised; d.Less(p) {
		t.Fatalf("a reply reports the promise of %s, on disk is %s", p, d)
	}
	g.reported = leadership.MaxTerm(g.reported, p)
}

// outcome judges the error of a call that promises p. It returns true when the
// call took effect.
func (g *g4) outcome(t *rapid.T, p leadership.Term, err error) bool {
	var stale *leadership.StaleTermError
	var pending *acceptor.PendingError
	switch {
	case err == nil:
		if p.Less(g.reported) || p.Less(g.tried) {
			t.Fatalf("%s was taken although %s was promised and %s tried", p, g.reported, g.tried)
		}
		g.raised(p)
		g.heard(t, p)
		return true
	case errors.As(err, &stale):
		if !p.Less(stale.Promised) || stale.Asked != p {
			t.Fatalf("%s was refused by %v", p, err)
		}
		g.heard(t, stale.Promised)
	case errors.As(err, &pending):
		if !p.Less(g.tried) {
			t.Fatalf("%s was refused by %v, tried was %s", p, err, g.tried)
		}
	case errors.Is(err, leadership.ErrUnknownOutcome):
		g.raised(p)
	default:
		t.Fatalf("%s: %v", p, err)
	}
	return false
}

// raised notes that the node may have promised p.
func (g *g4) raised(p leadership.Term) {
	if !g.tried.Less(p) {
		return
	}
	g.tried = p
	g.source, g.grant, g.maybe = leadership.Leadership{}, leadership.Leadership{}, leadership.Leadership{}
}

// took notes what became of a call that makes l the source.
func (g *g4) took(t *rapid.T, l leadership.Leadership, err error) {
	if g.outcome(t, l.Term, err) {
		g.source = l
	} else if errors.Is(err, leadership.ErrUnknownOutcome) {
		g.maybe = l
	}
}

func (g *g4) promise(t *rapid.T, call func(context.Context, leadership.Term, acceptor.ReadFunc) (leadership.Testimony, error)) {
	p := terms().Draw(t, "term")
	led := g.grant
	got, err := call(context.Background(), p, func(context.Context) (acceptor.Reading, error) {
		g.heard(t, p)
		if g.tokOf.Term.Less(p) && g.a.Confirm(g.tok) == nil {
			t.Fatalf("while the log is read for %s, an entry of %s is confirmed", p, g.tokOf)
		}
		// At least what was installed here.
		return acceptor.Reading{Position: leadership.Position{Term: p, Point: leadership.LogPoint{Index: 1}}}, nil
	})
	if g.outcome(t, p, err) && (got.Term != p || got.Read == nil || !led.IsZero() && got.Led != led.Term) {
		t.Fatalf("led %s, testimony %+v", led, got)
	}
}

func (g *g4) boot(t *rapid.T) {
	g.s.dead, g.s.next = false, none
	a, err := acceptor.Open(context.Background(), g.s, "n1", "d1", acceptor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.a, g.tok, g.tokOf = a, acceptor.Token{}, leadership.Leadership{}
	g.grant, g.maybe = leadership.Leadership{}, leadership.Leadership{}
	d := g.s.disk()
	g.tried, g.source = d.Promised, d.Source
	if st := a.Status(); st.Promised != d.Promised || !st.Leads.IsZero() {
		t.Fatalf("started as %+v from %+v", st, d)
	}
}

func (g *g4) check(t *rapid.T) {
	if g.s.fell != "" {
		t.Fatalf("the promise on disk fell from %s", g.s.fell)
	}
	st := g.a.Status()
	g.heard(t, st.Promised)
	if !g.maybe.IsZero() && st.Source == g.maybe && g.s.disk().Source == g.maybe {
		g.source = g.maybe
	}
	if g.s.disk().Promised.Less(g.reported) {
		t.Fatalf("reported %s, on disk %s", g.reported, g.s.disk().Promised)
	}
	for num := uint64(1); num <= 5; num++ {
		for _, by := range []string{"a", "b"} {
			l := g.leaderOf(leadership.Term{Num: num, Proposer: by})
			tok, err := g.a.Admit(l)
			want := l == g.source && l.Leader != "n1" || l == g.grant
			if (err == nil) != want || want && g.a.Confirm(tok) != nil {
				t.Fatalf("admit %s: %v; source %s, grant %s, tried %s", l, err, g.source, g.grant, g.tried)
			}
			c, err := g.a.Complete(l.Term)
			if (err == nil) != (!g.grant.IsZero() && g.grant.Term == l.Term) {
				t.Fatalf("complete %s: %v; grant %s, tried %s", l.Term, err, g.grant, g.tried)
			}
			c.Done()
			var stale *leadership.StaleTermError
			if errors.As(err, &stale) {
				g.heard(t, stale.Promised)
			}
		}
	}
	if g.tokOf.Term.Less(g.tried) && g.a.Confirm(g.tok) == nil {
		t.Fatalf("an entry of %s is confirmed after %s", g.tokOf, g.tried)
	}
}

// TestG4_PromisesAreOnDiskBeforeTheyAreReportedAndOnlyRise drives a node with
// random terms over a disk that fails or crashes before and after each write.
func TestG4_PromisesAreOnDiskBeforeTheyAreReportedAndOnlyRise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		s := &memStore{}
		a, err := acceptor.Create(ctx, s, "n1", "d1")
		if err != nil {
			t.Fatal(err)
		}
		g := &g4{s: s, a: a, nodes: []leadership.NodeID{"n1", "n2", "n3"}}
		t.Repeat(map[string]func(*rapid.T){
			"":         g.check,
			"recruit":  func(t *rapid.T) { g.promise(t, g.a.Recruit) },
			"stepDown": func(t *rapid.T) { g.promise(t, g.a.StepDown) },
			"follow": func(t *rapid.T) {
				l := g.leaderOf(terms().Draw(t, "term"))
				if l.Leader == "n1" {
					t.Skip("that is this node")
				}
				g.took(t, l, g.a.Follow(ctx, l))
			},
			"install": func(t *rapid.T) {
				l := g.leaderOf(terms().Draw(t, "term"))
				if l.Leader != "n1" {
					t.Skip("that is another node")
				}
				g.took(t, l, g.a.Install(ctx, l, func(context.Context) error {
					g.heard(t, l.Term)
					return nil
				}))
			},
			"grant": func(t *rapid.T) {
				p := terms().Draw(t, "term")
				err := g.a.Grant(ctx, p, yes)
				can := g.source == leadership.Leadership{Leader: "n1", Term: p}
				if (err == nil) != can {
					t.Fatalf("grant %s: %v; source %s", p, err, g.source)
				}
				if can {
					g.grant = g.source
				}
			},
			"admit": func(t *rapid.T) {
				l := g.source
				if tok, err := g.a.Admit(l); err == nil {
					g.tok, g.tokOf = tok, l
				}
			},
			"fault": func(t *rapid.T) {
				g.s.next = rapid.SampledFrom([]fault{failBefore, failAfter, crashBefore, crashAfter}).Draw(t, "fault")
			},
			"restart": g.boot,
		})
	})
}

// A store may lose the whole record or leave half of it. Neither may come up.
func TestG4_ALostOrTornRecordKeepsTheGateShut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	_, err := newNode(t, s).Recruit(ctx, term(4), nil)
	must(t, err)
	s.has = false
	a, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{})
	as[*acceptor.NoRecordError](t, err)
	if a != nil {
		t.Error("there is an acceptor")
	}
}

// During Save the promise is not on disk: nothing may report it, and nothing of
// a lower term may pass any more.
func TestG4_TheGateClosesBeforeTheDiskAndThePromiseShowsAfter(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newLeader(t, s, 3)
	tok, err := a.Admit(lead("n1", 3))
	must(t, err)
	seen := 0
	s.during = func(acceptor.State) {
		seen++
		st := a.Status()
		if st.Promised != term(3) || !st.Changing || !st.Leads.IsZero() || !st.Accepts.IsZero() {
			t.Errorf("during the write: %+v", st)
		}
		as[*acceptor.UnconfirmedError](t, a.Confirm(tok))
		_, err := a.Admit(lead("n1", 3))
		as[*acceptor.GateError](t, err)
		_, err = a.Complete(term(3))
		as[*acceptor.GateError](t, err)
		as[*acceptor.PendingError](t, a.Grant(ctx, term(3), yes))
	}
	_, err = a.Recruit(ctx, term(4), nil)
	must(t, err)
	if seen != 1 {
		t.Errorf("%d writes", seen)
	}
}
