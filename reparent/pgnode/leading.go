package pgnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// stage is how far a leader must be for what a node wants of it.
type stage int

const (
	// installed: it is promoted, and its marker is in its log.
	installed stage = iota
	// early: or it is still to be promoted, receives from nobody, and has replayed
	// what it received.
	early
	// served: it was installed, and had the time to be granted and to open its gate.
	// Whatever a machine does for a node that led it does not do for the clients that
	// wait for that; and where this node's acceptance is what the grant waits for, it
	// is not long.
	served
)

const (
	leadingEvery = 4 * time.Millisecond
	servedEvery  = 20 * time.Millisecond
	servedAfter  = 80 * time.Millisecond  // from the beginning: there is better to do for it
	servedWait   = 200 * time.Millisecond // from its marker
	servedGrace  = 50 * time.Millisecond  // from the end of its grant but for the gate
)

// leading waits until the peer leads l as far as until says, and returns what it holds.
// A server that was shut, which is what waits for served, is kept empty meanwhile.
func (n *Node) leading(ctx context.Context, p Peer, l leadership.Leadership, until stage) (state, error) {
	var st state
	var s, own *session
	var last error
	var since, decided time.Time
	defer func() {
		s.close()
		if own != nil {
			n.giveBack(own)
		}
	}()
	every := leadingEvery
	if until == served {
		every = servedEvery
	}
	begun := time.Now()
	lost := func() (bool, error) {
		s.close() // it may have been promoted, or restarted
		s = nil
		return false, nil
	}
	err := poll(ctx, every, func() (bool, error) {
		if err := n.current(ctx, l.Term); err != nil {
			return false, err
		}
		if until == served {
			own = n.empty(ctx, own)
			if time.Since(begun) < servedAfter {
				return false, nil
			}
		}
		if s == nil {
			if s, last = n.peerAt(ctx, l.Leader, p); last != nil {
				s = nil
				return false, nil
			}
		}
		// The marker alone is asked for until it is there for long enough.
		st = state{}
		if until == early {
			st, last = look(ctx, s, nil, leadership.Leadership{})
		} else {
			last = st.marks(ctx, s)
		}
		if last != nil {
			return lost()
		}
		switch {
		case st.last != nil && l.Term.Less(st.last.Term):
			return false, fmt.Errorf("the log of %s has the marker of %s", l.Leader, st.last.Leadership())
		case until == early && st.fixed():
			return true, nil
		case st.recovering || !st.has(l):
			return false, nil
		case until == early:
			return true, nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		if st.last.Decided && decided.IsZero() {
			decided = time.Now()
		}
		if until == served && time.Since(since) <= servedWait && (decided.IsZero() || time.Since(decided) <= servedGrace) {
			return false, nil
		}
		if st, last = look(ctx, s, nil, leadership.Leadership{}); last != nil {
			return lost()
		}
		return !st.recovering && st.has(l), nil
	})
	if err != nil && last != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", l.Leader, last))
	}
	return st, err
}
