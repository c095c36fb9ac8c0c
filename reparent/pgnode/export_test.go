package pgnode

import "github.com/tenure-go/tenure/leadership"

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
