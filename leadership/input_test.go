package leadership_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

func TestACatalogReadsWhatItWasTaughtAndNothingTwice(t *testing.T) {
	t.Parallel()
	var c Catalog
	parse := func(s string) (Point, error) {
		if s != "7" {
			return nil, &TextError{What: "offset", Text: s, Reason: "it is not seven"}
		}
		return LogPoint{Index: 7}, nil
	}
	policy := func(string) (Policy, error) { return Majority(), nil }
	if err := c.RegisterPoint("offset", parse); err != nil {
		t.Fatal(err)
	}
	if err := c.RegisterPolicy("racks", policy); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		name, reason string
		err          error
	}{
		{"a kind twice", "taken", c.RegisterPoint("offset", func(string) (Point, error) { return nil, nil })},
		{"our own kind", "taken", c.RegisterPoint(LogPoint{}.Kind(), parse)},
		{"a kind in capitals", "match", c.RegisterPoint("LSN", parse)},
		{"a kind without a name", "match", c.RegisterPoint("", parse)},
		{"a kind that nobody reads", "nil", c.RegisterPoint("lsn", nil)},
		{"a policy twice", "taken", c.RegisterPolicy("racks", policy)},
		{"our own policy", "taken", c.RegisterPolicy("joint", policy)},
		{"a policy with a space", "match", c.RegisterPolicy("two racks", policy)},
		{"a policy that nobody reads", "nil", c.RegisterPolicy("rooms", nil)},
	} {
		if e := wantAs[*TextError](t, bad.err); !strings.Contains(e.Reason, bad.reason) {
			t.Errorf("%s: %v", bad.name, e)
		}
	}

	if p, err := c.ParsePosition("3.c@offset:7"); err != nil || p.Point.String() != "7" {
		t.Errorf("the first registration is in force: got %v, %v", p, err)
	} else if _, ours := p.Point.(LogPoint); !ours {
		t.Errorf("the registered function was not asked: %T", p.Point)
	}
	_, err := c.ParsePosition("3.c@offset:8")
	if e := wantAs[*TextError](t, err); !strings.Contains(e.Error(), "seven") {
		t.Errorf("the reason of the function is lost: %v", e)
	}
	var untaught *Catalog
	if p, err := untaught.ParsePosition("3.c@offset:8"); err != nil || p.String() != "3.c@offset:8" {
		t.Errorf("a kind nobody knows is kept as it is: got %v, %v", p, err)
	}
}

// What a cohort refuses is refused wherever nodes are named.
func TestNodesThatNoCohortTakesAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]Node, MaxMembers)
	for i := range many {
		many[i] = Node{ID: NodeID(fmt.Sprintf("n%d", i))}
	}
	full, err := NewCohort(many...)
	if err != nil || full.All().Len() != MaxMembers {
		t.Fatalf("%d members: %v", MaxMembers, err)
	}
	for _, c := range []struct {
		name  string
		nodes []Node
		is    func(testing.TB, error)
	}{
		{"none", nil, func(t testing.TB, err error) { wantIs(t, err, ErrEmptyCohort) }},
		{"too many", append(many[:MaxMembers:MaxMembers], Node{ID: "one-more"}), func(t testing.TB, err error) {
			if e := wantAs[*CohortSizeError](t, err); e.Size != MaxMembers+1 || !strings.Contains(e.Error(), "65") {
				t.Errorf("got %v", e)
			}
		}},
		{"one twice", []Node{{ID: "a"}, {ID: "b"}, {ID: "a"}}, func(t testing.TB, err error) {
			if e := wantAs[*DuplicateNodeError](t, err); e.Node != "a" || !strings.Contains(e.Error(), "node a") {
				t.Errorf("got %v", e)
			}
		}},
		{"a name that is none", []Node{{ID: "a"}, {ID: "a/b"}}, func(t testing.TB, err error) {
			if e := wantAs[*NodeIDError](t, err); e.ID != "a/b" {
				t.Errorf("got %v", e)
			}
		}},
		{"a weight below zero", []Node{{ID: "a"}, {ID: "b", Weight: -2}}, func(t testing.TB, err error) {
			if e := wantAs[*WeightError](t, err); e.Node != "b" || e.Weight != -2 || !strings.Contains(e.Error(), "node b") {
				t.Errorf("got %v", e)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewCohort(c.nodes...)
			c.is(t, err)
			_, err = NewRuleset(Majority(), c.nodes...)
			c.is(t, err)
			_, err = Ruleset{Version: 1, Policy: "majority", Members: c.nodes}.Compile(nil)
			c.is(t, err)
			cohort, err := NewCohort(Node{ID: "a"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = Ruleset{Version: 1, Policy: "majority", Members: c.nodes}.CompileIn(cohort, nil)
			c.is(t, err)
		})
	}

	var none *Cohort
	if c, err := none.With(Node{ID: "a"}); err != nil || c.Len() != 1 || none.Len() != 0 {
		t.Errorf("a nil cohort with one node: %v, %v", c, err)
	}
	if s := SetOf(1).With(MaxMembers).Without(200); s != SetOf(1) {
		t.Errorf("an index beyond the bit space changed a set: %v", s)
	}
}

func TestPoliciesThatNoNodesSatisfyAreRefusedByTheirReason(t *testing.T) {
	t.Parallel()
	zoned := []Node{{ID: "a", Zone: "x", Weight: 1}, {ID: "b", Zone: "y", Weight: 1}, {ID: "c", Zone: "z", Weight: 1}}
	for _, c := range []struct {
		name, reason string
		policy       Policy
	}{
		{"no zone", "at least 1", Zones(0)},
		{"a weight below zero", "not negative", Weighted(-1)},
		{"the first of two", "at least 1", Joint(Zones(0), Majority())},
		{"the second of two", "not negative", Joint(Majority(), Weighted(-1))},
	} {
		_, err := NewRuleset(c.policy, zoned...)
		if e := wantAs[*PolicyError](t, err); !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%s: %v", c.name, e)
		}
	}
	for _, p := range []Policy{Joint(nil, Majority()), Joint(Majority(), nil), nil} {
		_, err := NewRuleset(p, zoned...)
		wantIs(t, err, ErrNoPolicy)
	}
}

func TestPositionsOfATermAreOrderedByTheirPoints(t *testing.T) {
	t.Parallel()
	tm := term(3, "c")
	none, some := Position{Term: tm}, Position{Term: tm, Point: LogPoint{Index: 1, Eras: []Era{{Term: tm, First: 1}}}}
	for _, c := range []struct {
		p, q Position
		want string
	}{
		{none, none, "same"},
		{none, some, "behind"},
		{some, none, "ahead"},
		{some, some, "same"},
		{Position{Term: term(4, "c")}, some, "ahead"},
		{*at(1, 1, 3), *at(1, 2, 3), "diverged"},
	} {
		if got := c.p.Rank(c.q).String(); got != c.want {
			t.Errorf("%s and %s: %s, want %s", c.p, c.q, got, c.want)
		}
	}
}

func TestLogPointsOfNoLogAreRefused(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"x":             "canonical",
		"07":            "canonical",
		"7/1.c":         "TERM:INDEX",
		"7/1:1":         "term",
		"7/1.c:one":     "canonical",
		"7/1.c:0":       "outside",
		"7/1.c:8":       "outside",
		"7/1.c:2/2.c:2": "rise",
		"7/2.c:1/1.c:2": "rise",
		"7/2.c:1/2.c:2": "rise",
	} {
		_, err := ParseLogPoint(text)
		if e := wantAs[*TextError](t, err); !strings.Contains(e.Reason, reason) {
			t.Errorf("%s: %v, want %s", text, e, reason)
		}
	}
	if p, err := ParseLogPoint("7/1.c:1/2.c:7"); err != nil || p.String() != "7/1.c:1/2.c:7" {
		t.Errorf("got %v, %v", p, err)
	}
}
