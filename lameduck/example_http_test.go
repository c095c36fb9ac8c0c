package lameduck_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// Requests go through the gate, health checks past it.
func ExampleHandler_refusal() {
	gate := new(lameduck.Gate)
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "paid") })
	mux := http.NewServeMux()
	mux.Handle("/", lameduck.Handler(gate, app))
	mux.Handle("/readyz", lameduck.Readyz(gate))
	mux.Handle("/livez", lameduck.Livez(gate))

	show := func(path string) *http.Response {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, nil))
		fmt.Println(path, rec.Code)
		return rec.Result()
	}
	show("/pay")
	show("/readyz")
	_, err := gate.Drain(context.Background(), lameduck.Plan{Leader: "n2", RetryAfter: 300 * time.Millisecond})
	fmt.Println("drained", err)
	show("/readyz")
	show("/livez")

	resp := show("/pay")
	refusal, proven := lameduck.RefusalOf(resp)
	fmt.Println("proven:", proven, "try", refusal.Leader, "or wait", resp.Header.Get("Retry-After"), "s")
	// Output:
	// /pay 200
	// /readyz 200
	// drained <nil>
	// /readyz 503
	// /livez 200
	// /pay 503
	// proven: true try n2 or wait 1 s
}

// An event stream says goodbye as soon as the gate is announced to drain.
func ExampleDraining_eventStream() {
	gate := new(lameduck.Gate)
	byRoute := lameduck.Middleware{Classify: func(req *http.Request) lameduck.Kind {
		if req.URL.Path == "/events" {
			return lameduck.Stream
		}
		return lameduck.Single
	}}
	server := httptest.NewServer(byRoute.Wrap(gate, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintln(w, "data: hello")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-lameduck.Draining(req.Context()):
			fmt.Fprintln(w, "data: see you elsewhere")
		case <-req.Context().Done():
		}
	})))
	defer server.Close()
	resp, err := http.Get(server.URL + "/events")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Scan()
	fmt.Println(lines.Text())

	report, err := gate.Drain(context.Background(), lameduck.Plan{})
	fmt.Println(report.Phase, err, "without waiting for", report.Before.Streams, "stream")
	lines.Scan()
	fmt.Println(lines.Text())
	// Output:
	// data: hello
	// drained <nil> without waiting for 1 stream
	// data: see you elsewhere
}

// A server ends with its gate: it accepts while the gate drains, and closes
// connections when nothing is under way on them.
func ExampleHTTPServer_Run_restart() {
	gate := new(lameduck.Gate)
	app := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) })
	mux := http.NewServeMux()
	mux.Handle("/", lameduck.Handler(gate, app))
	mux.Handle("/readyz", lameduck.Readyz(gate))
	server, err := lameduck.NewHTTPServer(gate, &http.Server{Handler: mux}, lameduck.HTTPOptions{
		Plan: lameduck.Plan{
			Announce: 20 * time.Millisecond, // as long as balancers take to ask /readyz
			All:      10 * time.Second,
			Cancel:   time.Second,
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	stop := make(chan struct{})
	ended := make(chan lameduck.HTTPReport)
	go func() {
		report, err := server.Run(context.Background(), ln, stop)
		if err != nil {
			fmt.Println(err)
		}
		ended <- report
	}()

	post := func() {
		resp, err := http.Post("http://"+ln.Addr().String(), "text/plain", strings.NewReader("hi"))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		fmt.Println(resp.StatusCode, "last on this connection:", resp.Close)
	}
	post()
	announced := gate.Draining()
	close(stop)
	<-announced
	post()
	report := <-ended
	fmt.Println(report.Phase, "refused", report.Refused, "cut", report.Cut)
	// Output:
	// 200 last on this connection: false
	// 200 last on this connection: true
	// drained refused 0 cut 0
}
