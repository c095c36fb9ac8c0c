package leadership

// without returns the nodes whose logs discovery could not do without, and went
// without by a person's word.
func (r *Round) without() []NodeID {
	if _, _, ok := r.uncovered(r.read, 0); !ok {
		return nil
	}
	return r.cohort.Names(r.forgone(r.read).Minus(r.read))
}

// best selects among the reads. A log is selected by its term because whoever wrote
// the marker of that term had discovered what was completed before, which is not so
// where a person said that some logs are lost. If that attempt went on, the record
// bars them; if it was given up, and they are found again, with what the log lacks,
// both may hold what clients were told is done.
func (r *Round) best() (Position, []NodeID, error) {
	top, donors, err := best(r.Reads())
	if err != nil {
		return top, donors, err
	}
	// All donors have one log. What one of them knows to be complete is so, with all
	// that comes before it: that attempt went on, and has been answered for.
	var went Term
	for _, id := range donors {
		m, _ := r.cohort.Member(id)
		for _, s := range r.seen[m].markers {
			if s.Decided {
				went = MaxTerm(went, s.Marker.Term)
			}
		}
	}
	for _, id := range donors {
		m, _ := r.cohort.Member(id)
		for _, s := range r.seen[m].markers {
			if s.Marker.Term.Compare(went) <= 0 {
				continue
			}
			for _, lost := range s.Marker.Lost {
				l, ok := r.cohort.Member(lost)
				if !ok || !r.read.Has(l) {
					continue
				}
				if at := r.seen[l].position; at.Term.Less(s.Marker.Term) && !top.Extends(at) {
					return Position{}, nil, &DivergedError{Positions: []NodePosition{{Node: id, Position: top}, {Node: lost, Position: at}}, Without: s.Marker.Term}
				}
			}
		}
	}
	return top, donors, nil
}
