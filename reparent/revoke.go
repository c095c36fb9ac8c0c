package reparent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// revoke runs the mechanism until the round suffices. The mechanism is not
// broken off then: what it still finds out goes into the report.
func (a *attempt) revoke(ctx, mctx context.Context) (*leadership.Revocation, establish.Choice, error) {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Revoke)
	defer cancel()
	mechanism := a.mechanism()
	var failed error
	var grace <-chan time.Time
	patient := true
	for {
		targets := a.targets()
		if len(targets) == 0 {
			_, _, err := a.sufficient()
			return nil, establish.Choice{}, errors.Join(failed, err)
		}
		// Each is asked once, so there are no more calls than nodes.
		ended, running := make(chan error, len(a.g.ids)), 1
		a.launch(mctx, mechanism, targets, ended)
		for waiting := true; waiting; {
			select {
			case err := <-ended:
				failed = errors.Join(failed, err)
				running--
				waiting = running > 0
			case <-a.news:
			case <-grace:
				patient = false
			case <-ctx.Done():
				// Who did not answer well enough has a reason, and it is no use to
				// anybody but now.
				a.cancel()
				for ; running > 0; running-- {
					failed = errors.Join(failed, <-ended)
				}
				_, _, err := a.sufficient()
				return nil, establish.Choice{}, errors.Join(context.Cause(ctx), failed, err)
			}
			rev, choice, err := a.sufficient()
			if err == nil && waiting && patient && a.expects(choice.To) {
				if grace == nil {
					t := time.NewTimer(preferWait)
					defer t.Stop()
					grace = t.C
				}
				continue
			}
			if err == nil {
				return rev, choice, nil
			}
			var super *leadership.SupersededError
			if errors.As(err, &super) {
				return nil, establish.Choice{}, err
			}
			// A node that does not answer is asked until the end: members that logs
			// tell of meanwhile must not wait for it. They do wait for a leader that
			// is to step down first.
			if waiting && mechanism == a.g.push {
				if more := a.targets(); len(more) > 0 {
					running++
					a.launch(mctx, mechanism, more, ended)
				}
			}
		}
		// A planned change in which the leader did not step down in order
		// must not go on to nodes that the round has meanwhile learned of.
		if mustFailed(failed) {
			return nil, establish.Choice{}, failed
		}
	}
}

// mustFailed reports whether any stage failed that had to succeed. It looks at
// every part of a joined error: a soft failure before it must not hide it.
func mustFailed(err error) bool {
	if s, ok := err.(*revoke.StageError); ok && s.Must {
		return true
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return mustFailed(u.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(u.Unwrap(), mustFailed)
	}
	return false
}

// preferWait is how long a proof that suffices waits for the answer of a node
// that should rather lead.
const preferWait = 50 * time.Millisecond

// expects reports whether a node that goes before to has answered the survey
// and not yet this attempt: it may only be slower than the others.
func (a *attempt) expects(to leadership.NodeID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	reads := a.round.Reads()
	for _, id := range a.prefer {
		if id == to {
			return false
		}
		up := slices.ContainsFunc(a.statuses, func(s leadership.Status) bool { return s.Node == id && s.Reachable })
		if up && !slices.ContainsFunc(reads, func(p leadership.NodePosition) bool { return p.Node == id }) {
			return true
		}
	}
	return false
}

// mechanism is the change's own, or the one that costs clients least: a leader
// that answers is let finish what it has, except when the change is because of
// it.
func (a *attempt) mechanism() revoke.Revoker {
	switch {
	case a.change.Revoke != nil:
		return a.change.Revoke
	case a.retired != nil:
		return a.g.push
	case a.change.orderly():
		return a.g.planned
	case a.change.Kind == leadership.KindResume && a.leads():
		return a.g.gentle
	}
	return a.g.push
}

// leads reports whether the recorded leader says that it leads.
func (a *attempt) leads() bool {
	return slices.ContainsFunc(a.statuses, func(s leadership.Status) bool {
		return s.Node == a.from && s.Reachable && !s.Leads.IsZero()
	}) && a.g.nodes[a.from].StepDown != nil
}

// start runs the mechanism on its own goroutine, which end joins.
func (a *attempt) start(ctx context.Context, m revoke.Revoker, targets []leadership.NodeID) <-chan error {
	ended := make(chan error, 1)
	a.launch(ctx, m, targets, ended)
	return ended
}

// launch is start for several calls that share a channel with room for them all.
func (a *attempt) launch(ctx context.Context, m revoke.Revoker, targets []leadership.NodeID, ended chan<- error) {
	ask := revoke.Ask{
		Term: a.term, Targets: targets, Leader: a.from, Drain: a.g.cfg.Limits.Drain,
		Enough:  a.settled,
		Drained: a.drained,
	}
	a.joins.Go(func() { ended <- m.Revoke(ctx, ask, a.report) })
}

// settled reports whether another stage would add nothing: what was reported
// suffices, or says that a newer attempt exists.
func (a *attempt) settled() bool {
	_, _, err := a.sufficient()
	var super *leadership.SupersededError
	return err == nil || errors.As(err, &super)
}

func (a *attempt) drained(id leadership.NodeID, d revoke.Drained) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rep.Drained = &d
}

// targets returns the members of the rulesets in force, and of the one to come,
// that were not asked yet. Rulesets grow while answers come in.
func (a *attempt) targets() []leadership.NodeID {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []leadership.NodeID
	sets := a.round.Rulesets()
	if a.next != nil {
		sets = append(sets, *a.next)
	}
	for _, rs := range sets {
		for _, id := range rs.IDs() {
			if _, ok := a.g.nodes[id]; ok && !a.asked[id] {
				a.asked[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}
