package reparenttest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// few is enough for a harness that is right, or breaks at once.
var few = reparenttest.Options{Seeds: 24, Shrink: 60, Lines: 20}

func over(edit func(h *reparenttest.Harness)) reparenttest.Harness {
	h := reparenttest.LogStore()
	edit(&h)
	return h
}

// with returns simulated stores of which one part is changed.
func with(edit func(h *reparenttest.Host, n *reparenttest.Node)) reparenttest.Harness {
	return over(func(hs *reparenttest.Harness) {
		boot := hs.Boot
		hs.Boot = func(h *reparenttest.Host) (reparenttest.Node, error) {
			n, err := boot(h)
			if err == nil {
				edit(h, &n)
			}
			return n, err
		}
	})
}

func TestEachPartOfTheUsersOwnIsReplaceableAlone(t *testing.T) {
	t.Parallel()
	catalog := &leadership.Catalog{}
	if err := catalog.RegisterPolicy("odd", func(string) (leadership.Policy, error) { return weighty{}, nil }); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	for _, c := range []struct {
		name string
		h    reparenttest.Harness
		f    reparenttest.Features
	}{
		{"revoker", over(func(h *reparenttest.Harness) {
			h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) {
				step, err := revoke.NewStepDown(p.StepDowners())
				if err != nil {
					return nil, err
				}
				push, err := revoke.NewFence(p.Promisers(), revoke.Options{})
				if err != nil {
					return nil, err
				}
				all, err := revoke.Together(step, push)
				return counted{all, &asked}, err
			}
		}), reparenttest.Everything()},
		{"establisher", over(func(h *reparenttest.Harness) {
			h.Establish = func(p *reparenttest.Process) (establish.Establisher, error) {
				return establish.NewSource(p.Candidates(), p.Followers(), p.Repairers(), establish.Options{})
			}
		}), reparenttest.Everything()},
		{"policy", over(func(h *reparenttest.Harness) {
			h.Policy, h.Catalog = weighty{}, catalog
			h.Members = func(ms []leadership.Node) { ms[0].Weight = 2 }
		}), reparenttest.Features{Crash: true, Pause: true, Nodes: 4}},
		{"registry", over(func(h *reparenttest.Harness) {
			h.Registry = func(h *reparenttest.Host) (leadership.Registry, error) {
				if h.Disk == nil {
					h.Disk = &leadership.Record{}
				}
				return &diskRegistry{h: h, disk: h.Disk.(*leadership.Record), changed: make(chan struct{})}, nil
			}
		}), reparenttest.Everything()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reparenttest.Run(t, c.h, c.f, few)
		})
	}
	t.Cleanup(func() {
		if asked.Load() == 0 {
			t.Error("the revoker of the harness was never used")
		}
	})
}

func TestEachBrokenPartOfTheUsersOwnIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		h    reparenttest.Harness
		want string // invariants, one of which must be named
	}{
		{"a revoker that reports promises nobody made", over(func(h *reparenttest.Harness) {
			h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) {
				push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
				return liar{push}, err
			}
		}), "I1 I2 I5 I13"},
		{"an establisher that reports acceptances nobody gave", over(func(h *reparenttest.Harness) {
			h.Establish = func(p *reparenttest.Process) (establish.Establisher, error) {
				est, err := establish.NewProposal(p.Candidates(), nil, establish.Options{})
				return hasty{est, p}, err
			}
		}), "I11 I2 I1"},
		{"a registry that forgets when it restarts", over(func(h *reparenttest.Harness) {
			h.Registry = func(*reparenttest.Host) (leadership.Registry, error) { return &leadership.MemoryRegistry{}, nil }
		}), "I17 L1"},
		{"a node that leads again after a restart", with(func(h *reparenttest.Host, n *reparenttest.Node) {
			n.Promise = forgetful{n.Promise, h}
		}), "I6"},
		{"a node that panics", with(func(_ *reparenttest.Host, n *reparenttest.Node) {
			n.Promise = panicky{}
		}), "panic"},
		{"a node that does not start again", over(func(hs *reparenttest.Harness) {
			boot := hs.Boot
			hs.Boot = func(h *reparenttest.Host) (reparenttest.Node, error) {
				if h.Disk != nil {
					return reparenttest.Node{}, errors.New("the lock file is still there")
				}
				return boot(h)
			}
		}), "boot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := few
			o.Seeds = 400
			got := reparenttest.Find(t, c.h, reparenttest.Everything(), o)
			if got == nil {
				t.Fatal("not found")
			}
			t.Log(got)
			if !strings.Contains(c.want, got.Invariant) {
				t.Errorf("found as %s, want one of %s", got.Invariant, c.want)
			}
		})
	}
}

func TestAHarnessThatCannotBeRunIsRefusedInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, field string
		edit        func(h *reparenttest.Harness)
		nodes       int
	}{
		{"no node", "Boot", func(h *reparenttest.Harness) { h.Boot = nil }, 0},
		{"too many nodes", "Boot", func(*reparenttest.Harness) {}, 10},
		{"a policy for more nodes", "Policy", func(h *reparenttest.Harness) { h.Policy = leadership.AtLeast(5) }, 3},
		{"a policy that the catalogue does not know", "Policy", func(h *reparenttest.Harness) { h.Policy = weighty{} }, 4},
		{"zones without zones", "Policy", func(h *reparenttest.Harness) { h.Policy = leadership.Zones(2) }, 4},
		{"a member renamed", "Members", func(h *reparenttest.Harness) {
			h.Members = func(ms []leadership.Node) { ms[1].ID = "db-2" }
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := over(c.edit)
			err := h.Validate(reparenttest.Features{Nodes: c.nodes})
			var bad *reparenttest.HarnessError
			if !errors.As(err, &bad) || bad.Field != c.field {
				t.Errorf("got %v, want a HarnessError of %s", err, c.field)
			}
		})
	}
	if err := reparenttest.LogStore().Validate(reparenttest.Everything()); err != nil {
		t.Error(err)
	}
}

func TestAHarnessThatIsNotAFunctionOfItsScheduleIsReported(t *testing.T) {
	t.Parallel()
	var shared atomic.Int64
	t.Run("passing", func(t *testing.T) {
		h := with(func(h *reparenttest.Host, n *reparenttest.Node) {
			n.Promise = slow{n.Promise, h, &shared}
		})
		wantUnrepeatable(t, h)
	})
	t.Run("failing", func(t *testing.T) {
		var once sync.Once
		h := with(func(_ *reparenttest.Host, n *reparenttest.Node) {
			once.Do(func() { n.Client = nil })
		})
		wantUnrepeatable(t, h)
	})
}

func wantUnrepeatable(t *testing.T, h reparenttest.Harness) {
	t.Helper()
	got := reparenttest.Find(t, h, reparenttest.Everything(), few)
	if got == nil || got.Invariant != "unrepeatable" || !strings.Contains(got.Error(), "the order of a map") {
		t.Errorf("got %v", got)
	}
}

func TestANodeThatHoldsAMutexOverAWriteIsReportedAsHanging(t *testing.T) {
	t.Setenv("TENURE_HANG", "300ms")
	h := with(func(h *reparenttest.Host, n *reparenttest.Node) {
		n.Promise = &locked{h: h}
	})
	got := reparenttest.Find(t, h, reparenttest.Everything(), reparenttest.Options{Seeds: 1})
	if got == nil || got.Invariant != "hang" {
		t.Fatalf("got %v", got)
	}
	for _, want := range []string{"locked).Promise", "A mutex is none of these"} {
		if !strings.Contains(got.Error(), want) {
			t.Errorf("%q is not in\n%v", want, got)
		}
	}
}

// weighty is a policy of the user's own: durable on three weights.
type weighty struct{}

func (weighty) Spec() string { return "odd()" }

func (weighty) Compile(c *leadership.Cohort, members leadership.Set) (leadership.Rule, error) {
	return weightyRule{c, members}, nil
}

type weightyRule struct {
	c       *leadership.Cohort
	members leadership.Set
}

func (r weightyRule) Durable(leader leadership.Member, have leadership.Set) bool {
	sum := 0
	for m := range (have & r.members).All() {
		sum += max(1, r.c.Node(m).Weight)
	}
	return have.Has(leader) && sum >= 3
}

// counted is a revoker that is seen to be used.
type counted struct {
	revoke.Revoker
	n *atomic.Int64
}

func (c counted) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	c.n.Add(1)
	return c.Revoker.Revoke(ctx, ask, report)
}

// liar asks one node and answers for all.
type liar struct{ revoke.Revoker }

func (l liar) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	targets := ask.Targets
	ask.Targets = targets[:1]
	return l.Revoker.Revoke(ctx, ask, func(got leadership.Testimony) {
		for _, id := range targets {
			got.Node = id
			report(got)
		}
	})
}

// hasty installs at the candidate and answers for the followers.
type hasty struct {
	establish.Establisher
	p *reparenttest.Process
}

func (h hasty) Install(ctx context.Context, p *leadership.Proposal, report func(leadership.Acceptance)) error {
	return h.Establisher.Install(ctx, p, func(got leadership.Acceptance) {
		report(got)
		for _, id := range h.p.IDs() {
			got.Node = id
			report(got)
		}
	})
}

// forgetful answers before the promise is on disk.
type forgetful struct {
	revoke.Promiser
	h *reparenttest.Host
}

func (f forgetful) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{Node: f.h.ID, Incarnation: "disk-1", Term: t, Kind: leadership.Promised, Read: &leadership.Position{}}, nil
}

type panicky struct{}

func (panicky) Promise(context.Context, leadership.Term) (leadership.Testimony, error) {
	panic("index out of range")
}

// slow names its writes after something that other runs share.
type slow struct {
	revoke.Promiser
	h *reparenttest.Host
	n *atomic.Int64
}

func (s slow) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if err := s.h.Write(ctx, fmt.Sprint("journal ", s.n.Add(1)), func() {}); err != nil {
		return leadership.Testimony{}, err
	}
	return s.Promiser.Promise(ctx, t)
}

// locked holds a mutex over a write.
type locked struct {
	mu sync.Mutex
	h  *reparenttest.Host
}

func (l *locked) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	l.h.Go(func(context.Context) {
		l.mu.Lock()
		defer l.mu.Unlock()
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return leadership.Testimony{}, l.h.Write(ctx, "under a lock", func() {})
}

// diskRegistry keeps its record on its host's disk.
type diskRegistry struct {
	h    *reparenttest.Host
	disk *leadership.Record

	mu      sync.Mutex // guards changed and disk, for moments
	changed chan struct{}
}

func (r *diskRegistry) Load(context.Context) (leadership.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.disk, nil
}

func (r *diskRegistry) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	ok := false
	err := r.h.Write(ctx, fmt.Sprintf("record %d", base+1), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if ok = r.disk.Version == base; !ok {
			return
		}
		next.Version = base + 1
		*r.disk = next
		close(r.changed)
		r.changed = make(chan struct{})
	})
	if err != nil {
		return leadership.Record{}, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	now, _ := r.Load(ctx)
	if !ok {
		return now, &leadership.ConflictError{Base: base, Current: now.Version}
	}
	return next, nil
}

func (r *diskRegistry) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	for {
		r.mu.Lock()
		rec, changed := *r.disk, r.changed
		r.mu.Unlock()
		if rec.Version > after {
			return rec, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return leadership.Record{}, context.Cause(ctx)
		}
	}
}
