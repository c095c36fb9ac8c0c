package lameduck_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/tenure-go/tenure/lameduck"
)

// A worker on a hot path counts in a word of its own, which nobody else writes.
func ExampleGate_Cell() {
	gate := new(lameduck.Gate)
	cell := gate.Cell()
	work := func() error {
		tok, err := cell.Enter(lameduck.Single)
		if err != nil {
			return err
		}
		defer tok.Exit()
		fmt.Println("in flight:", gate.InFlight().Active)
		return nil
	}
	fmt.Println(work())
	_, err := gate.Drain(context.Background(), lameduck.Plan{})
	fmt.Println("drained:", err)
	fmt.Println(work())
	fmt.Println("given back:", cell.Close())
	// Output:
	// in flight: 1
	// <nil>
	// drained: <nil>
	// refused, not executed: draining
	// given back: <nil>
}

// A report names who was still there when the caps ran out: those that came in
// with a name.
func ExampleGate_EnterInfo() {
	gate := new(lameduck.Gate)
	tok, err := gate.EnterInfo(lameduck.Single, lameduck.Info{Label: "nightly report"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tok.Exit()
	for e := range gate.Entries() {
		fmt.Println("runs:", e.Label)
	}
	report, err := gate.Drain(context.Background(), lameduck.Plan{})
	fmt.Println(report.Phase, err)
	for _, s := range report.Survivors {
		fmt.Println("survived:", s.Label)
	}
	// Output:
	// runs: nightly report
	// forced lameduck: forced: 1 requests are still running
	// survived: nightly report
}

// Whether a request is a stream is said by its headers, where the client may be
// believed.
func ExampleClassifyByHeader() {
	gate := new(lameduck.Gate)
	m := lameduck.Middleware{Classify: lameduck.ClassifyByHeader}
	app := m.Wrap(gate, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		in := gate.InFlight()
		fmt.Println("requests:", in.Active, "streams:", in.Streams)
	}))
	get := httptest.NewRequest(http.MethodGet, "/orders", nil)
	app.ServeHTTP(httptest.NewRecorder(), get)
	get.Header.Set("Accept", "text/event-stream")
	app.ServeHTTP(httptest.NewRecorder(), get)
	// Output:
	// requests: 1 streams: 0
	// requests: 0 streams: 1
}
