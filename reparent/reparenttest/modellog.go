package reparenttest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

var errBroken = errors.New("replication is broken: the follower has a tail that its source has not")

// push starts a sender for each member that lacks something. It is called when
// the leader's log grew.
func (n *store) push(l leadership.Leadership) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := map[leadership.NodeID]bool{n.h.ID: true}
	for _, rs := range n.rulesets {
		for _, id := range rs.IDs() {
			if seen[id] || n.sending[id] {
				continue
			}
			seen[id], n.sending[id] = true, true
			sending := n.sending
			n.h.Go(func(life context.Context) { n.send(life, l, id, sending) })
		}
	}
	n.pushObservers(l, seen)
}

// send pushes the log until the follower has it. Real stores send the
// difference; what matters here is the prefix check and the order of events.
// It ends in the moment in which it sees nothing to send: whether the log grew
// just before or just after, in one step of the scheduler, must not matter.
func (n *store) send(life context.Context, l leadership.Leadership, to leadership.NodeID, sending map[leadership.NodeID]bool) {
	told := -1
	for fails := 0; ; {
		n.mu.Lock()
		log, commit := n.disk.log[:len(n.disk.log):len(n.disk.log)], n.commit
		level := n.matched[to] == len(log) && told == commit
		if level || fails == 12 || life.Err() != nil || n.acc.Status().Source != l {
			delete(sending, to)
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		done := n.does(n.sends(to, l), uint64(told+1)<<32|uint64(fails), 0)
		what := "entries " + l.Term.String() + " " + strconv.Itoa(commit) + "/" + strconv.Itoa(len(log))
		sent := n.h.Elapsed()
		got, err := sendFor(life, 60*time.Millisecond, n.h, to, what, func(ctx context.Context, peer Node) (int, error) {
			return peer.Client.(*store).accept(ctx, l, log, commit)
		})
		if err != nil {
			fails++
			_ = n.h.Sleep(life, 15*time.Millisecond)
			done()
			continue
		}
		done()
		told = commit
		n.mu.Lock()
		if n.installed == l.Term { // an answer to an older leadership matches another log
			n.matched[to] = max(n.matched[to], got)
		}
		n.wake()
		n.mu.Unlock()
		n.supportedUntil(to, sent)
		n.complete(l)
	}
}

// sends names a sender for an explorer.
func (n *store) sends(to leadership.NodeID, l leadership.Leadership) string {
	if !n.h.proc.Sim().Explored() {
		return ""
	}
	return "send " + string(to) + " " + l.Term.String()
}

// accept is a follower's side of replication.
func (n *store) accept(ctx context.Context, l leadership.Leadership, log []Entry, commit int) (int, error) {
	blind := n.bugs.noTermCheck || n.replicates(l)
	if st := n.acc.Status(); st.Source != l && !blind {
		if l.Term.Less(st.Promised) || n.Repairs {
			// A server with sources takes entries only from the one it was
			// pointed at.
			return 0, &leadership.StaleTermError{Node: n.h.ID, Asked: l.Term, Promised: st.Promised}
		}
		if err := n.follows(ctx, l); err != nil {
			return 0, err
		}
	}
	give, err := n.take(ctx)
	if err != nil {
		return 0, err
	}
	defer give()
	tok, err := n.acc.Admit(l)
	if err != nil && !blind {
		return 0, err
	}
	if n.bugs.earlyCommit {
		commit = len(log)
	}
	ours := n.entries()
	if at := common(ours, log); at < len(log) {
		if n.disk.own > 0 {
			return 0, errBroken
		}
		err, wrong := n.acceptWrong(ctx, l, at, log)
		switch {
		case at < len(ours) && n.Repairs:
			err = n.diverged(ctx, l, ours, log, commit)
		case !wrong:
			err = n.writes(ctx, "accept "+l.Term.String(), at, log[at:], commit)
		}
		if err != nil {
			return 0, err
		}
	}
	if !blind {
		if err := n.acc.Confirm(tok); err != nil {
			return 0, err
		}
	}
	n.saw(Event{Kind: Accepted, Leadership: l, Index: len(log)})
	n.gaveLease()
	n.received()
	n.mu.Lock()
	n.commit = max(n.commit, min(commit, len(log)))
	n.wake()
	n.mu.Unlock()
	return len(log), nil
}

// complete decides at the leader what is durable, in the acceptor's bracket.
func (n *store) complete(l leadership.Leadership) {
	n.h.proc.Sim().Shaken()
	bracket, err := n.acc.Complete(l.Term)
	if err != nil {
		return
	}
	defer bracket.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	log := n.disk.log
	if len(log) > n.commit && !n.mayComplete(l) {
		return
	}
	for i := len(log); i > n.commit; i-- {
		if log[i-1].Term != l.Term && !n.bugs.earlyPrepared {
			break
		}
		if !n.durable(i) {
			continue
		}
		for k := n.commit; k < i; k++ {
			n.saw(Event{Kind: Completed, Leadership: l, Index: k + 1, Entry: log[k]})
		}
		n.commit = i
		if m := markerAt(log, l); m >= 0 && n.commit > m {
			// Its own marker is complete under all of them.
			n.rules, n.rulesets = n.rules[:1], n.rulesets[:1]
		}
		n.wake()
		break
	}
}

func (n *store) durable(i int) bool {
	if n.alone() {
		return true
	}
	for _, r := range n.rules {
		var have leadership.Set
		for id, m := range n.matched {
			if k, ok := r.Cohort().Member(id); ok && m >= i {
				have = have.With(k)
			}
		}
		self, ok := r.Cohort().Member(n.h.ID)
		if n.bugs.observerCounts && ok {
			have = n.withObservers(r, have, i)
		}
		if n.bugs.anyAck && ok {
			for m := range r.Members().All() {
				if r.Durable(self, have.With(m)) {
					return len(n.rules) > 0
				}
			}
		}
		if !ok || !r.Durable(self, have) {
			return false
		}
	}
	return len(n.rules) > 0
}

// Append implements Client.
func (n *store) Append(ctx context.Context, v uint64) error {
	tok, t, err := n.enter()
	if err != nil {
		return err
	}
	defer tok.Exit()
	l := leadership.Leadership{Leader: n.h.ID, Term: t}
	at, err := n.appendOwn(ctx, l, v)
	if err != nil {
		return err
	}
	if n.bugs.twice && v%3 == 0 {
		_, _ = n.appendOwn(ctx, l, v)
	}
	n.complete(l) // before a sender looks, and not meanwhile
	n.push(l)
	return n.committed(ctx, l, at, v)
}

// committed waits until the entry that was written at is completed.
func (n *store) committed(ctx context.Context, l leadership.Leadership, at int, v uint64) error {
	wctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	defer cancel()
	ours := func() bool {
		return n.commit > at && len(n.disk.log) > at && n.disk.log[at].Term == l.Term && n.disk.log[at].Value == v
	}
	err := n.await(wctx, func() bool { return ours() || n.gone(l) })
	n.mu.Lock()
	done := ours()
	n.mu.Unlock()
	if err == nil && done {
		return nil
	}
	if n.lies.asyncFallback && err != nil || n.lies.killQuery && err == nil {
		return nil
	}
	if n.bugs.lateRefusal {
		return &leadership.Refusal{Term: l.Term, Reason: "not leader any more"}
	}
	return fmt.Errorf("%s lost its leadership: %w", n.h.ID, leadership.ErrUnknownOutcome)
}

func (n *store) appendOwn(ctx context.Context, l leadership.Leadership, v uint64) (int, error) {
	give, err := n.take(ctx)
	if err != nil {
		return 0, &leadership.Refusal{Reason: "cancelled before anything was written"}
	}
	defer give()
	tok, err := n.acc.Admit(l)
	if err != nil {
		return 0, &leadership.Refusal{Term: l.Term, Reason: err.Error()}
	}
	at := len(n.entries())
	if err := n.write(ctx, "append "+strconv.FormatUint(v, 10), at, []Entry{{Term: l.Term, Value: v}}); err != nil {
		return 0, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	err = n.acc.Confirm(tok)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err == nil:
		n.matched[n.h.ID] = len(n.disk.log)
	case n.hand.carried != l.Term: // else who takes over is given it
		return 0, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	return at, nil
}

// Read implements Client: confirmed by a round to the followers, as a read
// index is, because a leader that was replaced may not know it yet.
func (n *store) Read(ctx context.Context) ([]uint64, error) {
	st := n.acc.Status()
	if st.Leads.IsZero() {
		return nil, &leadership.Refusal{Leader: st.Source.Leader, Reason: "not leading"}
	}
	l := leadership.Leadership{Leader: n.h.ID, Term: st.Leads}
	n.mu.Lock()
	commit := n.commit
	log := n.disk.log[:commit:commit]
	rules := n.rules
	if m := markerAt(log, l); m < 0 {
		n.mu.Unlock()
		return nil, &leadership.Refusal{Term: l.Term, Reason: "the marker of this term is not completed yet"}
	}
	n.mu.Unlock()
	if !n.bugs.staleRead && !n.local(l, rules) {
		if err := n.confirm(ctx, l, rules); err != nil {
			return nil, err
		}
	}
	var out []uint64
	for _, e := range log {
		if e.Value != 0 {
			out = append(out, e.Value)
		}
	}
	return out, nil
}

// confirm asks the followers whether they still support l.
func (n *store) confirm(ctx context.Context, l leadership.Leadership, rules []*leadership.Rules) error {
	have := map[leadership.NodeID]bool{n.h.ID: true}
	ids := rules[0].Ruleset.IDs()
	got := make(chan leadership.NodeID, len(ids))
	asked := 0
	for _, id := range ids {
		if id == n.h.ID {
			continue
		}
		asked++
		n.h.Go(func(life context.Context) {
			sctx, cancel := context.WithTimeout(life, 60*time.Millisecond)
			defer cancel()
			sent := n.h.Elapsed()
			ok, err := Send(sctx, n.h, id, "support "+l.Term.String(), func(_ context.Context, peer Node) (bool, error) {
				return peer.Client.(*store).supports(l), nil
			})
			if err != nil || !ok {
				id = ""
			} else {
				n.supportedUntil(id, sent)
			}
			got <- id
		})
	}
	for ; ; asked-- {
		if n.supported(have, rules) && n.acc.Status().Leads == l.Term {
			return nil
		}
		if asked == 0 {
			break
		}
		select {
		case id := <-got:
			if over(ctx) {
				return context.DeadlineExceeded
			}
			have[id] = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("%s could not confirm its leadership", n.h.ID)
}

func (n *store) supported(ids map[leadership.NodeID]bool, rules []*leadership.Rules) bool {
	for _, r := range rules {
		var have leadership.Set
		for id := range ids {
			if k, ok := r.Cohort().Member(id); ok {
				have = have.With(k)
			}
		}
		if self, ok := r.Cohort().Member(n.h.ID); !ok || !r.Durable(self, have) {
			return false
		}
	}
	return true
}
