package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Which log to keep is not a matter of length. n1 led alone and wrote three
// entries that nobody else has; n2 holds what was completed since.
func ExamplePosition_Rank() {
	long := leadership.Position{Term: leadership.Term{Num: 7, Proposer: "c1"}, Point: leadership.LogPoint{Index: 44}}
	newer := leadership.Position{Term: leadership.Term{Num: 8, Proposer: "c1"}, Point: leadership.LogPoint{Index: 42}}
	fmt.Println(long, "is", long.Rank(newer), newer)
	// Output: 7.c1@log:44 is behind 8.c1@log:42
}

// Whether a node can get to a log by appending is another question than which log
// is worth more. The terms of a log, and where each begins, answer it.
func ExampleParseLogPoint() {
	log := func(text string) leadership.Position {
		p, err := leadership.ParseLogPoint(text)
		if err != nil {
			fmt.Println(err)
			return leadership.Position{}
		}
		return leadership.Position{Term: p.Eras[len(p.Eras)-1].Term, Point: p}
	}
	leader := log("42/7.c1:1/8.c1:42") // 41 entries of term 7, then the marker of term 8
	fmt.Println("from 41 entries:", leader.Extends(log("41/7.c1:1")))
	fmt.Println("from 44 entries:", leader.Extends(log("44/7.c1:1"))) // three of them are nobody's
	// Output:
	// from 41 entries: true
	// from 44 entries: false
}
