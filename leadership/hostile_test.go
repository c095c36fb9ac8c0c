package leadership_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/hostile"
	. "github.com/tenure-go/tenure/leadership"
)

func TestG10_NothingPanicsWhateverItIsGiven(t *testing.T) {
	rs := ruleset(t, 1, Majority(), ids(3)...)
	round := newRound(t, term(7, "c"), rs)
	c, err := NewCohort(Node{ID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := rs.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := established(t, term(5, "c"), "n0", rs)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tab := hostile.Table{
		Dir: here,
		Funcs: map[string]any{
			"All": All, "Any": Any, "AtLeast": AtLeast, "Granted": Granted, "Joint": Joint, "LeaderConditions": LeaderConditions,
			"Majority": Majority, "MaxTerm": MaxTerm, "NewCohort": NewCohort, "NewRound": NewRound, "NewRuleset": NewRuleset,
			"NewTerm": NewTerm, "NextTerm": NextTerm, "NotExecuted": NotExecuted, "OpenFileBarrier": OpenFileBarrier,
			"OpenFileRegistry": OpenFileRegistry, "ParseLogPoint": ParseLogPoint, "ParseTerm": ParseTerm, "Routed": Routed,
			"SetOf": SetOf, "Supported": Supported, "Update": Update, "Weighted": Weighted, "Zones": Zones,
		},
		Types: map[string]any{
			"BarredError": &BarredError{}, "BoundError": &BoundError{}, "BusyError": &BusyError{}, "Catalog": []any{&Catalog{}, (*Catalog)(nil)},
			"Cohort": []any{&Cohort{}, (*Cohort)(nil), c}, "CohortSizeError": &CohortSizeError{}, "Conditions": []any{Conditions(nil), Conditions{{}}, LeaderConditions()},
			"ConflictError": &ConflictError{}, "ContradictionError": &ContradictionError{}, "CorruptError": &CorruptError{}, "CounterExample": CounterExample{},
			"DivergedError": &DivergedError{}, "DuplicateNodeError": &DuplicateNodeError{}, "FileBarrier": []any{&FileBarrier{}, must(OpenFileBarrier(dir + "/barrier"))}, "FileRegistry": []any{&FileRegistry{}, must(OpenFileRegistry(dir + "/registry"))},
			"IncarnationError": &IncarnationError{}, "IneligibleError": &IneligibleError{}, "Installed": []any{&Installed{}, (*Installed)(nil), in}, "Intent": Intent{},
			"Leadership": Leadership{}, "LogPoint": []any{LogPoint{}, LogPoint{Index: 1, Eras: []Era{{}, {}}}}, "Marker": Marker{}, "MemoryBarrier": &MemoryBarrier{}, "MemoryRegistry": &MemoryRegistry{},
			"Node": Node{}, "NodeID": NodeID(""), "NodeIDError": &NodeIDError{}, "NotDiscoveredError": &NotDiscoveredError{}, "NotDurableError": &NotDurableError{},
			"NotQuietError": &NotQuietError{}, "NotReadyError": &NotReadyError{}, "NotRevokedError": &NotRevokedError{}, "Order": Order(-100), "PolicyError": &PolicyError{},
			"Position": []any{new(Position), &Position{Term: term(1, "c")}, &Position{Point: LogPoint{}}}, "Proposal": []any{&Proposal{}, (*Proposal)(nil)}, "ReadBeforeBlockError": &ReadBeforeBlockError{},
			"Record": []any{Record{}, must(Record{}.Create("c", Full, rs))}, "Refusal": []any{&Refusal{}, &Refusal{Term: term(1, "c")}}, "Revocation": []any{&Revocation{}, (*Revocation)(nil)}, "RollCall": RollCall{},
			"Round": []any{&Round{}, (*Round)(nil), round}, "RouterID": RouterID(""), "RouterLapsedError": &RouterLapsedError{}, "RouterLease": RouterLease{},
			"RouterLeaseError": &RouterLeaseError{}, "RouterTakenError": &RouterTakenError{}, "Rules": []any{&Rules{}, rules}, "Ruleset": []any{Ruleset{}, rs},
			"Scope": Scope(200), "Set": []any{Set(0), ^Set(0)}, "StaleTermError": &StaleTermError{}, "SupersededError": &SupersededError{}, "Term": []any{new(Term), &Term{Num: 1}},
			"TermError": &TermError{}, "Testimony": Testimony{}, "TestimonyKind": []any{new(TestimonyKind)}, "TextError": &TextError{}, "TransitionError": &TransitionError{},
			"UnenforceablePolicyError": &UnenforceablePolicyError{}, "UnknownNodeError": &UnknownNodeError{}, "Verdict": Verdict(200), "View": View{}, "Waiver": Waiver{},
			"WaiverError": &WaiverError{}, "WeightError": &WeightError{},
		},
		Values: []any{
			Majority(), &MemoryRegistry{}, (*MemoryRegistry)(nil), rs, LogPoint{}, c, rules, in, term(1, "c"),
			Testimony{Node: "n0", Term: term(7, "c"), Kind: Promised, Read: &Position{}}, 20 * time.Millisecond,
		},
	}
	t.Chdir(t.TempDir()) // where files of odd names may lie
	synctest.Test(t, func(t *testing.T) { hostile.Check(t, tab) })
}
