package pgnode

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/tenure-go/tenure/leadership"
)

// warmPeers is with how many peers at most a node that is made ready opens a session at
// each of them: every one takes a walsender there. In a cluster of more nodes the sessions
// of all would use up what standbys need.
const warmPeers = 2

// meetWait bounds how long they are waited for.
const meetWait = 500 * time.Millisecond

// peerSession opens a session at another node.
func (n *Node) peerSession(ctx context.Context, p Peer) (*session, error) {
	return n.peerDial(ctx, p, map[string]string{})
}

func (n *Node) peerDial(ctx context.Context, p Peer, params map[string]string) (*session, error) {
	conf, err := pgx.ParseConfig(p.Conn)
	if err != nil {
		return nil, err
	}
	bound := n.cfg.Limits.Connect
	params["statement_timeout"], params["replication"] = fmt.Sprint(bound.Milliseconds()), "database"
	params["application_name"] = peerName
	return dialWith(ctx, conf, bound, params)
}

// peerAt returns a session at a peer: the one that Prepare opened, if it is still there, or
// a new one. It is the caller's to close.
func (n *Node) peerAt(ctx context.Context, id leadership.NodeID, p Peer) (*session, error) {
	n.mu.Lock()
	s := n.peers[id]
	delete(n.peers, id)
	n.mu.Unlock()
	if s.answers(ctx) {
		return s, nil
	}
	return n.peerSession(ctx, p)
}

// meet opens a session at every peer that has none, and looks at it once, so that whoever
// is to follow one of them need not connect to it while clients wait. A peer that cannot be
// reached is done without. The peer's server ends a session in which nothing is asked.
func (n *Node) meet(ctx context.Context) {
	if len(n.cfg.Peers) > warmPeers {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, meetWait)
	defer cancel()
	var all sync.WaitGroup
	for id := range n.cfg.Peers {
		n.mu.Lock()
		have := n.peers[id]
		delete(n.peers, id)
		n.mu.Unlock()
		all.Go(func() {
			s := have
			if !s.answers(ctx) {
				var err error
				s, err = n.peerDial(ctx, n.cfg.Peers[id], map[string]string{"idle_session_timeout": fmt.Sprint(keptFor.Milliseconds())})
				if err != nil {
					return
				}
			}
			if _, err := look(ctx, s, nil, leadership.Leadership{}); err != nil {
				s.close()
				return
			}
			n.keepPeer(id, s)
		})
	}
	all.Wait()
}

// keepPeer keeps a session at a peer, unless the node is closed or has one.
func (n *Node) keepPeer(id leadership.NodeID, s *session) {
	n.mu.Lock()
	keep := !n.closed && n.peers[id] == nil
	if keep {
		n.peers[id] = s
	}
	n.mu.Unlock()
	if !keep {
		s.close()
	}
}

// part closes the sessions at peers.
func (n *Node) part() {
	n.mu.Lock()
	all := n.peers
	n.peers = nil
	n.mu.Unlock()
	for _, s := range all {
		s.close()
	}
}
