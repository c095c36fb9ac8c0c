package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

var errBroken = errors.New("sim: replication is broken: the follower has a tail that its source has not")

// push starts a sender for each member that lacks something. It is called when
// the leader's log grew.
func (n *node) push(l leadership.Leadership) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.rules) == 0 {
		return
	}
	seen := map[leadership.NodeID]bool{n.id: true}
	for _, r := range n.rules {
		for _, id := range r.Ruleset.IDs() {
			if seen[id] || n.sending[id] || n.c.nodes[id] == nil {
				continue
			}
			seen[id] = true
			n.sending[id] = true
			n.p.s.wg.Add(1)
			life, sending := n.p.life, n.sending
			go func() {
				defer n.p.s.wg.Done()
				n.send(life, l, n.c.nodes[id], sending)
			}()
		}
	}
}

// send pushes the whole log until the follower has it. Real stores send the
// difference; what matters here is the prefix check and the order of events.
// It ends in the moment in which it sees nothing to send: whether the log grew
// just before or just after, in one step of the scheduler, must not matter.
func (n *node) send(life context.Context, l leadership.Leadership, f *node, sending map[leadership.NodeID]bool) {
	told := -1
	for fails := 0; ; {
		n.mu.Lock()
		log, commit := n.log[:len(n.log):len(n.log)], n.commit
		level := n.matched[f.id] == len(log) && told == commit
		if level || fails == 12 || life.Err() != nil || n.acc().Status().Source != l {
			delete(sending, f.id)
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		ctx, cancel := context.WithTimeout(life, 60*time.Millisecond)
		got, err := rpc(ctx, n.p, f.p, fmt.Sprintf("append %s %d/%d", l.Term, commit, len(log)), func(ctx context.Context) (int, error) {
			return f.accept(ctx, l, log, commit)
		})
		cancel()
		if err != nil {
			fails++
			t := time.NewTimer(15 * time.Millisecond)
			select {
			case <-t.C:
			case <-life.Done():
				t.Stop()
			}
			continue
		}
		told = commit
		n.mu.Lock()
		if n.installed == l.Term { // an answer to an older leadership matches another log
			n.matched[f.id] = max(n.matched[f.id], got)
		}
		n.wake()
		n.mu.Unlock()
		n.complete(l)
	}
}

// accept is a follower's side of replication.
func (n *node) accept(ctx context.Context, l leadership.Leadership, log []entry, commit int) (int, error) {
	if st := n.acc().Status(); st.Source != l && !n.bugs.noTermCheck {
		if l.Term.Less(st.Promised) || n.repairs {
			// A server with sources takes entries only from the one it was
			// pointed at.
			return 0, &leadership.StaleTermError{Node: n.id, Asked: l.Term, Promised: st.Promised}
		}
		if err := n.acc().Follow(ctx, l); err != nil {
			return 0, err
		}
	}
	give, err := n.take(ctx)
	if err != nil {
		return 0, err
	}
	defer give()
	tok, err := n.acc().Admit(l)
	if err != nil && !n.bugs.noTermCheck {
		return 0, err
	}
	at := common(n.log, log)
	if at < len(log) {
		if at < len(n.log) && n.repairs {
			return 0, errBroken
		}
		if err := n.write(ctx, "accept "+l.Term.String(), at, log[at:]); err != nil {
			return 0, err
		}
	}
	if !n.bugs.noTermCheck {
		if err := n.acc().Confirm(tok); err != nil {
			return 0, err
		}
	}
	n.mu.Lock()
	n.commit = max(n.commit, min(commit, len(log)))
	n.wake()
	n.mu.Unlock()
	return len(log), nil
}

// complete decides at the leader what is durable, in the acceptor's bracket.
func (n *node) complete(l leadership.Leadership) {
	if !n.c.leased(l) {
		return
	}
	bracket, err := n.acc().Complete(l.Term)
	if err != nil {
		return
	}
	defer bracket.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := len(n.log); i > n.commit; i-- {
		if n.log[i-1].Term != l.Term {
			break
		}
		if !n.durable(i) {
			continue
		}
		for k := n.commit; k < i; k++ {
			n.c.completed(n, l, k, n.log[k])
		}
		n.commit = i
		if m := n.markerAt(l); m >= 0 && n.commit > m {
			n.rules = n.rules[:1] // its own marker is complete under all
		}
		n.wake()
		break
	}
}

func (n *node) durable(i int) bool {
	for _, r := range n.rules {
		var have leadership.Set
		for id, m := range n.matched {
			if k, ok := r.Cohort().Member(id); ok && m >= i {
				have = have.With(k)
			}
		}
		self, ok := r.Cohort().Member(n.id)
		if n.bugs.anyAck && ok {
			// one copy less than the policy asks for
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

// put is a client's write.
func (n *node) put(ctx context.Context, val int) error {
	st := n.acc().Status()
	n.mu.Lock()
	if st.Leads.IsZero() || n.drained {
		until := n.until
		n.mu.Unlock()
		return &leadership.Refusal{Term: st.Leads, Until: until, Leader: st.Source.Leader, Reason: "not leading"}
	}
	n.inflight++
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.inflight--
		n.wake()
		n.mu.Unlock()
	}()
	l := leadership.Leadership{Leader: n.id, Term: st.Leads}
	at, err := n.appendOwn(ctx, l, val)
	if err != nil {
		return err
	}
	n.push(l)
	n.complete(l)
	wctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	defer cancel()
	err = n.await(wctx, func() bool {
		return n.commit > at && len(n.log) > at && n.log[at].Term == l.Term && n.log[at].Val == val || n.acc().Status().Leads != l.Term
	})
	n.mu.Lock()
	ours := n.commit > at && len(n.log) > at && n.log[at].Val == val
	n.mu.Unlock()
	if err == nil && ours {
		return nil
	}
	if n.bugs.lateRefusal {
		return &leadership.Refusal{Term: l.Term, Reason: "not leader any more"}
	}
	return fmt.Errorf("sim: %s lost its leadership: %w", n.id, leadership.ErrUnknownOutcome)
}

func (n *node) appendOwn(ctx context.Context, l leadership.Leadership, val int) (int, error) {
	give, err := n.take(ctx)
	if err != nil {
		return 0, &leadership.Refusal{Reason: "cancelled before anything was written"}
	}
	defer give()
	tok, err := n.acc().Admit(l)
	if err != nil {
		return 0, &leadership.Refusal{Term: l.Term, Reason: err.Error()}
	}
	at := len(n.log)
	if err := n.write(ctx, fmt.Sprintf("put %d", val), at, []entry{{Term: l.Term, Val: val}}); err != nil {
		return 0, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	if err := n.acc().Confirm(tok); err != nil {
		return 0, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	n.mu.Lock()
	n.matched[n.id] = len(n.log)
	n.mu.Unlock()
	return at, nil
}
