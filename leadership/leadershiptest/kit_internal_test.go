package leadershiptest

import (
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

// ruleFunc is a policy of one function, to be broken on purpose.
type ruleFunc func(l leadership.Member, have leadership.Set) bool

func (f ruleFunc) Spec() string { return "broken" }

func (f ruleFunc) Compile(*leadership.Cohort, leadership.Set) (leadership.Rule, error) { return f, nil }

func (f ruleFunc) Durable(l leadership.Member, have leadership.Set) bool { return f(l, have) }

// The kit is worth what it catches: each check must object to a policy that
// breaks its rule and to no other of these.
func TestEachCheckObjectsToWhatBreaksItsRule(t *testing.T) {
	t.Parallel()
	fickle := 0
	for _, c := range []struct {
		check string
		p     ruleFunc
		read  ruleFunc // what the Spec is read as
	}{
		{check: "monotone", p: func(l leadership.Member, have leadership.Set) bool {
			return have.Has(l) && (have.Len() == 2 || have.Len() == 4)
		}},
		{check: "self", p: func(l leadership.Member, have leadership.Set) bool {
			return have.Len() >= 2 && (l != 1 || have.Has(0)) // durable for n1 on {n0, n2}
		}},
		{check: "pure", p: func(l leadership.Member, have leadership.Set) bool {
			fickle++
			return have.Has(l) && have.Len() >= 2+fickle%2
		}},
		{
			check: "spec",
			p:     func(l leadership.Member, have leadership.Set) bool { return have.Has(l) && have.Len() >= 3 },
			read:  func(l leadership.Member, have leadership.Set) bool { return have.Has(l) && have.Len() >= 2 },
		},
	} {
		read := c.read
		if read == nil {
			read = c.p
		}
		var cat leadership.Catalog
		if err := cat.RegisterPolicy("broken", func(string) (leadership.Policy, error) { return read, nil }); err != nil {
			t.Fatal(err)
		}
		cohort, err := leadership.NewCohort(Nodes(4)...)
		if err != nil {
			t.Fatal(err)
		}
		s := &subject{policy: c.p, cat: &cat, cohort: cohort, rule: c.p}
		found := false
		for _, k := range checks {
			if k.name == c.check {
				found = true
				if k.check(s) == nil {
					t.Errorf("%s: the check does not object", c.check)
				}
			}
		}
		if !found {
			t.Errorf("no check is called %s", c.check)
		}
	}
}
