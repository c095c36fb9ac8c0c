package lameduck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"time"
)

// HTTPOptions says how an HTTPServer stops. The zero value is usable.
type HTTPOptions struct {
	// Plan is how the gate is drained at a stop. Its Announce should cover the
	// time that balancers take to hear of it. A Plan.Until that is below the
	// term served by then is left out.
	Plan Plan
	// Quiet is how long a connection must have been without a sign of a request
	// before it is ended, after the drain, and how long the listener is kept
	// open then. It should exceed the time that a request takes to reach this
	// host. 0 means 10 ms.
	Quiet time.Duration
	// Close caps the wait for connections to end after the drain. Those left,
	// in use by streams and by what the gate does not count, are then closed,
	// and waited for once more as long. It must exceed Quiet. 0 means 1 s.
	Close time.Duration

	_ struct{}
}

// OptionError is returned by NewHTTPServer, HTTPServer.Run and OnSignal for an
// argument that cannot be used. Nothing was touched.
type OptionError struct{ Field, Reason string }

func (e *OptionError) Error() string { return "lameduck: bad option: " + e.Field + " " + e.Reason }

// NotExecuted reports true.
func (e *OptionError) NotExecuted() bool { return true }

// HTTPServer runs a net/http server whose end is that of a gate: announce while
// it still accepts, drain, and only then stop accepting and end connections.
// NewHTTPServer makes one: Run of the zero HTTPServer returns an *OptionError.
// Its methods are safe for concurrent use, one Run per listener.
//
// What it does about the known faults of http.Server.Shutdown:
//
//   - The listener is closed first, so that clients which have not heard of it
//     yet fail (go.dev/issue/23829): here it accepts until the gate is drained
//     and for Quiet more, and is closed when no connection waits in its queue.
//   - A connection that is idle is closed though a request has just arrived,
//     whose handler may still run (go.dev/issue/65802, 36819): here a
//     connection ends by its own reader, which either has found nothing for
//     Quiet, or hands over what it found, which is then answered, with a
//     refusal that proves it was not executed.
//   - A connection on which nothing was ever sent counts as busy for 5 s
//     (go.dev/issue/22682, 21204, 59037): here it is as idle as any other.
//   - A connection accepted during the shutdown may be missed
//     (go.dev/issue/33313, 34163): here connections are counted where they are
//     accepted.
//   - The end is found by polling at 1 to 500 ms (go.dev/issue/42156): here by
//     the last exit, and the last connection to end.
//   - Hijacked connections are ignored (go.dev/issue/17721) and functions given
//     to RegisterOnShutdown are not waited for (go.dev/issue/32116): here
//     streams are told at the start (Draining), hijacked connections closed at
//     the end, and what is to run afterwards goes after Run.
//   - A server cannot be used again (go.dev/issue/24047), nor a shutdown undone:
//     here Gate.Resume undoes it until the drain has ended, and Run can be
//     called again.
//
// What it cannot do: a client that has not heard of the stop by the end of the
// plan, and whose request reaches this host after Quiet, finds its connection
// closed. HTTP/1 has no word for a connection that is idle; what keeps such
// clients away is an Announce that is long enough.
type HTTPServer struct {
	gate *Gate
	base *http.Server
	opts HTTPOptions
}

// NewHTTPServer returns a server that answers with base.Handler, which the
// caller has wrapped with Handler or Middleware, the health endpoints aside.
// base is a template: its exported fields are copied by each Run, and it must
// not be changed or started itself; functions given to its RegisterOnShutdown
// are never called. With a TLSConfig it serves TLS, with the certificates found
// there.
//
// Returns an *OptionError for a missing gate or base, a negative or
// contradictory duration or a TLSConfig without certificates, and a *PlanError
// for a bad plan.
func NewHTTPServer(g *Gate, base *http.Server, o HTTPOptions) (*HTTPServer, error) {
	if o.Quiet == 0 {
		o.Quiet = 10 * time.Millisecond
	}
	if o.Close == 0 {
		o.Close = time.Second
	}
	switch {
	case g == nil:
		return nil, &OptionError{Field: "gate", Reason: "is nil"}
	case base == nil:
		return nil, &OptionError{Field: "base", Reason: "is nil"}
	case o.Quiet < 0:
		return nil, &OptionError{Field: "Quiet", Reason: "is negative"}
	case o.Close <= o.Quiet:
		return nil, &OptionError{Field: "Close", Reason: fmt.Sprintf("of %v does not exceed Quiet of %v", o.Close, o.Quiet)}
	}
	if t := base.TLSConfig; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		return nil, &OptionError{Field: "base.TLSConfig", Reason: "has no certificates"}
	}
	if err := o.Plan.validate(); err != nil {
		return nil, err
	}
	return &HTTPServer{gate: g, base: base, opts: o}, nil
}

// HTTPReport is the account of one Run.
type HTTPReport struct {
	// Report is that of the gate. When the gate had been drained by others
	// before the stop, it says no more than the gate's name, term and phase.
	Report
	// Cut is the number of connections that were closed in use at the end: by
	// streams, hijacked, or by handlers that the gate does not count.
	Cut int
	// Left is the number of connections whose handlers had still not returned
	// when Run did.
	Left int
}

// Run serves connections from ln, which it closes, until it is told to stop: by
// a value on stop, or stop's closing, and by ln's failure, as planned; by the
// end of ctx, with force. It returns when the gate is drained and every
// connection has ended; see HTTPServer for the order of things.
//
// A planned stop takes at most the sum of the plan's caps and 2*Close. It may
// be undone by Gate.Resume while it drains: Run then serves on, and can be
// stopped again by the next value on stop (if that was closed, by ctx only).
// When another drain of the gate is under way, Run waits for that one within
// the plan's caps instead of beginning its own. When ctx ends, requests are
// cancelled at once and waited for at most Close; then connections are closed.
//
// A handler that never reads its request's body may keep its connection for
// another half second, in which net/http gives the client the time to read the
// answer.
//
// Run returns the error of ln, joined with that of the drain. *ForcedError
// means that requests still run: those survivors, each with a goroutine of
// net/http, are all that outlives Run. ErrTLSListener is returned for a
// listener that yields TLS connections.
func (s *HTTPServer) Run(ctx context.Context, ln net.Listener, stop <-chan struct{}) (HTTPReport, error) {
	if s.gate == nil {
		return HTTPReport{}, &OptionError{Field: "HTTPServer", Reason: "was not made by NewHTTPServer"}
	}
	if ctx == nil {
		return HTTPReport{}, &OptionError{Field: "ctx", Reason: "is nil"}
	}
	if ln == nil {
		return HTTPReport{}, &OptionError{Field: "ln", Reason: "is nil"}
	}
	conns := newConnSet()
	l := &stoppable{Listener: ln, conns: conns}
	srv := s.server(conns)
	served := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			served <- srv.ServeTLS(l, "", "")
			return
		}
		served <- srv.Serve(l)
	}()

	var out HTTPReport
	var broke, draining error
	for asking := true; asking; {
		select {
		case <-ctx.Done():
		case broke = <-served:
			served <- broke // for closing, which takes the last word
		case _, more := <-stop:
			if !more {
				stop = nil
			}
		}
		out.Report, draining = s.drain(ctx)
		asking = errors.Is(draining, ErrResumed) && ctx.Err() == nil && broke == nil
	}
	if errors.Is(draining, ErrResumed) {
		// There is nothing to serve on with.
		out.Report, draining = s.force(ctx)
	}
	c := closing{ctx: ctx, conns: conns, served: served, quiet: s.opts.Quiet, limit: s.opts.Close}
	out.Cut, out.Left, broke = c.run(l)
	if errors.Is(broke, errStopped) {
		broke = nil
	}
	var forced *ForcedError
	if out.Left > 0 && !errors.As(draining, &forced) {
		draining = errors.Join(draining, &ForcedError{Survivors: out.Left})
	}
	if broke != nil {
		return out, errors.Join(broke, draining)
	}
	return out, draining
}

// server returns a server of its own for one Run: a http.Server can be used
// once.
func (s *HTTPServer) server(conns *connSet) *http.Server {
	srv := new(http.Server)
	from, to := reflect.ValueOf(s.base).Elem(), reflect.ValueOf(srv).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	if s.base.TLSConfig != nil {
		srv.TLSConfig = s.base.TLSConfig.Clone()
	}
	next := s.base.Handler
	if next == nil {
		next = http.DefaultServeMux
	}
	// Requests that the gate does not know, such as health checks, must not keep
	// a connection from ending.
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if conns.ending.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req)
	})
	srv.ConnState = func(nc net.Conn, state http.ConnState) {
		conns.changed(nc, state)
		if s.base.ConnState != nil {
			s.base.ConnState(nc, state)
		}
	}
	return srv
}
