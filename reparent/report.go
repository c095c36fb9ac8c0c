package reparent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Outcome is what a change came to.
type Outcome string

const (
	// Done: the new leader is established, granted and routed.
	Done Outcome = "done"
	// NotStarted: no node was asked to promise anything, or the leader refused to
	// begin to step down, with proof; who led before leads, under the same term.
	// Until Report.Failed was reached the change may have announced itself, which
	// raises the record's Fence for good and lets routers hold until the intent is
	// cleared, and may have brought the candidate level, which takes nothing from
	// the leader.
	NotStarted Outcome = "not started"
	// Unsaved: the new leader is established, granted and serves, and the record
	// does not show it yet: see UnsavedError. Report.Leader names it. Routers
	// learn of it from responses; Sweep by the same guard writes the record, and
	// any later change by any guard does.
	Unsaved Outcome = "unsaved"
	// Restored: the change failed and was undone; somebody leads under a new
	// term, the old leader if possible. Of a change in which the candidate
	// grants itself, it may have led in between.
	Restored Outcome = "restored"
	// Superseded: a newer attempt exists, or made a leader that the nodes show and
	// the record need not. This one touched nothing more; what
	// becomes of the cluster is the other's report.
	Superseded Outcome = "superseded"
	// Incomplete: the change stopped at Report.Failed and could not be undone.
	// Report.Err says what is missing. Resume or Emergency goes on.
	Incomplete Outcome = "incomplete"
	// Unknown: the grant may or may not have reached the new leader, and an
	// undo could not settle it. Nothing is lost, and at most one node can
	// complete anything; Resume settles who.
	Unknown Outcome = "unknown"
)

// StepReport is one line of what happened.
type StepReport struct {
	Step  Step          `json:"step"`
	At    time.Duration `json:"at"` // since the change began
	Took  time.Duration `json:"took"`
	Error string        `json:"error,omitempty"`
}

// Heard is one testimony or acceptance, and what was wrong with it.
type Heard struct {
	Node      leadership.NodeID        `json:"node"`
	Kind      leadership.TestimonyKind `json:"kind"`
	Position  *leadership.Position     `json:"position,omitempty"`
	Mechanism string                   `json:"mechanism,omitempty"`
	Ignored   string                   `json:"ignored,omitempty"`
}

// Report says what a change did and found. It is complete, and nobody else
// holds on to it, once Run has returned.
type Report struct {
	Cluster string            `json:"cluster"`
	Kind    leadership.Kind   `json:"kind"`
	Term    leadership.Term   `json:"term"`
	From    leadership.NodeID `json:"from,omitempty"`
	To      leadership.NodeID `json:"to,omitempty"`
	Outcome Outcome           `json:"outcome"`
	// Failed is the step that failed, empty when none did.
	Failed Step `json:"failed,omitempty"`
	// Err is why the outcome is not Done.
	Err error `json:"-"`
	// Took is the whole time; Gap the part from when the revocation began
	// until the new leader was granted, 0 when none was.
	Took time.Duration `json:"took"`
	Gap  time.Duration `json:"gap,omitempty"`

	Steps []StepReport `json:"steps"`
	// Quiet says which routers had nothing in flight when the leader was stepped
	// down; nil when that was not asked.
	Quiet *Quiet `json:"quiet,omitempty"`
	// Drained says how the leader's drain ended; nil when there was none.
	Drained   *revoke.Drained     `json:"drained,omitempty"`
	Testimony []Heard             `json:"testimony,omitempty"`
	Accepted  []leadership.NodeID `json:"accepted,omitempty"`
	// Passed says why each other node was not chosen.
	Passed []establish.Passed `json:"passed,omitempty"`
	// Stragglers were asked and did not answer, or do not follow the new leader
	// yet; Sweep owes them a Follow.
	Stragglers []leadership.NodeID `json:"stragglers,omitempty"`
	// Waivers that the change relied on.
	Waivers []leadership.Waiver `json:"waivers,omitempty"`
	Notes   []string            `json:"notes,omitempty"`
	// Undo is the report of the undo, nil when there was none.
	Undo *Report `json:"undo,omitempty"`
}

// Leader returns who leads after the change as far as it knows, empty when
// nobody or unknown.
func (r *Report) Leader() leadership.NodeID {
	switch {
	case r.Outcome == Done, r.Outcome == Unsaved:
		return r.To
	case r.Outcome == Restored && r.Undo != nil:
		return r.Undo.To
	case r.Outcome == NotStarted:
		return r.From
	}
	return ""
}

// MarshalJSON adds the error's text.
func (r *Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	var text string
	if r.Err != nil {
		text = r.Err.Error()
	}
	return json.Marshal(struct {
		*plain
		Error string `json:"error,omitempty"`
	}{(*plain)(r), text})
}

// String returns the report for a person.
func (r *Report) String() string {
	var b strings.Builder
	r.write(&b, "")
	return b.String()
}

func (r *Report) write(b *strings.Builder, indent string) {
	line := func(head, format string, args ...any) {
		fmt.Fprintf(b, "%s  %-11s %s\n", indent, head, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(b, "%s%s\n", indent, r.headline())
	for _, s := range r.Steps {
		if s.Error != "" {
			line(string(s.Step), "%s at +%s: %s", short(s.Took), short(s.At), oneLine(s.Error))
		} else {
			line(string(s.Step), "%s at +%s", short(s.Took), short(s.At))
		}
	}
	if r.Quiet != nil {
		line("routers", "%s", r.Quiet)
	}
	if r.Drained != nil {
		line("drained", "%s: %d finished, %d cut off", r.From, r.Drained.Finished, r.Drained.Survivors)
	}
	for _, h := range r.Testimony {
		text := fmt.Sprintf("%s %s", h.Node, h.Kind)
		if h.Position != nil {
			text += " at " + h.Position.String()
		}
		if h.Ignored != "" {
			text += " (ignored: " + h.Ignored + ")"
		}
		line("heard", "%s", text)
	}
	if len(r.Accepted) > 0 {
		line("accepted", "%s", idList(r.Accepted))
	}
	for _, p := range r.Passed {
		line("passed over", "%s: %s", p.Node, p.Reason)
	}
	for _, w := range r.Waivers {
		line("waived", "%s", waived(w))
	}
	if len(r.Stragglers) > 0 {
		line("stragglers", "%s (Sweep owes them a Follow)", idList(r.Stragglers))
	}
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
	if r.Err != nil {
		line("error", "%s", oneLine(r.Err.Error()))
	}
	if r.Undo != nil {
		r.Undo.write(b, indent+"    ")
	}
}

func waived(w leadership.Waiver) string {
	s := fmt.Sprintf("%s declared gone by %s: %s", idList(w.Gone), w.By, w.Reason)
	if w.Loss {
		s += ", acknowledged requests may be lost"
	}
	if w.Ruleset != nil {
		s += fmt.Sprintf("; goes on with %s under %s, which took the place of a ruleset that nobody can satisfy", idList(w.Ruleset.IDs()), w.Ruleset.Policy)
	}
	return s
}

func (r *Report) headline() string {
	s := fmt.Sprintf("%s change of %s", r.Kind, r.Cluster)
	switch {
	case r.From != "" && r.To != "" && r.From != r.To:
		s += fmt.Sprintf(": %s -> %s", r.From, r.To)
	case r.To != "":
		s += ": " + string(r.To)
	}
	if !r.Term.IsZero() {
		s += " under term " + r.Term.String()
	}
	s += fmt.Sprintf(": %s in %s", r.Outcome, short(r.Took))
	if r.Failed != "" {
		s += ", failed at " + string(r.Failed)
	}
	if r.Gap > 0 {
		s += ", " + short(r.Gap) + " without a leader"
	}
	return s
}

func (r *Report) step(s Step, at, took time.Duration, err error) {
	sr := StepReport{Step: s, At: at, Took: took}
	if err != nil {
		sr.Error = err.Error()
	}
	r.Steps = append(r.Steps, sr)
}

func (r *Report) testimony(t leadership.Testimony, err error) {
	h := Heard{Node: t.Node, Kind: t.Kind, Position: t.Read, Mechanism: t.Mechanism}
	if err != nil {
		h.Ignored = err.Error()
	}
	r.Testimony = append(r.Testimony, h)
}

func (r *Report) accepted(a leadership.Acceptance, err error) {
	if err == nil && !slices.Contains(r.Accepted, a.Node) {
		r.Accepted = append(r.Accepted, a.Node)
	}
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// sort puts what came in any order into one order, so that two reports of the
// same change are alike.
func (r *Report) sort() {
	slices.Sort(r.Accepted)
	slices.SortStableFunc(r.Testimony, func(a, b Heard) int { return strings.Compare(string(a.Node), string(b.Node)) })
}

func idList(ids []leadership.NodeID) string {
	ss := make([]string, len(ids))
	for i, id := range ids {
		ss[i] = string(id)
	}
	return strings.Join(ss, ", ")
}

// short rounds to three digits, which is what a person reads.
func short(d time.Duration) string {
	for unit := time.Duration(1); unit < time.Hour; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
