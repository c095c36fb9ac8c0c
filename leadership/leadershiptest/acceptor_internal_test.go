package leadershiptest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// toyDisk is what a toy keeps across a restart.
type toyDisk struct {
	promised leadership.Term
	source   leadership.Leadership
	lead     leadership.Term // only of a toy that is broken
}

var errToyWrite = errors.New("toy: the write failed")

// toy is the simplest node that keeps the rules: a mutex around everything. It
// either holds that while an entry is written, so that a promise waits, or looks
// again afterwards. broke names the one rule that it does not keep.
type toy struct {
	id    leadership.NodeID
	broke string
	waits bool

	mu     sync.Mutex // guards what follows but log; taken by every call
	disk   toyDisk
	mem    toyDisk
	fail   int // 1: the next write fails before, 2: after it took effect
	ousted leadership.Term

	logMu sync.Mutex // guards log
	log   []leadership.Term
}

type toyRefusal string

func (e toyRefusal) Error() string     { return "toy: " + string(e) }
func (e toyRefusal) NotExecuted() bool { return true }

func (n *toy) is(broke string) bool { return n.broke == broke }

func (n *toy) write(next toyDisk) error {
	if n.is("memory is changed before the disk") {
		n.mem = next
	}
	fail := n.fail
	n.fail = 0
	if fail == 1 {
		return errors.Join(leadership.ErrUnknownOutcome, errToyWrite)
	}
	if !n.is("the promise is volatile") {
		was := n.disk
		n.disk = next
		if n.is("the source is volatile") {
			n.disk.source = was.source
			if was.promised != next.promised {
				n.disk.source = leadership.Leadership{}
			}
		}
	}
	if fail == 2 {
		if n.is("a write that failed is said not to have been executed") {
			return toyRefusal("the disk is bad")
		}
		return errors.Join(leadership.ErrUnknownOutcome, errToyWrite)
	}
	n.mem = next
	return nil
}

func (n *toy) below(t leadership.Term) bool {
	switch {
	case n.is("terms are compared by number alone"):
		return t.Num < n.mem.promised.Num
	case n.is("nothing compares the terms"):
		return false
	}
	return t.Less(n.mem.promised)
}

func (n *toy) stale(t leadership.Term) error {
	switch {
	case n.is("a refusal is a plain error"):
		return errors.New("toy: no")
	case n.is("a refusal does not say what was promised"):
		return &leadership.StaleTermError{Node: n.id, Asked: t}
	}
	return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: n.mem.promised}
}

// raise promises t in memory and on disk, with l as the source if that is not
// zero.
func (n *toy) raise(t leadership.Term, l leadership.Leadership) error {
	if err := t.Validate(); err != nil && !n.is("a bad term is taken") {
		return err
	}
	if n.below(t) {
		return n.stale(t)
	}
	next := n.mem
	ends := n.mem.promised.Less(t) || n.is("the same term unseats")
	if ends || t != n.mem.promised {
		next.promised = t
		if !n.is("a higher term keeps the source") {
			next.source = leadership.Leadership{}
		}
	}
	if !l.IsZero() {
		if !next.source.IsZero() && next.source != l && !n.is("a second source replaces the first") {
			return errors.New("toy: two leaders")
		}
		next.source = l
	}
	if n.is("following is no promise") && !l.IsZero() && l.Leader != n.id {
		next.promised = n.mem.promised
	}
	if next == n.mem {
		return nil
	}
	if err := n.write(next); err != nil {
		return err
	}
	if ends && !n.mem.lead.IsZero() && !n.is("a higher term keeps the grant") {
		n.ousted, n.mem.lead = n.mem.lead, leadership.Term{}
		n.disk.lead = leadership.Term{}
	}
	return nil
}

func (n *toy) position() *leadership.Position {
	n.logMu.Lock()
	defer n.logMu.Unlock()
	p := &leadership.Position{}
	if len(n.log) > 0 {
		*p = leadership.Position{Term: n.log[len(n.log)-1], Point: leadership.LogPoint{Index: uint64(len(n.log))}}
	}
	return p
}

func (n *toy) promise(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	before := n.position()
	n.mu.Lock()
	defer n.mu.Unlock()
	led := n.mem.lead
	if err := n.raise(t, leadership.Leadership{}); err != nil {
		return leadership.Testimony{}, err
	}
	out := leadership.Testimony{Node: n.id, Term: t, Kind: leadership.Promised, Led: leadership.MaxTerm(led, n.ousted), Read: n.position()}
	switch {
	case n.is("the log is read before the block"):
		out.Read = before
	case n.is("a testimony forgets who led"):
		out.Led = leadership.Term{}
	case n.is("a promise is said to be a mere statement"):
		out.Kind = leadership.Statement
	}
	return out, nil
}

func (n *toy) follow(_ context.Context, l leadership.Leadership) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.raise(l.Term, l)
}

func (n *toy) may(l leadership.Leadership) bool {
	switch {
	case l.Term != n.mem.promised && !n.is("an entry of any term is taken"):
		return false
	case l.Leader == n.id && !n.is("a leader writes before the grant"):
		return l.Term == n.mem.lead && !l.Term.IsZero()
	}
	return l == n.mem.source || n.is("an entry of any leader is taken") && l.Term == n.mem.promised || n.is("an entry of any term is taken")
}

// inside runs during and then do, which must still be allowed by may then.
func (n *toy) inside(during func(), may func() bool, do func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !may() {
		return errors.New("toy: refused")
	}
	if during != nil {
		if !n.waits {
			n.mu.Unlock()
		}
		during()
		if !n.waits {
			n.mu.Lock()
		}
	}
	if !may() && !n.is("nothing looks again") {
		return leadership.ErrUnknownOutcome
	}
	do()
	return nil
}

func (n *toy) accept(_ context.Context, l leadership.Leadership, during func()) error {
	return n.inside(during, func() bool { return n.may(l) }, func() {
		n.logMu.Lock()
		defer n.logMu.Unlock()
		n.log = append(n.log, l.Term)
	})
}

func (n *toy) complete(_ context.Context, t leadership.Term, during func()) error {
	may := func() bool { return !t.IsZero() && n.mem.lead == t }
	if n.is("completing asks for no grant") {
		may = func() bool { return n.mem.source == leadership.Leadership{Leader: n.id, Term: t} }
	}
	return n.inside(during, may, func() {})
}

func (n *toy) install(_ context.Context, t leadership.Term) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.raise(t, leadership.Leadership{Leader: n.id, Term: t}); err != nil {
		return err
	}
	n.logMu.Lock()
	defer n.logMu.Unlock()
	n.log = append(n.log, t)
	return nil
}

func (n *toy) grant(_ context.Context, t leadership.Term) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.below(t) {
		return n.stale(t)
	}
	if t.IsZero() || (n.mem.source != leadership.Leadership{Leader: n.id, Term: t}) && !n.is("a grant needs no marker") {
		return &leadership.NotReadyError{Node: n.id, Reason: "not installed"}
	}
	n.mem.lead, n.ousted = t, leadership.Term{}
	if n.is("the grant is durable") {
		n.disk.lead = t
	}
	return nil
}

func (n *toy) read(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	if n.below(t) {
		return leadership.Testimony{}, n.stale(t)
	}
	if n.mem.promised.Less(t) && !n.is("a read needs no promise") {
		return leadership.Testimony{}, errors.New("toy: not promised")
	}
	return leadership.Testimony{Node: n.id, Term: t, Read: n.position()}, nil
}

func (n *toy) restart() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mem, n.fail, n.ousted = n.disk, 0, leadership.Term{}
	return nil
}

func (n *toy) node() AcceptorNode {
	return AcceptorNode{
		ID: n.id, Promise: n.promise, Follow: n.follow, Accept: n.accept, Restart: n.restart,
		Install: n.install, Grant: n.grant, Complete: n.complete, StepDown: n.promise, Read: n.read,
		FailWrite: func(after bool) {
			if n.fail = 1; after {
				n.fail = 2
			}
		},
	}
}

func bootToy(broke string, waits bool) acceptorCase {
	return acceptorCase{boot: func() AcceptorNode { return (&toy{id: "n1", broke: broke, waits: waits}).node() }}
}

// A node of any make that keeps the rules passes.
func TestNodesThatKeepTheRulesPass(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		Acceptor(t, func(*testing.T) AcceptorNode { return bootToy("", waits).boot() })
		// What is left out is skipped.
		Acceptor(t, func(*testing.T) AcceptorNode {
			n := bootToy("", waits).boot()
			return AcceptorNode{ID: n.ID, Promise: n.Promise, Follow: n.Follow, Accept: n.Accept}
		})
	}
}

// The kit is worth what it catches: each way to break a node is found, by a
// check that says which rule it was. The walk alone finds most of them as well.
func TestEveryWayToBreakANodeIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		broke, rule string
		scripted    bool // the random walk cannot find it
	}{
		{"the promise is volatile", ruleRise, false},
		{"memory is changed before the disk", ruleDurable, true},
		{"a write that failed is said not to have been executed", ruleTruth, true},
		{"nothing compares the terms", ruleRise, false},
		{"terms are compared by number alone", ruleRise, false},
		{"the same term unseats", ruleAgain, false},
		{"a higher term keeps the grant", ruleClear, false},
		{"a higher term keeps the source", ruleTake, false},
		{"an entry of any leader is taken", ruleSource, true},
		{"an entry of any term is taken", ruleClear, false},
		{"a second source replaces the first", ruleSource, true},
		{"the source is volatile", ruleSource, true},
		{"following is no promise", ruleRise, false},
		{"a leader writes before the grant", ruleGrant, true},
		{"a grant needs no marker", ruleGrant, false},
		{"completing asks for no grant", ruleGrant, false},
		{"the grant is durable", ruleVolatile, false},
		{"nothing looks again", ruleFlight, true},
		{"the log is read before the block", rulePosition, true},
		{"a testimony forgets who led", ruleTestify, false},
		{"a promise is said to be a mere statement", ruleTestify, false},
		{"a read needs no promise", ruleRead, false},
		{"a refusal is a plain error", ruleRise, false},
		{"a refusal does not say what was promised", ruleRise, false},
		{"a bad term is taken", ruleInput, true},
	} {
		t.Run(c.broke, func(t *testing.T) {
			t.Parallel()
			// Reading too early shows only where a promise waits, looking
			// again is needed only where it does not.
			boot := bootToy(c.broke, c.rule == rulePosition)
			var found []string
			named := false
			for _, check := range acceptorChecks {
				err := check.check(boot)
				var b *brokenRule
				if !errors.As(err, &b) {
					continue
				}
				found = append(found, check.name)
				named = named || b.rule == c.rule
				if !strings.Contains(err.Error(), "rule: ") || len(b.trace) == 0 {
					t.Errorf("%s explains nothing: %v", check.name, err)
				}
			}
			if !named {
				t.Errorf("no check found that %q is broken, only %q", c.rule, found)
			}
			t.Logf("found by %q", found)
			walked := 0
			for seed := 1; walked == 0 && seed <= 300; seed++ {
				walk := rapid.Custom(func(t *rapid.T) error { return acceptorWalk(t, boot) })
				if walk.Example(seed) != nil {
					walked = seed
				}
			}
			if walked == 0 && !c.scripted {
				t.Error("300 random walks did not find it")
			}
			t.Logf("found by random walk %d", walked)
		})
	}
}
