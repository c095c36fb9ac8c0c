package reparent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// A planned change of whose leader and successor each does its part in one call.
// The leader drains and steps down, the successor proves, installs and grants
// itself: between the last success of the one and the first of the other there is
// the leader's answer, the message to the successor and its marker. Where the two
// are not enough for the proof, as many others promise meanwhile as the leader can
// do without. The tests are those of a hand-over: the successor's own, and then
// the guard's, of what it heard itself and of what the successor says of itself.

// retires reports whether the leader lets go in one call.
func (a *attempt) retires() bool {
	return a.change.Kind == leadership.KindPlanned && !a.change.LeaderLed && a.change.Revoke == nil &&
		a.from != a.change.To && a.g.nodes[a.from].Retire != nil
}

// relays reports whether the successor then takes over by itself. In mode Shortcut
// nobody may be granted before the record names it.
func (a *attempt) relays() bool {
	return a.retires() && a.change.Establish == nil && a.rec.Mode == leadership.Full && a.g.nodes[a.change.To].TakeOver != nil
}

// level reports whether the successor has all that the leader had when they said
// how they are: it need not catch up. What it lacks since, it gets from the
// leader's tail, or fetches.
func (a *attempt) level() bool {
	at := func(id leadership.NodeID) (leadership.Position, bool) {
		i := slices.IndexFunc(a.statuses, func(s leadership.Status) bool { return s.Node == id && s.Reachable })
		if i < 0 {
			return leadership.Position{}, false
		}
		return a.statuses[i].Position, true
	}
	from, ok := at(a.from)
	to, also := at(a.change.To)
	return ok && also && to.Extends(from)
}

// retire has the leader let go. It returns what the successor is to be told, or
// nil when more promises are needed first, which the ordinary way then gets.
func (a *attempt) retire(ctx, mctx context.Context) (*handover.Relay, error) {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Revoke)
	defer cancel()
	lead, err := a.node(a.from)
	if err != nil {
		return nil, err
	}
	var asked <-chan error
	if ids := a.spares(); len(ids) > 0 {
		a.spared = true
		asked = a.start(mctx, a.g.push, ids)
	}
	got, err := lead.Retire.Retire(ctx, handover.Retirement{Term: a.term, To: a.change.To, Drain: a.g.cfg.Limits.Drain})
	if got.Drained != nil {
		a.drained(a.from, *got.Drained)
	}
	if err == nil {
		err = a.says(got.StepDown)
	}
	if err = nodecall.Judge(a.term, err); err != nil {
		if by, ok := nodecall.Outrun(a.term, err); ok {
			a.report(leadership.Testimony{Node: a.from, Term: by, Kind: leadership.Refused, Mechanism: mechanismRetire})
		}
		return nil, &revoke.StageError{Must: true, Err: &revoke.NodeError{Node: a.from, Op: mechanismRetire, Err: err}}
	}
	got.StepDown.Mechanism = mechanismRetire
	a.retired = &got
	a.report(got.StepDown)
	return a.relay(ctx, asked)
}

const mechanismRetire = "retire"

// says refuses the testimony of another node or term: an adapter that mixes up its
// connections must not be able to prove anything. It is no proof that the leader
// did nothing.
func (a *attempt) says(t leadership.Testimony) error {
	if t.Node != a.from || t.Term != a.term {
		return nodecall.Partial{Err: fmt.Errorf("reparent: the testimony is of %s and term %s, not of %s and term %s", t.Node, t.Term, a.from, a.term)}
	}
	return nil
}

// relay waits for the spare promises, not for long, and returns the message to the
// successor if that can do with it.
func (a *attempt) relay(ctx context.Context, asked <-chan error) (*handover.Relay, error) {
	t := time.NewTimer(preferWait)
	defer t.Stop()
	for waiting := asked != nil; a.relays(); {
		if err := a.alive(); err != nil {
			return nil, err // who was not asked yet is left alone
		}
		a.mu.Lock()
		said := slices.Clone(a.said)
		a.mu.Unlock()
		if a.supposing(said, a.change.To) == nil {
			r, err := a.baton().Relay(*a.retired, said)
			if err != nil {
				return nil, nil //nolint:nilerr // it did not lead: the ordinary way finds out who does
			}
			return &r, nil
		}
		if !waiting {
			return nil, nil
		}
		select {
		case <-a.news:
		case <-asked: //nolint:errcheck // what came of it was reported
			waiting = false
		case <-t.C:
			waiting = false
		case <-ctx.Done():
			waiting = false // the ordinary way has a limit of its own, and notices a caller that gave up
		}
	}
	return nil, nil
}

// supposing runs the check that the change acts on, with the promises of nodes
// that have not made them: as if each had promised what it said of itself when it
// was asked how it is. Nothing is proven by it.
func (a *attempt) supposing(said []leadership.Testimony, ids ...leadership.NodeID) error {
	r, err := a.newRound(a.term)
	if err != nil {
		return err
	}
	for _, t := range said {
		_ = r.Add(t) // what is wrong with it was noted
	}
	for _, s := range a.statuses {
		if s.Reachable && slices.Contains(ids, s.Node) {
			_ = r.Add(promising(s, a.term))
		}
	}
	_, choice, err := a.decideWith(r, a.statuses, func(leadership.NodeID) bool { return false })
	if err == nil && choice.To != a.change.To {
		err = &leadership.NotReadyError{Node: a.change.To, Reason: string(choice.To) + " is the better one"}
	}
	return err
}

// spares are the nodes that promise while the leader still has requests in flight:
// as few as make up the proof, with the two leaders, and none that the leader
// needs to complete those, with the rest of the nodes that answer. None when that
// cannot be had.
func (a *attempt) spares() []leadership.NodeID {
	if !a.relays() {
		return nil
	}
	two := []leadership.NodeID{a.from, a.change.To}
	var rules []*leadership.Rules
	for _, rs := range a.inForce() {
		r, err := rs.Compile(a.g.cfg.Catalog)
		if err != nil {
			return nil
		}
		rules = append(rules, r)
	}
	var ids []leadership.NodeID
	for _, id := range a.spareable() {
		if a.supposing(nil, append(two, ids...)...) == nil {
			break
		}
		if a.doesWithout(rules, append(ids, id)) {
			ids = append(ids, id)
		}
	}
	if a.supposing(nil, append(two, ids...)...) != nil {
		return nil
	}
	for i := 0; i < len(ids); { // one that was taken first may have turned out not to help
		rest := slices.Delete(slices.Clone(ids), i, i+1)
		if a.supposing(nil, append(two, rest...)...) == nil {
			ids = rest
		} else {
			i++
		}
	}
	return ids
}

// inForce are the rulesets that the leader may need its followers under: also one
// that the record does not show yet.
func (a *attempt) inForce() []leadership.Ruleset {
	if a.hints != nil {
		return a.hints.Rulesets()
	}
	return a.rulesets
}

// spareable are the members, beside the two leaders, that could promise and count.
func (a *attempt) spareable() []leadership.NodeID {
	var ids []leadership.NodeID
	for _, rs := range a.inForce() {
		for _, id := range rs.IDs() {
			_, doubted := a.without[id]
			if id != a.from && id != a.change.To && !doubted && !a.held(id) && a.answers(id) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	// Who has left the leader already costs it nothing.
	slices.SortStableFunc(ids, func(x, y leadership.NodeID) int {
		switch l, r := a.supports(x), a.supports(y); {
		case l == r:
			return 0
		case r:
			return -1
		}
		return 1
	})
	return ids
}

// supports reports whether, by what it said, the node can accept from the leader:
// one that has promised more, to an attempt that was abandoned, does not.
func (a *attempt) supports(id leadership.NodeID) bool {
	led := a.rec.Active.Term
	for _, s := range a.statuses {
		if s.Node == a.from && s.Reachable {
			led = leadership.MaxTerm(led, s.Leads)
		}
	}
	return slices.ContainsFunc(a.statuses, func(s leadership.Status) bool {
		return s.Node == id && s.Reachable && !led.Less(s.Promised)
	})
}

// answers reports whether the node said how it is.
func (a *attempt) answers(id leadership.NodeID) bool {
	return slices.ContainsFunc(a.statuses, func(s leadership.Status) bool { return s.Node == id && s.Reachable })
}

// doesWithout reports whether the leader can complete requests although some nodes
// no longer accept from it.
func (a *attempt) doesWithout(rules []*leadership.Rules, gone []leadership.NodeID) bool {
	for _, r := range rules {
		leader, ok := r.Cohort().Member(a.from)
		var left leadership.Set
		for m := range r.Members().All() {
			if id := r.Cohort().Node(m).ID; a.supports(id) && !slices.Contains(gone, id) {
				left = left.With(m)
			}
		}
		if !ok || !r.Durable(leader, left) {
			return false
		}
	}
	return true
}

// takeOver has the successor take over on one message. When its answer is lost it
// is asked again, which joins what was begun, or, for a caller that has gone and
// wants nothing begun, whether it was.
func (a *attempt) takeOver(ctx context.Context, r handover.Relay) (*leadership.Installed, error) {
	limits, b := a.g.cfg.Limits, r.Release.Baton
	a.targets() // all of them are asked, if not by us
	to, err := a.node(b.To)
	if err != nil {
		return nil, err
	}
	if err := a.alive(); err != nil {
		return nil, err
	}
	// The proof is that of what the successor was told, in the order in which it
	// counted it: what came since may show more rulesets, and takes nothing from it.
	told, err := a.newRound(a.term)
	if err != nil {
		return nil, err
	}
	own := map[leadership.NodeID]bool{}
	for _, t := range append(slices.Clone(r.Heard), r.Release.StepDown) {
		own[t.Node] = true
		_ = told.Add(t) // what is wrong with it was noted
	}
	ask := func(ctx context.Context) (handover.Account, error) { return to.TakeOver.TakeOver(ctx, r) }
	acc, err := a.hear(ctx, b.To, "take over", limits.Install, ask)
	if err != nil && silent(acc) && promised(err).IsZero() {
		var also error
		switch {
		case ctx.Err() == nil:
			acc, also = a.hear(ctx, b.To, "take over", limits.Status, ask)
		case to.HandOver != nil:
			acc, also = a.pass(context.WithoutCancel(ctx), b.To, b, limits.Status)
		}
		if also != nil {
			err = errors.Join(err, also)
		}
	}
	return a.judge(b, acc, err, func(t leadership.Testimony) {
		// What others said, this attempt has heard itself.
		if !own[t.Node] || t.Kind == leadership.Refused {
			_ = told.Add(t)
			a.report(t)
		}
	}, told.Revocation)
}
