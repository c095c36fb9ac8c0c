package reparent

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

func (a *attempt) contest(rev *leadership.Revocation, r *leadership.Round, ss []leadership.Status, heard func(leadership.NodeID) bool) establish.Contest {
	reads := rev.Reads()
	unfit := a.unfit(rev, reads)
	c := establish.Contest{
		Selection: rev.Selection(), Want: a.change.To, Prefer: a.prefer,
		Ready: func(id leadership.NodeID) error {
			if err := r.Ready(id, unfit...); err != nil {
				return err
			}
			return a.readyNext(id, unfit, heard)
		},
	}
	if a.change.Kind == leadership.KindEmergency {
		c.Avoid = a.from
	}
	rulesets := rev.Rulesets()
	members := rulesets[len(rulesets)-1].Members
	if i := slices.IndexFunc(members, func(m leadership.Node) bool { return m.ID == a.from }); i >= 0 {
		c.Zone = members[i].Zone
	}
	if s := a.change.survivors(); s != nil {
		// What it replaces may have none of them as a member.
		members = s.Members
	}
	c.Standings = make([]establish.Standing, 0, len(members))
	for _, m := range members {
		s := establish.Standing{Node: m}
		if n, ok := a.g.nodes[m.ID]; ok {
			s.Priority, s.CanLead, s.Truncates = n.Priority, n.Candidate != nil && !a.held(m.ID), n.Truncates
		}
		if i := slices.IndexFunc(reads, func(p leadership.NodePosition) bool { return p.Node == m.ID }); i >= 0 {
			s.Position = reads[i].Position
		}
		if i := slices.IndexFunc(ss, func(st leadership.Status) bool { return st.Node == m.ID }); i >= 0 {
			s.Degraded = ss[i].Degraded
		}
		c.Standings = append(c.Standings, s)
	}
	return c
}

// readyNext is Ready under the ruleset to come: the marker has to become durable
// under it, too, on nodes that promised. A leader's own step-down may be all
// that the old one asks for, and then nobody else would be asked.
func (a *attempt) readyNext(id leadership.NodeID, unfit []leadership.NodeID, heard func(leadership.NodeID) bool) error {
	if a.next == nil {
		return nil
	}
	rules, err := a.next.Compile(a.g.cfg.Catalog)
	if err != nil {
		return err
	}
	var have leadership.Set
	var missing []leadership.NodeID
	for _, n := range a.next.Members {
		m, _ := rules.Cohort().Member(n.ID)
		if heard(n.ID) && (n.ID == id || !slices.Contains(unfit, n.ID)) {
			have = have.With(m)
		} else {
			missing = append(missing, n.ID)
		}
	}
	if m, ok := rules.Cohort().Member(id); !ok || !rules.Durable(m, have) {
		return &leadership.NotReadyError{Node: id, Reason: fmt.Sprintf("its marker cannot become durable under the ruleset to come: reach some of %v", missing)}
	}
	return nil
}

// held reports whether the record says that the node is isolated: what it
// promises counts, but nobody can follow it and it can follow nobody until it is
// released.
func (a *attempt) held(id leadership.NodeID) bool {
	return slices.ContainsFunc(a.rec.Held, func(h leadership.Isolation) bool { return h.Node == id })
}

// unfit names the nodes that were read and cannot follow the selected log:
// nothing truncates their tail, and nothing repairs them, or they are isolated. Of
// those whose log is disregarded one that may be to blame for a failure is unfit, and
// any that would need a repair and cannot get it: its log is longer than it should
// be.
func (a *attempt) unfit(rev *leadership.Revocation, reads []leadership.NodePosition) []leadership.NodeID {
	var ids []leadership.NodeID
	for _, id := range slices.Sorted(maps.Keys(a.without)) {
		if n := a.g.nodes[id]; a.without[id] == notEstablished || a.held(id) || !n.Truncates && n.Repair == nil {
			ids = append(ids, id)
		}
	}
	for _, p := range reads {
		n := a.g.nodes[p.Node]
		if a.held(p.Node) || !n.Truncates && n.Repair == nil && !rev.Selection().Extends(p.Position) {
			ids = append(ids, p.Node)
		}
	}
	return ids
}
