package pgnode

import (
	"context"
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

// What the external tests look at of the pure parts.
var (
	ParseHistory  = parseHistory
	NameEras      = nameEras
	ParseConninfo = parseConninfo
	ConninfoText  = conninfoText
	ForTool       = forTool
	SetAuto       = setAuto
	SetGate       = setGate
	GateOpen      = gateOpen
	AdmitRules    = admitRules
	Quote         = quote
	FetchName     = fetchName
	PartsAt       = partsAt
	AutoSays      = autoSays
	Alien         = alien
)

// Quorum is what a leader waits for.
func Quorum(leader leadership.NodeID, rulesets ...leadership.Ruleset) (int, []leadership.NodeID, error) {
	q, err := quorumFor(leader, rulesets)
	return q.Need, q.Nodes, err
}

// StandbyNames is the setting for Quorum's answer.
func StandbyNames(need int, nodes []leadership.NodeID, t leadership.Term) string {
	return standbyNames(quorum{need, nodes}, t)
}

// KeptFor is after how long the server ends the session that n left.
func KeptFor(ctx context.Context, t testing.TB, n *Node) string {
	t.Helper()
	n.turn <- struct{}{}
	defer n.give()
	if n.warm == nil {
		return "none was left"
	}
	r, err := n.warm.row(ctx, "SHOW idle_session_timeout")
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// LeavesInTransaction reports whether n keeps the session that it has for the next
// operation when a transaction is open in it.
func LeavesInTransaction(ctx context.Context, t testing.TB, n *Node) bool {
	t.Helper()
	n.turn <- struct{}{}
	defer n.give()
	s := n.warm
	if s == nil {
		t.Fatal("none was left")
	}
	n.warm = nil
	if err := s.exec(ctx, "BEGIN"); err != nil {
		t.Fatal(err)
	}
	n.leave(s)
	return n.warm != nil
}

// Senders is how many walsenders a server needs whose node is so configured.
func Senders(c Config) int { return (&Node{cfg: c}).senders() }
