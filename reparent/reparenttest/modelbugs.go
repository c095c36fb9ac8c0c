package reparenttest

import (
	"context"
	"errors"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// bugs are rules taken out of a store, for tests that must find them.
type bugs struct {
	volatilePromise bool // the promise does not survive a restart
	volatileFence   bool // what was accepted is kept, a promise alone is not
	noTermCheck     bool // a follower takes entries of any term
	earlyRead       bool // the position is read before the block
	anyAck          bool // completes on one ack less than the policy
	lateRefusal     bool // answers "refused" for what is in its log
	falseAccept     bool // says that it has the marker before it has
	staleRead       bool // answers reads without asking whether it still leads
	earlyPrepared   bool // counts entries of older terms as its own
	tornOpens       bool // takes a torn promise for that of a new node
	amnesia         bool // takes part under its old name after its storage was lost
	leaseNoMargin   bool // followers count a lease as if all clocks were the same
	leaseFromReply  bool // leaders count a lease from when it was answered
	selfGrant       bool // takes requests as soon as it has its marker
	lowPromise      bool // promises whatever is asked, lower terms too
	tie             bool // takes terms of one number for one term
	twice           bool // a request may be in the log twice
	ackEarly        bool // acknowledges entries before they are on disk
	earlyCommit     bool // takes for completed what it was sent
	cutsBack        bool // drops part of the common log before it appends
	observerCounts  bool // a copy at one who is no member counts as one of a member
	hastyInstall    bool // is installed before the restart of its step-down
	anySource       bool // is repaired from whatever is there
	resumes         bool // steps down in memory, and leads again after a restart
	earlyRelease    bool // hands over before its promise is on disk
	earlyRetire     bool // retires before its promise is on disk
	unproven        bool // takes over without the proof that all older is revoked
	declines        bool // proves, while it steps down for one baton, that it leads on in spite of another
	earlyGrant      bool // grants itself before its marker is durable
}

// promiseWrong is Promise of a node with a bug in it, false when it has none.
func (n *store) promiseWrong(ctx context.Context, t leadership.Term) (got leadership.Testimony, err error, wrong bool) {
	switch st := n.acc.Status(); {
	case n.bugs.earlyRead:
		old := n.position()
		if err := n.h.Write(ctx, "think", func() {}); err != nil {
			return leadership.Testimony{}, err, true
		}
		got, err := n.recruit(ctx, t, nil)
		got.Read = &old
		return got, err, true
	case n.bugs.lowPromise && t.Less(st.Promised):
		err := n.h.Write(ctx, "promise "+t.String(), func() {
			n.disk.rec.Promised, n.disk.rec.Source = t, leadership.Leadership{}
		})
		if err == nil {
			err = n.open()
		}
		pos := n.position()
		return leadership.Testimony{Node: n.h.ID, Incarnation: n.disk.incarnation, Term: t, Kind: leadership.Promised, Read: &pos}, err, true
	case n.bugs.tie && t.Num == st.Promised.Num && t != st.Promised:
		pos := n.position()
		return leadership.Testimony{Node: n.h.ID, Incarnation: n.disk.incarnation, Term: t, Kind: leadership.Promised, Read: &pos}, nil, true
	}
	return leadership.Testimony{}, nil, false
}

// forgets reports whether a record is not written although the node says so.
func (n *store) forgets(st acceptor.State) bool {
	k := n.disk
	return k.have && (n.bugs.volatilePromise || n.bugs.volatileFence && st.Source.IsZero() || n.bugs.resumes && n.stepping.Load())
}

// resume lets a host that led before it was restarted lead again.
func (n *store) resume() {
	l := n.disk.rec.Source
	if !n.bugs.resumes || n.out || l.Leader != n.h.ID {
		return
	}
	n.h.Go(func(life context.Context) { _ = n.Grant(life, l.Term) })
}

// acceptWrong writes entries in the way of a node with a bug in it.
func (n *store) acceptWrong(ctx context.Context, l leadership.Leadership, at int, log []Entry) (err error, wrong bool) {
	switch {
	case n.bugs.ackEarly:
		n.h.Go(func(life context.Context) {
			give, err := n.take(life)
			if err != nil {
				return
			}
			defer give()
			if at := common(n.entries(), log); at < len(log) {
				_ = n.write(life, "accept late "+l.Term.String(), at, log[at:])
			}
		})
		return nil, true
	case n.bugs.cutsBack && at > 0:
		return errors.Join(n.write(ctx, "cut "+l.Term.String(), at-1, nil), n.write(ctx, "accept "+l.Term.String(), at-1, log[at-1:])), true
	}
	return nil, false
}
