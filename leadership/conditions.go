package leadership

import "fmt"

// Status is what a node says of itself when asked. It is a hint: it may be old
// by the time it is read, and no decision is ever made from it.
type Status struct {
	Node        NodeID `json:"node"`
	Incarnation string `json:"incarnation,omitempty"`
	// Reachable is set by whoever asked.
	Reachable bool `json:"reachable"`
	// Promised is the highest term the node promised.
	Promised Term `json:"promised"`
	// Leads is the term the node holds a grant of, zero when it does not.
	Leads Term `json:"leads"`
	// Source is whom the node accepts from, and under which term.
	Source   Leadership `json:"source"`
	Position Position   `json:"position"`
	// Markers are the rulesets its log shows, oldest first.
	Markers []Sighting `json:"markers,omitempty"`
	// BelowFloor: see Testimony.
	BelowFloor bool `json:"belowFloor,omitempty"`
	// Degraded says what is wrong with the node's health, "" for nothing.
	Degraded string `json:"degraded,omitempty"`
	// Draining says that the node leads but refuses new work.
	Draining bool `json:"draining,omitempty"`
}

// View is what is known of a cluster at one moment, from statuses and the
// record.
type View struct {
	Rules    *Rules
	Statuses []Status
	Routed   Leadership
}

func (v View) status(id NodeID) Status {
	for _, s := range v.Statuses {
		if s.Node == id {
			return s
		}
	}
	return Status{Node: id}
}

// Finding says whether one condition holds for a node.
type Finding struct {
	Condition string `json:"condition"`
	Holds     bool   `json:"holds"`
	// Because says what was seen.
	Because string `json:"because"`
	// Mend says what would make it hold, "" when it does.
	Mend string `json:"mend,omitempty"`
}

// Condition is one of the things that must be true of a leadership. Conditions
// explain a cluster to people and to pre-flight checks; no decision of a
// change of leader reads them.
type Condition struct {
	Name string
	// Check must be pure. Nil never holds.
	Check func(v View, node NodeID) Finding
}

func (c Condition) of(v View, node NodeID) Finding {
	if c.Check == nil {
		return Finding{Because: "the condition has no check", Mend: "give it one"}
	}
	return c.Check(v, node)
}

// Conditions is a list of conditions, all of which make a leader.
type Conditions []Condition

// LeaderConditions returns the three built-in ones: the node holds the grant,
// a durable set of followers accepts from it, and clients are routed to it.
func LeaderConditions() Conditions {
	return Conditions{Granted(), Supported(), Routed()}
}

// Holders returns the nodes of the ruleset for which every condition holds.
func (cs Conditions) Holders(v View) []NodeID {
	if v.Rules == nil {
		return nil
	}
	var ids []NodeID
	for m := range v.Rules.Members().All() {
		id := v.Rules.Cohort().Node(m).ID
		all := true
		for _, c := range cs {
			all = all && c.of(v, id).Holds
		}
		if all {
			ids = append(ids, id)
		}
	}
	return ids
}

// Explain returns one finding per condition, in order.
func (cs Conditions) Explain(v View, node NodeID) []Finding {
	out := make([]Finding, len(cs))
	for i, c := range cs {
		out[i] = c.of(v, node)
		out[i].Condition = c.Name
	}
	return out
}

// Granted holds when the node leads and has promised nothing above its grant.
func Granted() Condition {
	return Condition{"granted", func(v View, id NodeID) Finding {
		s := v.status(id)
		switch {
		case !s.Reachable:
			return Finding{Because: "it did not answer", Mend: "reach it"}
		case s.Leads.IsZero():
			return Finding{Because: "it holds no grant", Mend: "establish it under a term above " + s.Promised.String()}
		case s.Leads.Less(s.Promised):
			return Finding{Because: fmt.Sprintf("it promised %s, above its grant %s", s.Promised, s.Leads), Mend: "establish somebody under a new term"}
		}
		return Finding{Holds: true, Because: "it holds the grant of " + s.Leads.String()}
	}}
}

// Supported holds when a durable set accepts from the node under its grant.
func Supported() Condition {
	return Condition{"supported", func(v View, id NodeID) Finding {
		if v.Rules == nil {
			return Finding{Because: "no ruleset is known", Mend: "create the cluster's record"}
		}
		s := v.status(id)
		c := v.Rules.Cohort()
		l, ok := c.Member(id)
		if !ok {
			return Finding{Because: "it is not in the ruleset", Mend: "add it with a change of ruleset"}
		}
		have := SetOf()
		if s.Reachable && !s.Leads.IsZero() && !s.Leads.Less(s.Promised) {
			have = have.With(l)
		}
		term := s.Leads
		for _, o := range v.Statuses {
			m, ok := c.Member(o.Node)
			if ok && o.Reachable && o.Source == (Leadership{Leader: id, Term: term}) && o.Promised.Compare(term) <= 0 && !term.IsZero() {
				have = have.With(m)
			}
		}
		names := setText(c.Names(have & v.Rules.Members()))
		if v.Rules.Durable(l, have) {
			return Finding{Holds: true, Because: names + " accept from it"}
		}
		return Finding{
			Because: "only " + names + " accept from it, which is not durable under " + v.Rules.Ruleset.Policy,
			Mend:    "let some of " + setText(c.Names(v.Rules.Members().Minus(have))) + " follow it",
		}
	}}
}

// Routed holds when clients are sent to the node.
func Routed() Condition {
	return Condition{"routed", func(v View, id NodeID) Finding {
		if v.Routed.Leader == id {
			return Finding{Holds: true, Because: "clients are routed to it under " + v.Routed.Term.String()}
		}
		return Finding{Because: "clients are routed to " + v.Routed.String(), Mend: "route the established leadership"}
	}}
}
