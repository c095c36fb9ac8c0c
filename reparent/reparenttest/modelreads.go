package reparenttest

import (
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// gaveLease notes at a follower that it has just supported its leader: for the
// length of a lease, on the leader's clock, it lets nobody else lead.
func (n *store) gaveLease() {
	if !n.LocalReads {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := leaseOver()
	if n.bugs.leaseNoMargin {
		d = leaseLength
	}
	n.given = max(n.given, n.h.Elapsed()+d)
}

// supports says at a follower whether it still supports l, and gives the lease
// that goes with that.
func (n *store) supports(l leadership.Leadership) bool {
	if n.acc.Status().Source != l {
		return false
	}
	n.gaveLease()
	return true
}

// leaseLeft is what a testimony says of the leases that the node gave.
func (n *store) leaseLeft() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(0, n.given-n.h.Elapsed())
}

// supportedUntil notes at a leader that a follower answered what was sent at
// that time of the leader's own clock.
func (n *store) supportedUntil(id leadership.NodeID, sent time.Duration) {
	if !n.LocalReads {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bugs.leaseFromReply {
		sent = n.h.Elapsed()
	}
	n.support[id] = max(n.support[id], sent+leaseLength)
}

// local reports whether a read that was just taken may be answered without
// asking anybody: enough followers support nobody else yet.
func (n *store) local(l leadership.Leadership, rules []*leadership.Rules) bool {
	if !n.LocalReads {
		return false
	}
	n.mu.Lock()
	have := map[leadership.NodeID]bool{n.h.ID: true}
	for id, until := range n.support {
		if n.h.Elapsed() < until {
			have[id] = true
		}
	}
	ok := n.installed == l.Term
	n.mu.Unlock()
	if !ok || !n.supported(have, rules) || n.acc.Status().Leads != l.Term {
		return false
	}
	n.saw(Event{Kind: LeaseRead, Leadership: l})
	return true
}
