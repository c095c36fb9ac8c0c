package reparent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// load reads the record. In Full mode an emergency goes on without it.
func (a *attempt) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Registry)
	defer cancel()
	asked := a.g.asking()
	rec, err := a.g.reg.Load(ctx)
	if err != nil {
		return a.withoutRegistry(err)
	}
	if err := a.g.owns(rec); err != nil {
		return err
	}
	a.g.remember(rec, asked)
	a.rec = rec
	return a.basis()
}

// withoutRegistry goes on from what was last known, where that is safe: when
// every change passes the full test, the record is not what makes it so.
func (a *attempt) withoutRegistry(why error) error {
	a.g.mu.Lock()
	a.rec = a.g.last
	a.g.mu.Unlock()
	if a.rec.Version == 0 {
		a.rec = leadership.Record{Mode: a.g.cfg.Mode, Ruleset: a.g.cfg.Ruleset}
	}
	if w := a.change.Waiver; w != nil && w.Loss && w.Ruleset == nil && !a.change.Force {
		return fmt.Errorf("reparent: the registry cannot be read, and the nodes that are gone may have known of members that were taken in since: make sure that none of those leads, and Force: %w", why)
	}
	if !a.change.blind() || a.rec.Mode != leadership.Full || a.rec.Ruleset.IsZero() || errors.Is(why, leadership.ErrClosed) || isCorrupt(why) {
		return fmt.Errorf("reparent: the registry cannot be read: %w", why)
	}
	a.blind = why
	a.rep.note("the registry cannot be read (%v): going on without it, by the full test", why)
	return a.basis()
}

func isCorrupt(err error) bool {
	var c *leadership.CorruptError
	return errors.As(err, &c)
}

// basis derives from the record what the change starts from.
func (a *attempt) basis() error {
	if a.change.first() {
		return a.firstBasis()
	}
	if a.rec.Version == 0 && a.blind == nil {
		return ErrNoRecord
	}
	if m := a.g.cfg.Mode; m != "" && m != a.rec.Mode {
		return &ConfigError{"Mode", fmt.Sprintf("the cluster is in mode %q, not %q", a.rec.Mode, m)}
	}
	a.from = a.rec.Active.Leader
	a.rulesets = []leadership.Ruleset{a.rec.Ruleset}
	switch a.change.Kind {
	case leadership.KindRefresh, leadership.KindRuleset:
		if a.from == "" {
			return &ChangeError{a.change.Kind, "the record names no leader"}
		}
		a.change.To = a.from
	case leadership.KindResume:
		a.prefer = []leadership.NodeID{a.rec.Intent.To, a.rec.Active.Leader, a.rec.Intent.From}
	case leadership.KindUndo:
		a.prefer = a.change.prefer
		if a.blind == nil {
			if err := a.change.overtaken(a.rec); err != nil {
				return err
			}
		}
	}
	if err := a.knowsMembers(a.rec); err != nil {
		return err
	}
	if err := a.knowsGone(); err != nil {
		return err
	}
	want := a.change.Ruleset
	if s := a.change.survivors(); s != nil {
		want = s
	}
	if want != nil {
		rs := *want
		if err := a.checkVersion(rs); err != nil {
			return err
		}
		if rs.Version == 0 {
			rs.Version = a.rec.Ruleset.Version + 1
		}
		if now := a.rec.Ruleset.Version; rs.Version <= now {
			return &ChangeError{a.change.Kind, fmt.Sprintf("its version is %d and version %d is in force: leave it 0 for the next one", rs.Version, now)}
		}
		a.next = &rs
	}
	if err := a.canLeadItself(); err != nil {
		return err
	}
	return a.checkRuleset()
}

// knowsMembers refuses to give up what only lost nodes knew while the record says
// that it may be behind: they may have known of members that nobody else knows of,
// one of whom leads.
func (a *attempt) knowsMembers(r leadership.Record) error {
	w := a.change.Waiver
	if w == nil || !w.Loss || a.change.Force || r.Drafted.IsZero() {
		return nil
	}
	return &ChangeError{a.change.Kind, "a change of the ruleset was left unfinished at term " + r.Drafted.String() + ": the nodes that are gone may have known of members that the record does not show. Make sure that none of those leads, and Force"}
}

// knowsGone refuses a waiver of a node that neither the guard nor the record knows:
// a name that was misspelt is told before anything is touched. One that a log alone
// knows of has to be forced.
func (a *attempt) knowsGone() error {
	if a.change.Waiver == nil || a.change.Force {
		return nil
	}
	for _, id := range a.change.Waiver.Gone {
		if _, ok := a.g.nodes[id]; !ok && !a.rec.Ruleset.Has(id) {
			return &leadership.UnknownNodeError{Node: id}
		}
	}
	return nil
}

func (a *attempt) firstBasis() error {
	if a.rec.Version != 0 && !a.rec.Active.IsZero() {
		return &ChangeError{a.change.Kind, "the cluster exists already and was led by " + a.rec.Active.String()}
	}
	rs := *a.change.Ruleset
	if err := a.checkVersion(rs); err != nil {
		return err
	}
	if rs.Version == 0 {
		rs.Version = 1
	}
	a.rulesets = []leadership.Ruleset{rs}
	if err := a.begunAlike(a.rec); err != nil {
		return err
	}
	if a.change.Kind == leadership.KindAdopt {
		a.from = a.change.To
	}
	return a.checkRuleset()
}

// begunAlike refuses to make the first leadership beside an attempt at it that began
// with other members: the two need not ask one node in common.
func (a *attempt) begunAlike(r leadership.Record) error {
	if !a.change.first() || r.Version == 0 || r.Ruleset.Equal(a.rulesets[0]) {
		return nil
	}
	return &ChangeError{a.change.Kind, "an earlier one was begun with another ruleset"}
}

// checkVersion refuses a version that a person gives and that would use up the
// numbers: each later ruleset needs one above it.
func (a *attempt) checkVersion(rs leadership.Ruleset) error {
	if rs.Version <= leadership.MaxTermNum {
		return nil
	}
	return &ChangeError{a.change.Kind, fmt.Sprintf("its version %d is above %d, and the room above that is for the changes after it: leave it 0 for the next one", rs.Version, uint64(leadership.MaxTermNum))}
}

// checkRuleset refuses, before anything is touched, a ruleset that cannot be
// compiled or that an engine cannot keep, and a candidate that is not in it.
func (a *attempt) checkRuleset() error {
	last, all := a.rulesets[len(a.rulesets)-1], a.rulesets
	if a.next != nil {
		last, all = *a.next, append(slices.Clone(all), *a.next)
	}
	for _, rs := range all {
		if _, err := rs.Compile(a.g.cfg.Catalog); err != nil {
			return err
		}
		if err := a.g.canEnforce(rs); err != nil {
			return err
		}
	}
	mode := a.rec.Mode
	if a.change.first() {
		mode = a.change.Mode
	}
	if err := a.g.canGate(mode); err != nil {
		return err
	}
	to := a.change.To
	if to == "" {
		return nil
	}
	n, err := a.node(to)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(last.Members, func(m leadership.Node) bool { return m.ID == to })
	switch {
	case i < 0:
		return &leadership.UnknownNodeError{Node: to}
	case last.Members[i].Ineligible:
		return &leadership.IneligibleError{Node: to, Reason: "the ruleset says that it may not lead"}
	case n.Candidate == nil:
		return &leadership.IneligibleError{Node: to, Reason: "its adapter offers no Candidate"}
	}
	return nil
}

// look asks the nodes how they are. An emergency does not wait for those it
// does not need.
func (a *attempt) look(ctx context.Context) error {
	var enough func([]leadership.Status) bool
	for ids := range a.suspects() {
		a.doubt(notEstablished, ids...) // the others are waited for
		break
	}
	if a.knows() {
		return nil
	}
	if a.change.unplanned() {
		enough = func(ss []leadership.Status) bool {
			_, _, err := a.preview(ss)
			return err == nil && !a.change.outrun(ss)
		}
	}
	a.statuses = a.g.survey(ctx, a.g.ids, enough)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return a.change.succeeded(a.statuses)
}

// knows takes what the caller heard of the nodes in place of a survey, and
// reports whether that does.
func (a *attempt) knows() bool {
	if len(a.change.Known) == 0 {
		return false
	}
	known := make([]leadership.Status, len(a.g.ids))
	for i, id := range a.g.ids {
		known[i].Node = id
		if id == a.from && a.change.Kind == leadership.KindEmergency {
			continue // it answered then, and is gone now
		}
		if j := slices.IndexFunc(a.change.Known, func(s leadership.Status) bool { return s.Node == id }); j >= 0 {
			known[i] = a.change.Known[j]
		}
	}
	a.statuses = known
	_, _, err := a.preview(known)
	if err == nil {
		err = a.leaderHelps()
	}
	if err == nil {
		return true
	}
	a.hints = nil // of these
	a.rep.note("what was known of the nodes does not do (%v): they were asked", err)
	return false
}

// probe is the term of a preview: above every real one, so that no hint of a
// promise makes the preview superseded.
func probe() leadership.Term {
	return leadership.Term{Num: leadership.MaxTermNum, Proposer: "preview"}
}

// preview runs the very check that the change will act on, on hints: as if
// every node that answered had promised what it said of itself. Asked again, it
// takes in those that have answered since.
func (a *attempt) preview(ss []leadership.Status) (*leadership.Round, establish.Choice, error) {
	if a.hints == nil {
		r, err := a.newRound(probe())
		if err != nil {
			return nil, establish.Choice{}, err
		}
		a.hints, a.hinted = r, make([]bool, len(ss))
	}
	r := a.hints
	for i, s := range ss {
		if !s.Reachable || a.hinted[i] {
			continue
		}
		a.hinted[i] = true
		// A hint that cannot be used is one that is missing: the check says so.
		_ = r.Add(promising(s, probe()))
	}
	_, choice, err := a.decideWith(r, ss, func(id leadership.NodeID) bool {
		return slices.ContainsFunc(ss, func(s leadership.Status) bool { return s.Node == id && s.Reachable })
	})
	return r, choice, err
}

func (a *attempt) newRound(t leadership.Term) (*leadership.Round, error) {
	cfg := leadership.RoundConfig{Term: t, Rulesets: a.rulesets, Catalog: a.g.cfg.Catalog, Barred: a.barred()}
	if a.rec.Mode == leadership.Shortcut && !a.rec.Active.IsZero() {
		active := a.rec.Active
		cfg.Known = &active
	}
	r, err := leadership.NewRound(cfg)
	if err != nil {
		return nil, err
	}
	if w := a.change.Waiver; w != nil {
		if err := r.Waive(*w); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// decide is the one place where a round becomes a proof and a candidate.
func (a *attempt) decide(r *leadership.Round) (*leadership.Revocation, establish.Choice, error) {
	return a.decideWith(r, a.statuses, func(id leadership.NodeID) bool { return a.heard[id] })
}

// decideWith takes from heard who has promised, also of those who are members
// of the ruleset to come only: the round knows nothing of them.
func (a *attempt) decideWith(r *leadership.Round, ss []leadership.Status, heard func(leadership.NodeID) bool) (*leadership.Revocation, establish.Choice, error) {
	rev, err := r.Revocation()
	if err != nil {
		return nil, establish.Choice{}, err
	}
	if a.change.Kind == leadership.KindBootstrap {
		if err := a.blank(r); err != nil {
			return nil, establish.Choice{}, err
		}
	}
	choice, err := establish.Choose(a.contest(rev, r, ss, heard))
	if err != nil {
		return nil, establish.Choice{}, err
	}
	return rev, choice, nil
}

// NotEmptyError names nodes that have data: a bootstrap never runs on them.
type NotEmptyError struct{ Nodes []leadership.NodeID }

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("reparent: %v have data: adopt the cluster, or empty them if it is worthless", e.Nodes)
}

// blank asks more of a bootstrap than of any other change: every log that was
// read is empty, and a majority of the cohort was read, so that of two
// bootstraps only one can win, whatever the policy.
func (a *attempt) blank(r *leadership.Round) error {
	var full []leadership.NodeID
	reads := r.Reads()
	for _, p := range reads {
		if !p.Position.IsZero() {
			full = append(full, p.Node)
		}
	}
	if len(full) > 0 {
		return &NotEmptyError{Nodes: full}
	}
	if n := len(a.rulesets[0].Members); len(reads) < n/2+1 {
		return &leadership.NotReadyError{Node: a.change.To, Reason: fmt.Sprintf("a bootstrap reads a majority of the cohort, %d of %d; %d answered", n/2+1, n, len(reads))}
	}
	return nil
}
