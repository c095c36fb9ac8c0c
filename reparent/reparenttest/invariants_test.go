package reparenttest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// firing is what breaks one invariant, and the nearest legal thing.
type firing struct {
	name, id string
	play     func(s *stage)
	near     func(s *stage)
}

// Each check fires on what it is for, and is silent on the nearest legal thing.
func TestEachInvariantFiresAndItsNearMissDoesNot(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(leaderFirings(), promiseFirings(), logFirings()) {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			s := newStage(t, 3)
			c.play(s)
			if s.got != c.id {
				t.Errorf("%q, %v", s.got, s.w.err)
			}
			s = newStage(t, 3)
			c.near(s)
			if s.got != "" {
				t.Errorf("the near miss: %v", s.w.err)
			}
		})
	}
}

func TestI20_AnObserverMakesNothingDurable(t *testing.T) {
	t.Parallel()
	for holder, want := range map[leadership.NodeID]string{"n4": "I20", "n2": ""} {
		s := newStage(t, 4)
		rs := s.w.ruleset
		rs.Members = rs.Members[:3]
		s.w.reforms = true
		s.promise(2, "n1", "n2", "n3")
		m := leadership.Marker{Term: term(2), Leader: "n1", Ruleset: rs, Over: []leadership.Ruleset{s.w.ruleset}}
		s.tell("n1", Event{Kind: Installing, Leadership: led("n1", 2), Marker: &m})
		s.step()
		s.puts(Entry{Term: term(2), Marker: &m}, "n1", "n2", "n3")
		s.completes("n1", 2, 2)
		s.promise(2, "n4")
		s.puts(Entry{Term: term(2), Marker: &m}, "n4")
		s.puts(value(2, 7), "n1", holder)
		s.completes("n1", 2, 3)
		if s.got != want {
			t.Errorf("held by %s: %q, %v", holder, s.got, s.w.err)
		}
	}
}

func TestG9_AReportThatIsNotTrueIsFound(t *testing.T) {
	t.Parallel()
	granted, promised := map[leadership.Term]bool{term(2): true}, map[leadership.Term]bool{term(3): true}
	for _, c := range []struct {
		r    reparent.Report
		lies bool
	}{
		{reparent.Report{Term: term(2), Outcome: reparent.Done}, false},
		{reparent.Report{Term: term(3), Outcome: reparent.Done}, true},
		{reparent.Report{Term: term(2), Outcome: reparent.Done, Err: errMute}, true},
		{reparent.Report{Term: term(3), Outcome: reparent.NotStarted, Err: errMute}, true},
		{reparent.Report{Term: term(4), Outcome: reparent.NotStarted, Err: errMute}, false},
		{reparent.Report{Term: term(4), Outcome: reparent.NotStarted}, true},
		{reparent.Report{Term: term(3), Outcome: reparent.Restored, Err: errMute}, true},
		{reparent.Report{Term: term(3), Outcome: reparent.Restored, Err: errMute, Undo: &reparent.Report{Term: term(2)}}, false},
		{reparent.Report{Term: term(2), Outcome: reparent.Superseded, Err: errMute}, true},
		{reparent.Report{Term: term(2), Outcome: reparent.Superseded, Err: errMute, Failed: reparent.StepGrant}, false},
		{reparent.Report{Term: term(2), Outcome: reparent.Unknown, Err: errMute}, false},
		{reparent.Report{Term: term(9), Outcome: reparent.Superseded, Err: errMute, Testimony: []reparent.Heard{{Node: "n3", Kind: leadership.Refused}}}, false},
		{reparent.Report{Term: term(2), Outcome: reparent.Unsaved, Err: errMute}, false},
		{reparent.Report{Term: term(9), Outcome: reparent.Unsaved, Err: errMute}, true},
		{reparent.Report{Term: term(2), Outcome: reparent.Incomplete, Err: errMute}, true},
		{reparent.Report{Term: term(9), Outcome: reparent.Incomplete, Err: errMute, Undo: &reparent.Report{}}, false},
		{reparent.Report{Term: term(9), Outcome: reparent.Incomplete, Err: errMute, Undo: &reparent.Report{}, Testimony: []reparent.Heard{{Node: "n3", Kind: leadership.Refused}}}, true},
	} {
		if says := untrue(&c.r, granted, promised); (says != "") != c.lies {
			t.Errorf("%+v: %q", c.r, says)
		}
	}
}

func TestL4_AStallWithoutAReasonIsFound(t *testing.T) {
	t.Parallel()
	w := &world{}
	for _, c := range []struct {
		err error
		ok  bool
	}{
		{&leadership.NotRevokedError{Term: term(2), Counter: leadership.CounterExample{Leader: "n1", Could: []leadership.NodeID{"n1", "n3"}}}, true},
		{&leadership.NotRevokedError{Term: term(2)}, false},
		{&leadership.NotDiscoveredError{Term: term(2)}, false},
		{&leadership.NotDurableError{Term: term(2), Missing: []leadership.NodeID{"n3"}}, true},
		{&leadership.NotDurableError{Term: term(2)}, false},
		{&leadership.NotReadyError{Node: "n2"}, false},
	} {
		err := w.named(&reparent.Report{Outcome: reparent.Incomplete, Failed: reparent.StepGrant, Err: c.err})
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

func TestEveryInvariantServesAGuarantee(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	table, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for g := range guarantees {
		var by []string
		for _, i := range Invariants() {
			if slices.Contains(i.Serves, g) {
				by = append(by, i.Name)
			}
		}
		if row := strings.Join(by, " "); row != "" && !regexp.MustCompile(`(?m)^//\t`+g+` .* `+row+`$`).Match(table) {
			t.Errorf("the table in doc.go should end the row of %s with %q", g, row)
		}
	}
	for _, i := range Invariants() {
		if seen[i.Name] {
			t.Errorf("%s is there twice", i.Name)
		}
		seen[i.Name] = true
		if i.Says == "" || i.From == "" || len(i.Serves) == 0 {
			t.Errorf("%+v", i)
		}
		for _, g := range i.Serves {
			if guarantees[g] == "" {
				t.Errorf("%s serves %s, which is none", i.Name, g)
			}
		}
		if (&Violation{Name: i.Name}).rule() == "" {
			t.Errorf("%s is not explained", i.Name)
		}
	}
}
