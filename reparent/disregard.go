package reparent

import (
	"errors"
	"slices"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// A node that answers can be worse than one that does not. When its log is the
// most advanced by an entry that no other node has, whoever is to lead must get
// that entry from it first, although its peers may not reach it; and when its log
// shows a ruleset that nobody else ever saw, whoever is to lead must be eligible
// under that one as well. So where the others suffice without it, what it says of
// its log is disregarded, and it counts like a node that did not answer in time.
//
// Nothing can be lost by that: both tests, of revocation and of discovery, are
// passed by the others alone, and what they do not know of was never completed.
// It is not done for a waiver, which takes away a part of the tests, and not for
// logs that disagree.

// barred returns what says why a node's word of its log counts for nothing, by
// the record as it is now.
func (a *attempt) barred() func(leadership.Testimony) string {
	rec, without := a.rec, a.without
	return func(t leadership.Testimony) string {
		if why, ok := without[t.Node]; ok {
			return "disregarded: " + why + ", and the others suffice"
		}
		return rec.IsBarred(t)
	}
}

// regard is preview, and finds out whether it would do better to disregard what
// some node says.
func (a *attempt) regard() (*leadership.Round, establish.Choice, error) {
	may := !a.change.first() && a.change.Waiver == nil
	for ids := range a.suspects() {
		if r, choice, err := a.disregard(notEstablished, ids...); err == nil {
			a.heeded = true
			return r, choice, nil
		}
	}
	if a.without != nil { // while the nodes were asked, somebody came to lead
		a.without, a.hints = nil, nil
	}
	r, choice, err := a.preview(a.statuses)
	var none *establish.NoCandidateError
	if !may || !errors.As(err, &none) {
		return r, choice, err
	}
	var answered, short []leadership.NodeID
	for _, s := range a.statuses {
		if !s.Reachable {
			continue
		}
		answered = append(answered, s.Node)
		if slices.ContainsFunc(a.statuses, func(o leadership.Status) bool {
			return o.Reachable && s.Position.Term.Less(o.Position.Term) && !o.Position.Extends(s.Position)
		}) {
			short = append(short, s.Node)
		}
	}
	for _, id := range answered {
		if r, choice, err := a.disregard("with it nobody could lead", id); err == nil {
			return r, choice, nil
		}
	}
	if len(short) > 1 {
		if r, choice, err := a.disregard("with it nobody could lead", short...); err == nil {
			return r, choice, nil
		}
	}
	return r, choice, err
}

const notEstablished = "an attempt with it failed"

// doubt keeps what nodes say of their logs from counting.
func (a *attempt) doubt(why string, ids ...leadership.NodeID) {
	a.hints = nil
	a.without = make(map[leadership.NodeID]string, len(ids))
	for _, id := range ids {
		a.without[id] = why
	}
}

// disregard is preview without what some nodes say of their logs; if that is
// enough, the attempt goes on without it.
func (a *attempt) disregard(why string, ids ...leadership.NodeID) (*leadership.Round, establish.Choice, error) {
	a.doubt(why, ids...)
	r, choice, err := a.preview(a.statuses)
	if err != nil {
		a.without, a.hints = nil, nil
		return nil, establish.Choice{}, err
	}
	a.rep.note("what %s says of its log is disregarded: %s, and the others suffice", idList(ids), why)
	return r, choice, nil
}
