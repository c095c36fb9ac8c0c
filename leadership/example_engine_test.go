package leadership_test

import (
	"fmt"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// offset is a place in the log of an engine that numbers bytes, and whose log is
// never rewritten below what it accepted under one term.
type offset uint64

func (offset) Kind() string     { return "offset" }
func (o offset) String() string { return strconv.FormatUint(uint64(o), 10) }

func (o offset) Compare(other leadership.Point) leadership.Order {
	p, ok := other.(offset)
	switch {
	case !ok:
		return leadership.Diverged
	case o < p:
		return leadership.Behind
	case o > p:
		return leadership.Ahead
	}
	return leadership.Same
}

// Extends says no when it cannot tell: bytes alone do not show where a term began.
func (o offset) Extends(own leadership.Term, from leadership.Position) bool {
	p, ok := from.Point.(offset)
	return from.IsZero() || ok && own == from.Term && p <= o
}

// Positions in terms of an engine of one's own, and the codec that reads them from
// records and reports.
func ExamplePoint() {
	catalog := &leadership.Catalog{}
	err := catalog.RegisterPoint("offset", func(text string) (leadership.Point, error) {
		n, err := strconv.ParseUint(text, 10, 64)
		return offset(n), err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	behind, err := catalog.ParsePosition("7.c1@offset:4096")
	if err != nil {
		fmt.Println(err)
		return
	}
	ahead, err := catalog.ParsePosition("7.c1@offset:8192")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(behind, "is", behind.Rank(ahead), "and can follow:", ahead.Extends(behind))
	// Output: 7.c1@offset:4096 is behind and can follow: true
}

// oneReplica is an engine that completes with one acknowledgement from any replica,
// whatever the policy says.
type oneReplica struct{}

func (oneReplica) CanEnforce(rs leadership.Ruleset) error {
	rules, err := rs.Compile(nil)
	if err != nil {
		return err
	}
	for leader := range rules.Leaders().All() {
		for m := range rules.Members().Without(leader).All() {
			if !rules.Durable(leader, leadership.SetOf(leader, m)) {
				return fmt.Errorf("it completes with one replica, and %v are not durable by %s",
					rules.Cohort().Names(leadership.SetOf(leader, m)), rs.Policy)
			}
		}
	}
	return nil
}

// What an engine cannot keep at its leader is refused before a change begins: else
// followers would revoke what still completes.
func ExampleEnforcer() {
	nodes := []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}
	for _, p := range []leadership.Policy{leadership.Majority(), leadership.All()} {
		rs, err := leadership.NewRuleset(p, nodes...)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rs.Policy, oneReplica{}.CanEnforce(rs))
	}
	// Output:
	// majority <nil>
	// all it completes with one replica, and [n1 n2] are not durable by all
}
