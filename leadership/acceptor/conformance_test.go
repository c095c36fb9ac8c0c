package acceptor_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
)

// host is a node around an Acceptor, with the smallest log there is.
type host struct {
	store acceptor.Store
	a     *acceptor.Acceptor

	mu  sync.Mutex // guards log; taken by whoever appends or reads
	log []leadership.Term
}

func (h *host) last() leadership.Term {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.log) == 0 {
		return leadership.Term{}
	}
	return h.log[len(h.log)-1]
}

func (h *host) append(t leadership.Term) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, t)
}

func (h *host) read(context.Context) (acceptor.Reading, error) {
	last := h.last()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.log) == 0 {
		return acceptor.Reading{}, nil
	}
	return acceptor.Reading{Position: leadership.Position{Term: last, Point: leadership.LogPoint{Index: uint64(len(h.log))}}}, nil
}

func (h *host) accept(_ context.Context, l leadership.Leadership, during func()) error {
	tok, err := h.a.Admit(l)
	if err != nil {
		return err
	}
	h.append(l.Term)
	if during != nil {
		during()
	}
	return h.a.Confirm(tok)
}

func (h *host) complete(_ context.Context, t leadership.Term, during func()) error {
	c, err := h.a.Complete(t)
	if err != nil {
		return err
	}
	defer c.Done()
	if during != nil {
		during()
	}
	return nil
}

func (h *host) node(t *testing.T) leadershiptest.AcceptorNode {
	boot := func() (err error) {
		h.a, err = acceptor.Open(context.Background(), h.store, "n1", "d1", acceptor.Options{LogTerm: h.last()})
		return err
	}
	_, err := acceptor.Create(context.Background(), h.store, "n1", "d1")
	must(t, errors.Join(err, boot()))
	return leadershiptest.AcceptorNode{
		ID: "n1",
		Promise: func(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
			return h.a.Recruit(ctx, t, h.read)
		},
		Follow:  func(ctx context.Context, l leadership.Leadership) error { return h.a.Follow(ctx, l) },
		Accept:  h.accept,
		Restart: boot,
		Install: func(ctx context.Context, t leadership.Term) error {
			return h.a.Install(ctx, leadership.Leadership{Leader: "n1", Term: t}, func(context.Context) error {
				if h.last() != t {
					h.append(t)
				}
				return nil
			})
		},
		Grant: func(ctx context.Context, t leadership.Term) error {
			return h.a.Grant(ctx, t, func() bool { return h.last() == t })
		},
		Complete: h.complete,
		StepDown: func(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
			return h.a.StepDown(ctx, t, h.read)
		},
		Read: func(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
			return h.a.Read(ctx, t, h.read)
		},
	}
}

func TestANodeAroundAnAcceptorConforms(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		leadershiptest.Acceptor(t, func(t *testing.T) leadershiptest.AcceptorNode {
			s := &memStore{}
			n := (&host{store: s}).node(t)
			n.FailWrite = func(after bool) {
				if s.next = failBefore; after {
					s.next = failAfter
				}
			}
			restart := n.Restart
			n.Restart = func() error {
				s.next = none
				return restart()
			}
			return n
		})
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("it waits for many an fsync")
		}
		leadershiptest.Acceptor(t, func(t *testing.T) leadershiptest.AcceptorNode {
			return (&host{store: openFile(t, t.TempDir())}).node(t)
		})
	})
}
