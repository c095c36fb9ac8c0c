package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/revoke"
)

// read is what the acceptor asks of the log after a promise. It waits for a
// write under way, so what it reports is durable and nothing of a lower term
// comes after it.
func (n *Node) read(context.Context) (acceptor.Reading, error) {
	pos, err := n.store.log.Settled()
	if err != nil {
		return acceptor.Reading{}, n.disk(err)
	}
	marks, err := n.sightings()
	return acceptor.Reading{Position: pos, Markers: marks}, err
}

// sightings returns the last two markers of the log.
func (n *Node) sightings() ([]leadership.Sighting, error) {
	var out []leadership.Sighting
	commit := n.commit.Load()
	for _, e := range n.store.log.Marks(2) {
		m, err := decodeMarker(e)
		if err != nil {
			return nil, fmt.Errorf("kv: marker at %d: %w", e.Index, err)
		}
		out = append(out, leadership.Sighting{Marker: m, Decided: e.Index <= commit})
	}
	return out, nil
}

// Promise implements revoke.Promiser.
func (n *Node) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := n.store.acc.Recruit(ctx, t, n.read)
	n.settle()
	return out, err
}

// Read implements revoke.Reader.
func (n *Node) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.store.acc.Read(ctx, t, n.read)
}

// StepDown implements revoke.StepDowner. Commands that are not complete are
// answered as unknown: the next leader may complete them.
func (n *Node) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := n.store.acc.StepDown(ctx, t, n.read)
	if err == nil {
		// It fails unless a drain has ended, and then there is nothing to
		// keep shut: a member that does not lead refuses before its gate.
		_ = n.gate.Seal(t)
	}
	n.settle()
	return out, err
}

// Drain implements revoke.StepDowner. New requests are refused until the
// step-down, or until Config.DrainGrace after the drain. When ctx ends first,
// the leader serves again. On a member that does not lead there is nothing to
// drain.
func (n *Node) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	st := n.store.acc.Status()
	switch {
	case d < 0:
		return revoke.Drained{}, &ConfigError{"drain", "is negative"}
	case t.Less(st.Promised) || t == st.Leads:
		return revoke.Drained{}, &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: st.Promised}
	case st.Leads.IsZero():
		return revoke.Drained{}, nil
	}
	report, err := n.gate.Drain(ctx, lameduck.Plan{All: d, Until: t, Reason: "draining for " + t.String(), RetryAfter: retryAfter, Expire: n.cfg.DrainGrace})
	out := revoke.Drained{Finished: report.Finished, Survivors: report.Surviving}
	var forced *lameduck.ForcedError
	var phase *lameduck.PhaseError
	switch {
	case errors.As(err, &forced):
		return out, nil
	case errors.As(err, &phase) && phase.Phase.Ended():
		// The same call again.
		return revoke.Drained{Survivors: n.gate.InFlight().Active}, nil
	}
	return out, err
}

// Install implements establish.Candidate. From then on the marker, and what
// precedes it, is sent to the others; clients are refused until Grant.
func (n *Node) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	if m.Leader != n.cfg.ID {
		return leadership.Acceptance{}, &leadership.IneligibleError{Node: n.cfg.ID, Reason: "the marker is of " + string(m.Leader)}
	}
	if err := n.fresh(m.Term); err != nil {
		return leadership.Acceptance{}, err
	}
	ls, err := newLeader(n, m)
	if err != nil {
		return leadership.Acceptance{}, err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return leadership.Acceptance{}, err
	}
	err = n.store.acc.Install(ctx, m.Leadership(), func(context.Context) error {
		return n.disk(n.store.log.Update(func(w *replog.Writer) error {
			if _, _, ok := n.store.log.Mark(m.Term); !ok {
				e := replog.Entry{Index: w.Last().Index + 1, Term: m.Term, Kind: replog.Mark, Data: data}
				if err := w.Write(w.Last().Index, []replog.Entry{e}); err != nil {
					return err
				}
			}
			return w.Sync()
		}))
	})
	if err != nil {
		n.settle()
		return leadership.Acceptance{}, err
	}
	n.begin(ls)
	return n.acceptance(m.Leadership())
}

// fresh refuses a term that this member led before it restarted.
func (n *Node) fresh(t leadership.Term) error {
	if t == n.led {
		return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it has restarted since the marker of " + t.String() + " was installed: take a new term"}
	}
	return nil
}

// begin makes ls the leadership of this member, unless it is already there or
// a higher promise came meanwhile.
func (n *Node) begin(ls *leader) {
	mark, _, ok := n.store.log.Mark(ls.own.Term)
	n.mu.Lock()
	old := n.leads
	if !ok || n.stopped.Err() != nil || old != nil && !old.own.Term.Less(ls.own.Term) {
		n.mu.Unlock()
		ls.cancel()
		return
	}
	n.leads = ls
	ls.start(mark.Index)
	n.mu.Unlock()
	if old != nil {
		old.stop(ls.own.Term)
	}
	// A promise that came before n.leads was set did not see it.
	n.settle()
}

// Grant implements establish.Candidate.
func (n *Node) Grant(ctx context.Context, t leadership.Term) error {
	if err := n.fresh(t); err != nil {
		return err
	}
	ls := n.leading()
	err := n.store.acc.Grant(ctx, t, func() bool {
		_, durable, _ := n.store.log.Mark(t)
		return durable && ls != nil && ls.own.Term == t
	})
	if err != nil {
		return err
	}
	var served *lameduck.TermOrderError
	if err := n.gate.Serve(t); err != nil && !errors.As(err, &served) {
		return err
	}
	if !ls.serve() {
		n.cfg.Logger.Info("leads", "leadership", ls.own.String())
	}
	poke(ls.done)
	return nil
}

// Follow implements establish.Follower. The marker is pushed by the leader; a
// ctx that ends first leaves a member that follows and has not got it yet.
func (n *Node) Follow(ctx context.Context, t leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
	lead := leadership.Leadership{Leader: l, Term: t}
	err := n.store.acc.Follow(ctx, lead)
	n.settle()
	if err != nil {
		return leadership.Acceptance{}, err
	}
	for {
		changed := n.store.log.Changed()
		if err := n.outrun(lead, n.store.acc.Status()); err != nil {
			return leadership.Acceptance{}, err
		}
		if _, durable, ok := n.store.log.Mark(t); ok && durable {
			return n.acceptance(lead)
		}
		if err := pauseFor(ctx, time.Second, changed); err != nil {
			return leadership.Acceptance{}, err
		}
	}
}

// acceptance states that the marker of l is durable here, which the caller has
// seen, unless more was promised meanwhile.
func (n *Node) acceptance(l leadership.Leadership) (leadership.Acceptance, error) {
	pos, err := n.store.log.Settled()
	if err != nil {
		return leadership.Acceptance{}, n.disk(err)
	}
	st := n.store.acc.Status()
	if err := n.outrun(l, st); err != nil {
		return leadership.Acceptance{}, err
	}
	return leadership.Acceptance{Node: n.cfg.ID, Incarnation: st.Incarnation, Term: l.Term, Leader: l.Leader, Position: pos}, nil
}

// outrun returns an error unless this member stands by l: a
// *leadership.StaleTermError once it stands by what is above, and before, while a
// promise is on its way to the disk, one that says no more than that. The promise
// that it is to replace proves nothing of a newer attempt to whoever is told of it;
// who asks again is told of the new one.
func (n *Node) outrun(l leadership.Leadership, st acceptor.Status) error {
	switch {
	case st.Changing:
		return fmt.Errorf("kv: a promise is on its way to the disk of %s: %w", n.cfg.ID, leadership.ErrUnknownOutcome)
	case st.Source != l:
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: l.Term, Promised: st.Promised}
	}
	return nil
}

// Status implements reparent.Statuser.
func (n *Node) Status(context.Context) (leadership.Status, error) {
	st := n.store.acc.Status()
	marks, err := n.sightings()
	at := n.store.log.Position()
	s := leadership.Status{
		Node: n.cfg.ID, Incarnation: st.Incarnation, Reachable: true, Promised: st.Promised, Leads: st.Leads,
		Source: st.Source, Position: at, Markers: marks, BelowFloor: st.BelowFloor(at),
		Draining: !st.Leads.IsZero() && !n.gate.State().Ready(),
	}
	if err := n.Err(); err != nil {
		s.Degraded = err.Error()
	}
	return s, err
}

// pauseFor returns nil after d or when ch is closed, and ctx's cause when that
// ends first.
func pauseFor(ctx context.Context, d time.Duration, ch <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
