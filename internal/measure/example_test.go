package measure_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
)

func ExampleReport_Table() {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	r := measure.Report{
		Changes: []measure.Change{{Name: "planned n1 -> n2", Result: "done", Begin: ms(100), End: ms(160), Leaderless: ms(25)}},
		Ops: []measure.Op{
			{Client: 1, Call: ms(90), Ret: ms(95)},
			{Client: 1, Call: ms(110), Ret: ms(155)},
			{Client: 2, Call: ms(900), Ret: ms(902)},
		},
		End: time.Second, Before: ms(50), After: ms(500),
	}
	table, _, _ := strings.Cut(r.Table(), "\n\n")
	fmt.Println(table)
	// Output:
	// #  change            result  no leader  client gap  p50    p99    max    requests  errors  unknown
	// 1  planned n1 -> n2  done    25ms       845ms       5.0ms  45ms   45ms   2         0       0
	//    no change                                        2.0ms  2.0ms  2.0ms  1         0       0
}
