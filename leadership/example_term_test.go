package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// An attempt takes a term of its own, above all that were seen. Of two attempts
// that took the same number the name decides, so no two are ever equal.
func ExampleNextTerm() {
	fence, _ := leadership.NewTerm(6, "c1-a")     // from the registry's record
	promised, _ := leadership.ParseTerm("7.c2-k") // from a node that had promised more
	mine, err := leadership.NextTerm("c1-b", fence, promised)
	fmt.Println(mine, err)
	theirs, err := leadership.NextTerm("c2-m", fence, promised) // at the same moment
	fmt.Println(theirs, err)
	fmt.Println("highest:", leadership.MaxTerm(fence, promised, mine, theirs))
	// Output:
	// 8.c1-b <nil>
	// 8.c2-m <nil>
	// highest: 8.c2-m
}

// A term that no attempt may use is an error before it is sent to anybody.
func ExampleNewTerm() {
	_, err := leadership.NewTerm(7, "Coordinator One")
	fmt.Println(err)
	_, err = leadership.NewTerm(1<<63, "c1")
	fmt.Println(err)
	// Output:
	// leadership: bad term "Coordinator One": Proposer must match [a-z0-9-]{1,20}
	// leadership: bad term "9223372036854775808": Num is above MaxTermNum
}

// The text of a term is its only form outside of memory, and is unique.
func ExampleParseTerm() {
	for _, text := range []string{"7.c1", "0", "07.c1"} {
		t, err := leadership.ParseTerm(text)
		fmt.Printf("%q none: %v error: %v\n", t, t.IsZero(), err)
	}
	// Output:
	// "7.c1" none: false error: <nil>
	// "0" none: true error: <nil>
	// "0" none: true error: leadership: bad term "07.c1": NUM is not a canonical decimal number
}
