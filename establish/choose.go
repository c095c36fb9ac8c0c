package establish

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// Standing is what is known of one node when a candidate is chosen.
type Standing struct {
	Node     leadership.Node
	Position leadership.Position
	// Degraded says what is wrong with the node's health, "" for nothing. A
	// degraded node is chosen only when no other will do.
	Degraded string
	// Priority is the operator's preference; higher is better.
	Priority int
	// CanLead says that there is a Candidate for the node.
	CanLead bool
	// Truncates says that the node's CatchUp removes a tail that conflicts
	// with the selected log. Without it such a node needs a repair first.
	Truncates bool
}

// Contest is the question put to Choose.
type Contest struct {
	// Selection is the position that the leader's log must contain.
	Selection leadership.Position
	Standings []Standing
	// Want, when not empty, is the only acceptable candidate.
	Want leadership.NodeID
	// Prefer lists nodes that go before all others that qualify, best first.
	Prefer []leadership.NodeID
	// Avoid, when not empty, is chosen only when no other qualifies: the
	// leader that is replaced because something is wrong with it.
	Avoid leadership.NodeID
	// Zone is preferred, usually that of the leader that is replaced.
	Zone string
	// Ready says whether the round suffices for a node: the same test with
	// which the proposal is minted. Required: without it nobody qualifies.
	Ready func(leadership.NodeID) error
}

// Passed is a node that was not chosen, and why.
type Passed struct {
	Node   leadership.NodeID `json:"node"`
	Reason string            `json:"reason"`
}

// Choice is who should lead, and why nobody else.
type Choice struct {
	To leadership.NodeID `json:"to"`
	// CatchUp says that To must take entries from a donor first.
	CatchUp bool     `json:"catchUp,omitempty"`
	Passed  []Passed `json:"passed,omitempty"`
}

// NoCandidateError is returned when no node qualifies. It says why for each.
type NoCandidateError struct{ Passed []Passed }

func (e *NoCandidateError) Error() string {
	if len(e.Passed) == 0 {
		return "establish: there is no node that could lead"
	}
	parts := make([]string, len(e.Passed))
	for i, p := range e.Passed {
		parts[i] = string(p.Node) + ": " + p.Reason
	}
	return "establish: no node can lead: " + strings.Join(parts, "; ")
}

// Choose ranks the nodes that qualify: those that are Ready and need no repair.
// Among them it prefers, in this order, one of Prefer, one that is not Avoid, one in
// good health, one that holds the selected log already, one in Zone, the higher Priority, and
// the lower name. It returns a *NoCandidateError when none qualifies.
//
// It is pure, and is the same function for a plan and for the change itself.
func Choose(c Contest) (Choice, error) {
	var out Choice
	fit := make([]Standing, 0, len(c.Standings))
	for _, s := range c.Standings {
		if c.Want != "" && s.Node.ID != c.Want {
			continue
		}
		if reason := c.disqualify(s); reason != "" {
			out.Passed = append(out.Passed, Passed{Node: s.Node.ID, Reason: reason})
			continue
		}
		fit = append(fit, s)
	}
	if len(fit) == 0 {
		if len(out.Passed) == 0 && c.Want != "" {
			out.Passed = []Passed{{Node: c.Want, Reason: "it is not among the nodes that may lead"}}
		}
		sortPassed(out.Passed)
		return Choice{}, &NoCandidateError{Passed: out.Passed}
	}
	slices.SortStableFunc(fit, c.compare)
	out.To = fit[0].Node.ID
	out.CatchUp = !c.level(fit[0])
	for _, s := range fit[1:] {
		out.Passed = append(out.Passed, Passed{Node: s.Node.ID, Reason: c.lesser(s, fit[0])})
	}
	sortPassed(out.Passed)
	return out, nil
}

func sortPassed(ps []Passed) {
	slices.SortFunc(ps, func(a, b Passed) int { return cmp.Compare(a.Node, b.Node) })
}

func (c Contest) disqualify(s Standing) string {
	id := s.Node.ID
	switch {
	case !s.CanLead:
		return "there is no way to establish it"
	case s.Node.Ineligible:
		return "it is not eligible"
	case c.Ready == nil:
		return "nothing says that the round suffices for it"
	}
	if err := c.Ready(id); err != nil {
		return strings.TrimPrefix(err.Error(), "leadership: ")
	}
	if !s.Truncates && !c.Selection.Extends(s.Position) {
		return fmt.Sprintf("it is at %s, which the selected log %s does not contain: it needs a repair", s.Position, c.Selection)
	}
	return ""
}

func (c Contest) level(s Standing) bool { return s.Position.Rank(c.Selection) == leadership.Same }

// compare puts the better node first.
func (c Contest) compare(a, b Standing) int {
	return cmp.Or(
		cmp.Compare(c.preference(a), c.preference(b)),
		falseFirst(a.Node.ID == c.Avoid, b.Node.ID == c.Avoid),
		falseFirst(a.Degraded != "", b.Degraded != ""),
		falseFirst(!c.level(a), !c.level(b)),
		falseFirst(!c.inZone(a), !c.inZone(b)),
		-cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(a.Node.ID, b.Node.ID),
	)
}

// lesser says what put s behind the chosen node.
func (c Contest) lesser(s, chosen Standing) string {
	switch {
	case c.preference(chosen) < c.preference(s):
		return string(chosen.Node.ID) + " was preferred"
	case s.Node.ID == c.Avoid:
		return "it is the one to be replaced"
	case s.Degraded != "" && chosen.Degraded == "":
		return "its health: " + s.Degraded
	case !c.level(s) && c.level(chosen):
		return fmt.Sprintf("it would have to catch up from %s", s.Position)
	case !c.inZone(s) && c.inZone(chosen):
		return "it is in zone " + s.Node.Zone + ", not " + c.Zone
	case s.Priority < chosen.Priority:
		return fmt.Sprintf("its priority is %d, below %d", s.Priority, chosen.Priority)
	}
	return "as good as " + string(chosen.Node.ID) + ", which comes first by name"
}

func (c Contest) preference(s Standing) int {
	if i := slices.Index(c.Prefer, s.Node.ID); i >= 0 {
		return i
	}
	return len(c.Prefer)
}

func (c Contest) inZone(s Standing) bool { return c.Zone == "" || s.Node.Zone == c.Zone }

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return +1
	}
	return -1
}
