package kv

import (
	"context"
	"fmt"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
)

// accept takes an append of a leader. A leader of a higher term than the
// promised one is followed first, durably: the entry of a term binds to it.
func (n *Node) accept(ctx context.Context, r appendRequest) (appendReply, error) {
	acc, log := n.store.acc, n.store.log
	if st := acc.Status(); st.Accepts != r.from && st.Promised.Compare(r.from.Term) <= 0 && r.from.Leader != n.cfg.ID {
		err := acc.Follow(ctx, r.from)
		n.settle()
		if err != nil {
			return appendReply{}, err
		}
		n.cfg.Logger.Info("follows", "leadership", r.from.String())
	}
	tok, err := acc.Admit(r.from)
	if err != nil {
		return appendReply{}, err
	}
	var out appendReply
	err = log.Update(func(w *replog.Writer) error {
		// Inside the log's turn, which a promise takes to read the position:
		// what is written after this Confirm, that read waits for.
		if err := acc.Confirm(tok); err != nil {
			return err
		}
		if last := w.Last().Term; r.from.Term.Less(last) {
			return &leadership.StaleTermError{Node: n.cfg.ID, Asked: r.from.Term, Promised: last}
		}
		matches, err := w.Merge(r.prev, r.entries, func(last replog.At) error {
			if last.Term == r.from.Term {
				return n.diverged(last)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := w.Sync(); err != nil {
			return err
		}
		if !matches {
			pos := log.Position()
			out.Mismatch = &pos
			return nil
		}
		// What the log says is durable, not what was asked of it.
		out.Matched = min(r.prev.Index+uint64(len(r.entries)), log.Durable())
		return nil
	})
	if err != nil {
		return appendReply{}, n.disk(err)
	}
	// The acknowledgement counts only if no higher promise came between.
	if err := acc.Confirm(tok); err != nil {
		return appendReply{}, err
	}
	if out.Mismatch == nil {
		n.learn(min(r.commit, out.Matched))
	}
	return out, nil
}

// learn notes that the log is complete up to index, and wakes the applier.
func (n *Node) learn(index uint64) {
	if n.raise(index) {
		poke(n.behind)
	}
}

// raise moves the commit index up to index, and reports whether it moved.
func (n *Node) raise(index uint64) bool {
	for {
		old := n.commit.Load()
		if index <= old {
			return false
		}
		if n.commit.CompareAndSwap(old, index) {
			return true
		}
	}
}

// apply applies what is complete and answers the clients that wait for it. The
// commit index is read before the leadership: a leadership that begins later
// has no client below it.
func (n *Node) apply() error {
	commit := n.commit.Load()
	ls := n.leading()
	carried := n.carried.Load() // set before that leadership ends
	err := n.machine.apply(n.store.log, commit, func(at replog.At, o outcome) {
		if ls != nil {
			ls.answer(at, o)
		}
		if carried != nil && carried != ls {
			carried.answer(at, o)
		}
	})
	if err != nil {
		n.fatal(err)
	}
	return err
}

// diverged is the proof that two leaders wrote under one term.
func (n *Node) diverged(replog.At) error {
	return &leadership.DivergedError{Positions: []leadership.NodePosition{{Node: n.cfg.ID, Position: n.store.log.Position()}}}
}

// disk ends the member when its log is shut: a member that cannot write is
// better gone than half there.
func (n *Node) disk(err error) error {
	if shut := n.store.log.Err(); shut != nil {
		n.fatal(shut)
	}
	return err
}

// pullReply is what a donor gives: the entries that follow the common prefix.
type pullReply struct {
	prev    replog.At
	entries []replog.Entry
}

func (p pullReply) encode() []byte {
	out := appendUvarint(nil, p.prev.Index)
	out = replog.AppendTerm(out, p.prev.Term)
	return appendEntries(out, p.entries)
}

func decodePull(b []byte) (p pullReply, err error) {
	if p.prev.Index, b, err = replog.CutUvarint(b); err != nil {
		return p, err
	}
	if p.prev.Term, b, err = replog.CutTerm(b); err != nil {
		return p, err
	}
	p.entries, err = decodeEntries(b)
	for i, e := range p.entries {
		if e.Index != p.prev.Index+1+uint64(i) {
			return p, errMessage
		}
	}
	return p, err
}

// donate answers a pull: what of this log a log at pos is missing.
func (n *Node) donate(pos leadership.Position) pullReply {
	prev, entries := n.store.log.Since(pos, maxBatch, batchBytes)
	return pullReply{prev: prev, entries: entries}
}

// CatchUp implements establish.Candidate. It pulls from the donor what the log
// is missing. A conflicting tail is taken out only when t is promised here and
// pos is of a later term than the tail: then everything that may be complete is
// in the log at pos (it was selected in a round of t), and the tail is not.
//
// It returns a *leadership.NotReadyError when the log conflicts and t is not
// promised here, a *leadership.StaleTermError below the promise, and a
// *leadership.DivergedError when the conflict is within one term.
func (n *Node) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	if err := t.Validate(); err != nil {
		return err
	}
	addr, ok := n.cfg.Peers[donor]
	if !ok {
		return &leadership.UnknownNodeError{Node: donor}
	}
	for {
		have, err := n.store.log.Settled()
		if err != nil {
			return n.disk(err)
		}
		if have.Extends(pos) {
			return nil
		}
		if donor == n.cfg.ID {
			return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it is at " + have.String() + " and was told to catch up from itself"}
		}
		got, err := n.pull(ctx, donor, addr, have)
		if err != nil {
			return err
		}
		if len(got.entries) == 0 {
			// The donor has not got there either: it is being written to.
			if err := pauseFor(ctx, backOff, n.store.log.Changed()); err != nil {
				return err
			}
			continue
		}
		if err := n.take(ctx, t, pos, got); err != nil {
			return err
		}
	}
}

// take writes what a donor gave.
func (n *Node) take(ctx context.Context, t leadership.Term, pos leadership.Position, got pullReply) error {
	acc := n.store.acc
	// An entry binds to its term: promise that before it is written.
	last := got.entries[len(got.entries)-1].Term
	if t.Less(last) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: last}
	}
	if acc.Status().Promised.Less(last) {
		_, err := acc.Recruit(ctx, last, nil)
		n.settle()
		if err != nil {
			return err
		}
	}
	err := n.store.log.Update(func(w *replog.Writer) error {
		st := acc.Status()
		switch {
		case st.Changing:
			return fmt.Errorf("kv: a promise is on its way to the disk of %s: %w", n.cfg.ID, leadership.ErrUnknownOutcome)
		case t.Less(st.Promised):
			return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: st.Promised}
		}
		matches, err := w.Merge(got.prev, got.entries, func(last replog.At) error {
			switch {
			case st.Promised != t:
				return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "its log conflicts with the donor's and it has not promised " + t.String()}
			case !last.Term.Less(pos.Term):
				return n.diverged(last)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !matches {
			return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "its log changed while it was catching up"}
		}
		return w.Sync()
	})
	return n.disk(err)
}
