package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Pulse is how a replica's link to its leader does, a hint for failure detectors.
type Pulse struct {
	// Up says that the link is said to be up; Beat is another each time that
	// something arrived.
	Up   bool   `json:"up"`
	Beat string `json:"beat,omitempty"`
	// Silence is how long nothing may arrive although all is well; 0: not known.
	Silence time.Duration `json:"silence,omitempty"`
}

// Local is what an agent serves: the node beside it.
type Local struct {
	// Node needs Status and Promise; an ability that is nil is refused. Enforce is
	// not served: whoever knows the kind of node knows what it keeps.
	Node   reparent.Node
	Doctor func(context.Context) ([]reparent.Finding, error)
	Pulse  func(context.Context) (Pulse, error)
	Setup  func(context.Context) error
	Close  func() error
	// Unset says that there is no record of the node's promises yet, so that it is
	// opened again before the next call.
	Unset bool
}

// ServerConfig describes an agent.
type ServerConfig struct {
	// Cluster and Node are whose agent it is. Calls for another are refused.
	// Required.
	Cluster string
	Node    leadership.NodeID
	// Open opens the node. It connects to nothing. Required.
	Open func() (Local, error)
	// TLS makes it HTTPS; see ServerTLS. Without it Token is required, and Serve
	// takes a listener on a loopback address only.
	TLS *tls.Config
	// Token is what a caller must know besides; "" for nothing.
	Token string
	// Hide takes passwords out of a text that is sent or logged; nil: none are.
	Hide func(string) string
	// Log is told what was done, in one line each, from several goroutines at
	// once; nil: nothing is.
	Log func(string)

	_ struct{}
}

// Server is an agent. It is safe for concurrent use.
type Server struct {
	cfg   ServerConfig
	codec codec
	token [sha256.Size]byte

	mu    sync.Mutex // guards local
	local Local
}

// NewServer opens the node. It returns an error for a configuration that nobody may
// be served with, or what Open returned.
func NewServer(cfg ServerConfig) (*Server, error) {
	switch {
	case cfg.Cluster == "" || cfg.Node == "" || cfg.Open == nil:
		return nil, errors.New("an agent needs a cluster, a node, and a way to open it")
	case cfg.TLS == nil && cfg.Token == "":
		return nil, errors.New("an agent needs TLS, or a token on a loopback address")
	case cfg.TLS != nil && (cfg.TLS.ClientAuth != tls.RequireAndVerifyClientCert || cfg.TLS.ClientCAs == nil):
		return nil, errors.New("an agent that does not check certificates of its callers would obey anybody")
	}
	c, err := newCodec(cfg.Hide)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, codec: c, token: sha256.Sum256([]byte(cfg.Token))}
	if s.local, err = cfg.Open(); err != nil {
		return nil, err
	}
	return s, nil
}

// Serve takes calls until ctx ends, and closes the listener and the node. Calls that
// run by then are waited for, up to stop; what has not ended by then is broken off,
// and Serve returns an error, for what those calls were to do may be half done.
//
// It returns at once for a listener that is not on a loopback address, without TLS.
func (s *Server) Serve(ctx context.Context, ln net.Listener, stop time.Duration) error {
	scheme := "https"
	if s.cfg.TLS == nil {
		scheme = "http"
		if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return errors.Join(fmt.Errorf("plain HTTP is for a loopback address, and %s is none: use TLS", ln.Addr()), ln.Close(), s.Close())
		}
	}
	base, breakOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer breakOff(nil)
	h := &http.Server{
		Handler: s, TLSConfig: s.cfg.TLS, ReadHeaderTimeout: readBound, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return base },
		// One call on a connection: what became of another is no concern of it.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     log.New(logWriter{s}, "", 0),
	}
	served := make(chan error, 1)
	go func() {
		if scheme == "https" {
			served <- h.ServeTLS(ln, "", "")
		} else {
			served <- h.Serve(ln)
		}
	}()
	select {
	case err := <-served:
		breakOff(err)
		return errors.Join(err, h.Close(), s.Close())
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), stop)
	defer cancel()
	err := h.Shutdown(wait)
	if err != nil {
		err = fmt.Errorf("calls that had not ended within %s were broken off", stop)
		breakOff(errors.New("the agent is stopping"))
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokenBound)
		defer cancel()
		_ = h.Shutdown(late) // so that they can answer that they were
		_ = h.Close()
	}
	<-served // that it was closed
	return errors.Join(err, s.Close())
}

const (
	// readBound is how long a caller may take to send a request.
	readBound = 10 * time.Second
	// brokenBound is how long a call that was broken off may take to say so.
	brokenBound = 5 * time.Second
)

// logWriter logs what the HTTP server has to say, such as who had no certificate.
type logWriter struct{ s *Server }

func (w logWriter) Write(b []byte) (int, error) {
	w.s.logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

func (s *Server) logf(format string, args ...any) {
	if s.cfg.Log != nil {
		s.cfg.Log(s.codec.clip(fmt.Sprintf(format, args...)))
	}
}

// Close closes the node; it is for a Server that does not get to Serve, which does so
// itself.
func (s *Server) Close() error {
	s.mu.Lock()
	l := s.local
	s.mu.Unlock()
	if l.Close == nil {
		return nil
	}
	return l.Close()
}

// node is the node, opened again while it had no record.
func (s *Server) node() (Local, error) {
	s.mu.Lock()
	old := s.local
	s.mu.Unlock()
	if !old.Unset {
		return old, nil
	}
	fresh, err := s.cfg.Open()
	if err != nil {
		return Local{}, err
	}
	s.mu.Lock()
	spare := fresh
	if s.local.Unset {
		spare, s.local = s.local, fresh
	}
	now := s.local
	s.mu.Unlock()
	if spare.Close != nil {
		err = spare.Close()
	}
	return now, err
}

// ServeHTTP takes one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := s.serve(w, r)
	b, err := json.Marshal(out)
	if err == nil && len(b) > maxReply {
		err = errTooLarge
	}
	if err != nil {
		out = reply{header: out.header, Err: s.codec.encode(fmt.Errorf("the answer cannot be sent: %w", err))}
		b, _ = json.Marshal(out) // of what is known to be fine
	}
	w.Header().Set("Content-Type", "application/json")
	if out.Err != nil && out.Err.Code == codeAgentRefused {
		w.WriteHeader(http.StatusForbidden)
	}
	_, _ = w.Write(b) // the caller finds out
}

// serve checks that the call is for this agent, and makes it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) reply {
	refuse := func(format string, args ...any) reply {
		err := &RefusedError{Node: s.cfg.Node, Reason: fmt.Sprintf(format, args...)}
		s.logf("%s %s: %v", r.RemoteAddr, r.URL.Path, err)
		return reply{header: header{Version: version}, Err: s.codec.encode(err)}
	}
	if s.cfg.Token != "" {
		got := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		if subtle.ConstantTimeCompare(got[:], s.token[:]) != 1 {
			return refuse("the token is missing or wrong")
		}
	}
	// A deadline that stayed would end the context of the call as well.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(readBound))
	b, err := readAll(r.Body, maxRequest)
	_ = c.SetReadDeadline(time.Time{})
	if err != nil {
		return refuse("the request cannot be read: %v", err)
	}
	var in request
	if err := json.Unmarshal(b, &in.header); err == nil && in.Version != version {
		return refuse("the call is of version %d and the agent of %d: use the same release for both", in.Version, version)
	}
	if err := unmarshal(b, &in); err != nil {
		return refuse("the request cannot be read: %v", err)
	}
	call := strings.TrimPrefix(r.URL.Path, pathCalls)
	switch {
	case r.Method != http.MethodPost || in.Call != call:
		return refuse("it is no call: %s %s", r.Method, r.URL.Path)
	case in.Cluster != s.cfg.Cluster || in.Node != s.cfg.Node:
		return refuse("the call is for %s of %s, and this is the agent of %s of %s", in.Node, in.Cluster, s.cfg.Node, s.cfg.Cluster)
	case in.Within < 0 || in.For < 0:
		return refuse("a duration is below zero")
	}
	if err := in.check(s.codec); err != nil {
		return refuse("%v", err)
	}
	ctx := r.Context()
	if in.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, in.Within)
		defer cancel()
	}
	begin := time.Now()
	out, err := s.do(ctx, in)
	out.header, out.Err = in.header, s.codec.encode(err)
	if !in.looks() {
		said := "done"
		if err != nil {
			said = err.Error()
		}
		s.logf("%s %s from %s: %s (%s)", call, in.Term, r.RemoteAddr, said, time.Since(begin).Round(time.Millisecond))
	}
	return out
}
