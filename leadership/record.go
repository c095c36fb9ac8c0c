package leadership

import (
	"fmt"
	"slices"
	"time"
)

// Mode says what a cluster asks of its registry.
type Mode string

const (
	// Full is the default: every change passes the full test over all
	// potential leaders, and the record is for routing and calm. When the
	// registry is down an emergency may begin without it.
	Full Mode = "full"
	// Shortcut lets a change block the recorded leader only. It is for
	// clusters where many other nodes may be down. Then every change of
	// every coordinator must write Fence before and Active after, so the
	// registry becomes a dependency of every change, and of what is safe: a
	// record that goes back, restored from a copy, names a leader that is none,
	// and a change that blocks it alone may make a second one.
	Shortcut Mode = "shortcut"
)

// Kind says what a change is for.
type Kind string

// The kinds of change.
const (
	KindPlanned   Kind = "planned"
	KindEmergency Kind = "emergency"
	KindRefresh   Kind = "refresh"
	KindRuleset   Kind = "ruleset"
	KindBootstrap Kind = "bootstrap"
	KindAdopt     Kind = "adopt"
	KindResume    Kind = "resume"
	KindUndo      Kind = "undo"
)

// Phase says how far an intent has come, for routers.
type Phase string

const (
	// Cleared: no change is under way. The zero value.
	Cleared Phase = ""
	// Preparing: a change was announced, the leader serves, nobody holds.
	Preparing Phase = "preparing"
	// Holding: the leader is about to drain. Routers hold from here until a
	// leadership of the intent's term or a later one is active, when they probe
	// it, or routed, when they send, or until HoldFor has passed on their own
	// clock.
	Holding Phase = "holding"
)

// Intent is what a coordinator says it is about to do. It advises routers and
// other coordinators; nothing safe depends on it.
type Intent struct {
	// Term is that of the attempt, and names it.
	Term Term `json:"term"`
	// By is the coordinator, for people.
	By   string `json:"by,omitempty"`
	Kind Kind   `json:"kind,omitempty"`
	// From led when it was announced, To shall lead; empty when not known.
	From NodeID `json:"from,omitempty"`
	To   NodeID `json:"to,omitempty"`
	// Addr is where clients will reach To; empty when not known. It is what a router
	// has to probe To with between Activate and Route.
	Addr string `json:"addr,omitempty"`
	// Phase is the zero Cleared when no change is under way.
	Phase Phase `json:"phase,omitempty"`
	// HoldFor is how long a router holds at most, on its own clock from when it
	// began to; nanoseconds in JSON. 0: not at all, it probes at once.
	HoldFor time.Duration `json:"holdFor,omitempty"`
}

// String returns "planned change to n2 by c1 at term 7.c1-x, holding".
func (i Intent) String() string {
	if i.Phase == Cleared {
		return "no change under way"
	}
	s := string(i.Kind) + " change"
	if i.To != "" {
		s += " to " + string(i.To)
	}
	if i.By != "" {
		s += " by " + i.By
	}
	return fmt.Sprintf("%s at term %s, %s", s, i.Term, i.Phase)
}

// Isolation is one that some coordinator keeps in force. It is recorded
// before the node is isolated, so that whoever comes later knows what must be
// converted to a promise before it is let go.
type Isolation struct {
	Node NodeID `json:"node"`
	Term Term   `json:"term"`
	By   string `json:"by,omitempty"`
}

// Bar keeps what a node's storage says from counting: the node was declared gone
// by a waiver, and whatever it holds is older than that. It ends by itself, for
// one testimony after the other, once the node's log shows the marker of a
// leadership at or above Term: such a log contains everything that was selected
// without the node, whether the old storage came back or an empty one was filled.
// An empty Incarnation bars every incarnation.
type Bar struct {
	Node        NodeID `json:"node"`
	Incarnation string `json:"incarnation,omitempty"`
	Term        Term   `json:"term"`
	Reason      string `json:"reason,omitempty"`
	By          string `json:"by,omitempty"`
}

// Record is what a Registry stores: one per cluster. It is plain data; the
// rules of how it may change are the transition methods, pure functions from a
// record to the next, so that no registry adapter can get them wrong.
type Record struct {
	// Version rises with every write, by one or more. A registry assigns it; 0
	// means that no record exists yet.
	Version uint64 `json:"version"`
	// Cluster is the cluster's name.
	Cluster string `json:"cluster"`
	// Mode is Full or Shortcut; Create takes "" for Full.
	Mode Mode `json:"mode"`
	// Fence is the highest term any attempt announced. It only fences and
	// never falls.
	Fence Term `json:"fence"`
	// Active is the newest leadership that is known to be established.
	Active  Leadership `json:"active"`
	Ruleset Ruleset    `json:"ruleset"`
	// Routed is the newest leadership that clients were sent to. Its term
	// never falls.
	Routed Leadership `json:"routed"`
	// Addr is where clients reach Routed.Leader.
	Addr   string `json:"addr,omitempty"`
	Intent Intent `json:"intent"`
	// Drafted is the term of the newest change of the ruleset that began and of
	// which it is not known what became: nodes may know of members that Ruleset
	// does not show. Another intent does not end that, nor does Abandon; the next
	// Activate does. Zero: there is none.
	Drafted Term        `json:"drafted,omitzero"`
	Held    []Isolation `json:"held,omitempty"`
	Barred  []Bar       `json:"barred,omitempty"`
}

// clone returns r with slices of its own.
func (r Record) clone() Record {
	r.Ruleset = r.Ruleset.clone()
	r.Held = slices.Clone(r.Held)
	r.Barred = slices.Clone(r.Barred)
	return r
}

// Equal reports whether two records are the same in every part.
func (r Record) Equal(o Record) bool {
	return r.Version == o.Version && r.Cluster == o.Cluster && r.Mode == o.Mode && r.Fence == o.Fence &&
		r.Active == o.Active && r.Ruleset.Equal(o.Ruleset) && r.Routed == o.Routed && r.Addr == o.Addr &&
		r.Intent == o.Intent && r.Drafted == o.Drafted && slices.Equal(r.Held, o.Held) && slices.Equal(r.Barred, o.Barred)
}

// Validate returns a *TransitionError for a record that no sequence of
// transitions can have made. Registries check what they load.
func (r Record) Validate() error {
	bad := func(reason string) error { return &TransitionError{Step: "use this record", Reason: reason} }
	switch {
	case r.Mode != Full && r.Mode != Shortcut:
		return bad(fmt.Sprintf("unknown mode %q", clip(string(r.Mode))))
	case r.Fence.Less(r.Active.Term):
		return bad("active is above the fence")
	case r.Active.Term.Less(r.Routed.Term):
		return bad("routed is above active")
	case r.Fence.Less(r.Intent.Term):
		return bad("the intent is above the fence")
	case r.Fence.Less(r.Drafted):
		return bad("drafted is above the fence")
	case r.Intent.HoldFor < 0:
		return bad("HoldFor is negative")
	}
	switch r.Intent.Phase {
	case Cleared, Preparing, Holding:
	default:
		return bad(fmt.Sprintf("unknown phase %q", clip(string(r.Intent.Phase))))
	}
	if !r.Ruleset.IsZero() {
		if err := checkNodes(r.Ruleset.Members); err != nil {
			return bad(err.Error())
		}
	}
	return nil
}

// IsBarred returns why the record bars what a node says, or "".
func (r Record) IsBarred(t Testimony) string {
	for _, b := range r.Barred {
		if b.Node == t.Node && (b.Incarnation == "" || b.Incarnation == t.Incarnation) && t.accepted().Less(b.Term) {
			return fmt.Sprintf("declared gone by %s at term %s: %s; it counts again once it has followed a leader of that term or a later one", b.By, b.Term, b.Reason)
		}
	}
	return ""
}
