package establish_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

func yes(leadership.NodeID) error { return nil }

// standing is a node that is level with the selected log at(5).
func standing(id leadership.NodeID, f ...func(*establish.Standing)) establish.Standing {
	s := establish.Standing{Node: leadership.Node{ID: id, Zone: "z1"}, Position: *at(5), CanLead: true}
	for _, g := range f {
		g(&s)
	}
	return s
}

func behind(s *establish.Standing)     { s.Position = *at(3) }
func sick(s *establish.Standing)       { s.Degraded = "volume at 98%" }
func elsewhere(s *establish.Standing)  { s.Node.Zone = "z2" }
func priority(s *establish.Standing)   { s.Priority = 9 }
func ineligible(s *establish.Standing) { s.Node.Ineligible = true }
func mute(s *establish.Standing)       { s.CanLead = false }
func fork(s *establish.Standing) {
	s.Position = leadership.Position{Term: t3, Point: leadership.LogPoint{Index: 9}}
}
func truncates(s *establish.Standing) { s.Truncates = true }

func TestChooseRanksAndSaysWhyEachOtherWasPassedOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		contest establish.Contest
		to      leadership.NodeID
		catchUp bool
		why     map[leadership.NodeID]string
	}{
		{"equals go by name",
			establish.Contest{Standings: []establish.Standing{standing("n2"), standing("n1")}},
			"n1", false, map[leadership.NodeID]string{"n2": "as good as n1"}},
		{"priority before name",
			establish.Contest{Standings: []establish.Standing{standing("n1"), standing("n2", priority)}},
			"n2", false, map[leadership.NodeID]string{"n1": "priority is 0, below 9"}},
		{"the zone before priority",
			establish.Contest{Zone: "z2", Standings: []establish.Standing{standing("n1", priority), standing("n2", elsewhere)}},
			"n2", false, map[leadership.NodeID]string{"n1": "zone z1, not z2"}},
		{"no zone asked, none preferred",
			establish.Contest{Standings: []establish.Standing{standing("n1", elsewhere), standing("n2")}},
			"n1", false, map[leadership.NodeID]string{"n2": "as good"}},
		{"level before zone",
			establish.Contest{Zone: "z2", Standings: []establish.Standing{standing("n1", behind, elsewhere), standing("n2")}},
			"n2", false, map[leadership.NodeID]string{"n1": "catch up from 3.a@log:3"}},
		{"health before level",
			establish.Contest{Standings: []establish.Standing{standing("n1", sick), standing("n2", behind)}},
			"n2", true, map[leadership.NodeID]string{"n1": "volume at 98%"}},
		{"a sick node rather than none",
			establish.Contest{Standings: []establish.Standing{standing("n1", sick), standing("n2", mute)}},
			"n1", false, map[leadership.NodeID]string{"n2": "no way to establish it"}},
		{"avoided before health",
			establish.Contest{Avoid: "n1", Standings: []establish.Standing{standing("n1"), standing("n2", sick)}},
			"n2", false, map[leadership.NodeID]string{"n1": "to be replaced"}},
		{"the avoided one rather than none",
			establish.Contest{Avoid: "n1", Standings: []establish.Standing{standing("n1"), standing("n2", ineligible)}},
			"n1", false, map[leadership.NodeID]string{"n2": "not eligible"}},
		{"preferred before all, best first",
			establish.Contest{Avoid: "n3", Prefer: []leadership.NodeID{"n9", "n3", "n2"}, Standings: []establish.Standing{standing("n1", priority), standing("n2"), standing("n3", sick, behind)}},
			"n3", true, map[leadership.NodeID]string{"n1": "n3 was preferred", "n2": "n3 was preferred"}},
		{"a preferred one that cannot is passed over",
			establish.Contest{Prefer: []leadership.NodeID{"n2"}, Standings: []establish.Standing{standing("n1"), standing("n2", ineligible)}},
			"n1", false, map[leadership.NodeID]string{"n2": "not eligible"}},
		{"wanted, whatever it is",
			establish.Contest{Want: "n2", Standings: []establish.Standing{standing("n1", priority), standing("n2", sick, behind)}},
			"n2", true, map[leadership.NodeID]string{}},
		{"a log that does not fit needs a repair",
			establish.Contest{Standings: []establish.Standing{standing("n1", fork), standing("n2")}},
			"n2", false, map[leadership.NodeID]string{"n1": "needs a repair"}},
		{"unless it truncates by itself",
			establish.Contest{Standings: []establish.Standing{standing("n1", fork, truncates), standing("n2", mute)}},
			"n1", true, map[leadership.NodeID]string{"n2": "no way"}},
		{"who is not ready is out",
			establish.Contest{Ready: func(id leadership.NodeID) error {
				if id == "n1" {
					return &leadership.NotReadyError{Node: id, Reason: "it did not promise"}
				}
				return nil
			}, Standings: []establish.Standing{standing("n1"), standing("n2", behind)}},
			"n2", true, map[leadership.NodeID]string{"n1": "it did not promise"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.contest.Selection = *at(5)
			if c.contest.Ready == nil {
				c.contest.Ready = yes
			}
			got, err := establish.Choose(c.contest)
			if err != nil {
				t.Fatal(err)
			}
			if got.To != c.to || got.CatchUp != c.catchUp || len(got.Passed) != len(c.why) {
				t.Errorf("%+v, want %s, catch up %v", got, c.to, c.catchUp)
			}
			for _, p := range got.Passed {
				if why, ok := c.why[p.Node]; !ok || !strings.Contains(p.Reason, why) {
					t.Errorf("%s was passed over: %q, want %q", p.Node, p.Reason, why)
				}
			}
		})
	}
}

func TestChooseSaysOfEveryNodeWhyItCannotLead(t *testing.T) {
	t.Parallel()
	c := establish.Contest{
		Selection: *at(5),
		Ready: func(id leadership.NodeID) error {
			if id == "n4" {
				return &leadership.NotReadyError{Node: id, Reason: "it did not promise"}
			}
			return nil
		},
		Standings: []establish.Standing{standing("n4"), standing("n3", fork), standing("n2", ineligible), standing("n1", mute)},
	}
	_, err := establish.Choose(c)
	e := wantAs[*establish.NoCandidateError](t, err)
	if len(e.Passed) != 4 || e.Passed[0].Node != "n1" || e.Passed[3].Node != "n4" {
		t.Errorf("%+v", e.Passed)
	}
	for _, s := range []string{"n1: there is no way", "n2: it is not eligible", "n3: it is at 3.a@log:9", "n4 is not ready to lead: it did not promise"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	c.Want = "n7"
	if _, err := establish.Choose(c); err == nil || !strings.Contains(err.Error(), "n7") {
		t.Errorf("%v: want n7, which was wanted, named", err)
	}
	if _, err := establish.Choose(establish.Contest{Ready: yes}); err == nil {
		t.Error("somebody was chosen from nobody")
	}
}

func TestG10_ChooseWithoutAReadinessTestChoosesNobody(t *testing.T) {
	t.Parallel()
	_, err := establish.Choose(establish.Contest{Selection: *at(5), Standings: []establish.Standing{standing("n1")}})
	wantAs[*establish.NoCandidateError](t, err)
}

// The choice does not depend on the order in which nodes are named, every node
// is accounted for, and no node that qualifies is better than the chosen one.
func TestChooseIsPure(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		flag := rapid.Bool()
		notReady := map[leadership.NodeID]bool{}
		c := establish.Contest{Selection: *at(5)}
		ids := rapid.Permutation(members)
		for _, id := range members {
			s := standing(id)
			s.Node.Zone = rapid.SampledFrom([]string{"z1", "z2"}).Draw(t, "zone")
			s.Node.Ineligible = rapid.IntRange(0, 5).Draw(t, "ineligible") == 0
			s.CanLead = rapid.IntRange(0, 5).Draw(t, "mute") > 0
			s.Position = *rapid.SampledFrom([]*leadership.Position{at(0), at(3), at(5), forked(2)}).Draw(t, "position")
			s.Truncates = flag.Draw(t, "truncates")
			s.Priority = rapid.IntRange(-1, 1).Draw(t, "priority")
			if flag.Draw(t, "sick") {
				s.Degraded = "sick"
			}
			notReady[id] = rapid.IntRange(0, 5).Draw(t, "ready") == 0
			c.Standings = append(c.Standings, s)
		}
		c.Ready = func(id leadership.NodeID) error {
			if notReady[id] {
				return errors.New("not ready")
			}
			return nil
		}
		c.Zone = rapid.SampledFrom([]string{"", "z1", "z2"}).Draw(t, "zone")
		c.Avoid = rapid.SampledFrom([]leadership.NodeID{"", "n1", "n4"}).Draw(t, "avoid")
		c.Want = rapid.SampledFrom([]leadership.NodeID{"", "", "n2"}).Draw(t, "want")
		c.Prefer = ids.Draw(t, "prefer")[:rapid.IntRange(0, 2).Draw(t, "preferred")]

		got, err := establish.Choose(c)
		d := c
		d.Standings = rapid.Permutation(c.Standings).Draw(t, "shuffled")
		again, err2 := establish.Choose(d)
		if !reflect.DeepEqual(got, again) || !reflect.DeepEqual(err, err2) {
			t.Fatalf("%+v, %v\nin another order %+v, %v", got, err, again, err2)
		}

		fits := func(s establish.Standing) bool {
			return s.CanLead && !s.Node.Ineligible && !notReady[s.Node.ID] && (c.Want == "" || c.Want == s.Node.ID) &&
				(s.Truncates || c.Selection.Extends(s.Position))
		}
		asked, fit := 0, 0
		for _, s := range c.Standings {
			if c.Want == "" || c.Want == s.Node.ID {
				asked++
			}
			if fits(s) {
				fit++
			}
		}
		if err != nil {
			var e *establish.NoCandidateError
			if !errors.As(err, &e) || fit > 0 || len(e.Passed) != asked {
				t.Fatalf("%d qualify of %d: %v", fit, asked, err)
			}
			return
		}
		if len(got.Passed) != asked-1 {
			t.Fatalf("%d of %d accounted for: %+v", len(got.Passed), asked-1, got)
		}
		for _, s := range c.Standings {
			if s.Node.ID == got.To {
				if !fits(s) || got.CatchUp != (s.Position.Rank(c.Selection) != leadership.Same) {
					t.Fatalf("%+v of %+v", got, s)
				}
				// Alone with any other that qualifies it wins just the same.
				for _, o := range c.Standings {
					pair := c
					pair.Standings = []establish.Standing{o, s}
					if o.Node.ID == s.Node.ID {
						continue
					}
					if two, err := establish.Choose(pair); err != nil || two.To != got.To {
						t.Fatalf("against %s: %+v, %v, want %s", o.Node.ID, two, err, got.To)
					}
				}
			}
		}
	})
}
