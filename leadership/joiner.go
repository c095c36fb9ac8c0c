package leadership

import "slices"

// joiner is a node outside every ruleset in force that promised the term.
type joiner struct {
	node  NodeID
	block Testimony
	read  *Testimony // the last that told its position
}

// join notes what a node says that is no member yet.
func (r *Round) join(t Testimony) {
	i := slices.IndexFunc(r.joiners, func(j joiner) bool { return j.node == t.Node })
	if t.Kind == Statement && i < 0 {
		return // read before its block: it may have gone on since
	}
	t.Markers = slices.Clone(t.Markers)
	if t.Read != nil {
		at := *t.Read
		t.Read = &at
	}
	switch {
	case i < 0:
		i = len(r.joiners)
		r.joiners = append(r.joiners, joiner{node: t.Node, block: t})
	case strength(t.Kind, t.Held) > strength(r.joiners[i].block.Kind, r.joiners[i].block.Held):
		r.joiners[i].block = t
	}
	if t.Read == nil {
		return
	}
	r.joiners[i].read = &t
	if r.proposal != nil {
		r.proposal.hear(t.Node, *t.Read)
	}
}

// admit counts what those said who turn out to be members, as if they had said it
// only now: of a marker that is only being installed, say, the coordinator hears
// after the promises that it asked for.
func (r *Round) admit() {
	r.joiners = slices.DeleteFunc(r.joiners, func(j joiner) bool {
		m, ok := r.cohort.Member(j.node)
		if !ok {
			return false
		}
		// What says that the node is another one by now counts for nothing,
		// here as in Add.
		_ = r.count(m, j.block)
		if j.read != nil {
			_ = r.count(m, *j.read)
		}
		return true
	})
}

// joined reports whether a node that is no member has itself said something in this
// round.
func (r *Round) joined(id NodeID) bool {
	return slices.ContainsFunc(r.joiners, func(j joiner) bool {
		return j.node == id && (!j.block.Kind.outside() || j.read != nil && !j.read.Kind.outside())
	})
}
