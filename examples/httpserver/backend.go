package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

const (
	// lineLen is the length of an order in the store.
	lineLen = 48
	// work is how long an order takes, so that there is always one under way.
	work = 2 * time.Millisecond
	// stopBound is how long a backend may take to stop.
	stopBound = 3 * time.Second
)

// store is the file that both backends append orders to: the database of this
// example. Who may append is what the leadership is about.
type store struct{ f *os.File }

func openStore(path string) (*store, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	return &store{f}, err
}

// add appends an order in one write, with the term under which it was taken.
func (s *store) add(id string, t leadership.Term) error {
	_, err := fmt.Fprintf(s.f, "%-15s %-31s\n", id, t)
	return err
}

func (s *store) count() (int64, error) {
	st, err := s.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size() / lineLen, nil
}

// orders answers POST /orders, which adds the order that is named in the body,
// and GET /orders, which counts them. begin opens the bracket in which a write
// completes, and says under which term.
func orders(s *store, version string, begin func() (t leadership.Term, end func(), err error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 15))
		if err != nil || len(b) == 0 || strings.ContainsAny(string(b), " \n") {
			http.Error(w, "bad order", http.StatusBadRequest)
			return
		}
		time.Sleep(work)
		t, end, err := begin()
		if err == nil {
			err = s.add(string(b), t)
			end()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, _ *http.Request) {
		n, err := s.count()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, n)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Version", version)
		mux.ServeHTTP(w, r)
	})
}

// guarded is a backend that takes requests only while it leads: the gate
// outside, which a change of leader drains, then the check of the term that a
// request is meant for, then the orders.
func guarded(r *role, s *store, version string) http.Handler {
	app := orders(s, version, func() (leadership.Term, func(), error) {
		t := r.serving().Term
		c, err := r.acc.Complete(t) // a step-down waits for the end of it
		return t, c.Done, err
	})
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", lameduck.Readyz(r.gate))
	mux.HandleFunc("POST "+controlPath+"{call}", r.control)
	mux.Handle("/", lameduck.Handler(r.gate, httpbuffer.Handler(r.serving, app)))
	return mux
}

// plain is the backend that most programs are: it takes whatever comes until
// http.Server.Shutdown.
func plain(s *store, version string, ready *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.Handle("/", orders(s, version, func() (leadership.Term, func(), error) {
		return leadership.Term{}, func() {}, nil
	}))
	return mux
}

// serveBackend is the process of a backend. It says that it is up by a line on
// stdout, and stops when its standard input ends, as it does when the process
// that started it is gone.
func serveBackend(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var id, addr, dir, file, version, peer string
	var asPlain, create bool
	fs := flag.NewFlagSet("backend", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&id, "id", "", "")
	fs.StringVar(&addr, "addr", "", "")
	fs.StringVar(&peer, "peer", "", "")
	fs.StringVar(&dir, "dir", "", "")
	fs.StringVar(&file, "store", "", "")
	fs.StringVar(&version, "version", "", "")
	fs.BoolVar(&asPlain, "plain", false, "")
	fs.BoolVar(&create, "create", false, "")
	if err := fs.Parse(args); err != nil {
		return exitUsage
	}
	fail := func(err error) int {
		fmt.Fprintln(stderr, "httpserver:", id+":", err)
		return exitBroken
	}
	s, err := openStore(file)
	if err != nil {
		return fail(err)
	}
	defer s.f.Close()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fail(err)
	}
	fmt.Fprintln(stdout, "up") // who connects from here on waits to be accepted
	stop := make(chan struct{})
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, stdin)
		close(stop)
	}()
	if asPlain {
		err = runPlain(ln, s, version, stop)
	} else {
		err = runGuarded(ln, leadership.NodeID(id), dir, create, peer, s, version, stop)
	}
	if err != nil {
		return fail(err)
	}
	return exitOK
}

// runGuarded serves until stop, and then until the gate is drained and every
// connection has ended. By then a planned change has made another one lead.
func runGuarded(ln net.Listener, id leadership.NodeID, dir string, create bool, peer string, s *store, version string, stop <-chan struct{}) error {
	ctx := context.Background()
	r, err := openRole(ctx, id, dir, create)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	client := &http.Client{}
	r.fetch = func(ctx context.Context, from leadership.NodeID) ([]leadership.Marker, error) {
		out, err := (&remote{id: from, addr: peer, client: client}).call(ctx, "markers", order{})
		return out.Markers, err
	}
	srv, err := lameduck.NewHTTPServer(r.gate, &http.Server{Handler: guarded(r, s, version)},
		lameduck.HTTPOptions{Plan: lameduck.Plan{All: stopBound / 2}})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	_, err = srv.Run(ctx, ln, stop)
	return err
}

// runPlain serves until stop, says that it is not ready any more, and calls
// http.Server.Shutdown.
func runPlain(ln net.Listener, s *store, version string, stop <-chan struct{}) error {
	var ready atomic.Bool
	ready.Store(true)
	srv := &http.Server{Handler: plain(s, version, &ready)}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	<-stop
	ready.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), stopBound)
	defer cancel()
	err := srv.Shutdown(ctx)
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
