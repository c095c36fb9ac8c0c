package acceptor_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// The data path of a follower, beside what it is measured against: two
// uncontended atomic additions on a cache line of their own.

func BenchmarkAdmitConfirm(b *testing.B) {
	a := newNode(b, &memStore{})
	if err := a.Follow(context.Background(), lead("n2", 7)); err != nil {
		b.Fatal(err)
	}
	s, err := a.Stream(lead("n2", 7))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		tok, err := s.Admit()
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Confirm(tok); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTwoAtomicOps(b *testing.B) {
	var c struct {
		_ [128]byte
		n atomic.Int64
		_ [128]byte
	}
	b.ReportAllocs()
	for b.Loop() {
		c.n.Add(1)
		c.n.Add(-1)
	}
}

// Without a stream, with a leadership whose strings come out of a message.
func BenchmarkAdmitConfirmDecoded(b *testing.B) {
	a := newNode(b, &memStore{})
	if err := a.Follow(context.Background(), lead("n2", 7)); err != nil {
		b.Fatal(err)
	}
	l := lead("n2", 7)
	l.Leader = leadership.NodeID(strings.Clone(string(l.Leader)))
	l.Term.Proposer = strings.Clone(l.Term.Proposer)
	b.ReportAllocs()
	for b.Loop() {
		tok, err := a.Admit(l)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Confirm(tok); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompleteDone(b *testing.B) {
	a := newLeader(b, &memStore{}, 7)
	t := term(7)
	b.ReportAllocs()
	for b.Loop() {
		c, err := a.Complete(t)
		if err != nil {
			b.Fatal(err)
		}
		c.Done()
	}
}

func BenchmarkAdmitRefused(b *testing.B) {
	ctx := context.Background()
	a := newNode(b, &memStore{})
	if err := a.Follow(ctx, lead("n2", 7)); err != nil {
		b.Fatal(err)
	}
	if _, err := a.Recruit(ctx, term(8), nil); err != nil {
		b.Fatal(err)
	}
	l := lead("n2", 7)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Admit(l); err == nil {
			b.Fatal("admitted")
		}
	}
}

func TestTheDataPathDoesNotAllocate(t *testing.T) {
	ctx := context.Background()
	follower := newNode(t, &memStore{})
	must(t, follower.Follow(ctx, lead("n2", 7)))
	l := lead("n2", 7)
	old, err := follower.Admit(l)
	must(t, err)
	leader := newLeader(t, &memStore{}, 7)
	refusing := newNode(t, &memStore{})
	must(t, refusing.Follow(ctx, l))
	stale, err := refusing.Admit(l)
	must(t, err)
	_, err = refusing.Recruit(ctx, term(8), nil)
	must(t, err)
	var unexpected error
	for name, f := range map[string]func(){
		"Admit and Confirm": func() {
			tok, err := follower.Admit(l)
			unexpected = errors.Join(unexpected, err, follower.Confirm(tok), follower.Confirm(old))
		},
		"Complete and Done": func() {
			c, err := leader.Complete(l.Term)
			if err != nil {
				unexpected = err
			}
			c.Done()
		},
		"a refused Admit": func() {
			if _, err := refusing.Admit(l); err == nil {
				unexpected = errors.New("admitted")
			}
		},
		"a refused Confirm": func() {
			if refusing.Confirm(stale) == nil {
				unexpected = errors.New("confirmed")
			}
		},
		"a refused Complete": func() {
			if _, err := refusing.Complete(l.Term); err == nil {
				unexpected = errors.New("completed")
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
		if unexpected != nil {
			t.Fatal(name, unexpected)
		}
	}
}

var _ acceptor.Store = (*memStore)(nil)

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }

func lead(id leadership.NodeID, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: id, Term: term(n)}
}
