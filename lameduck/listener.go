package lameduck

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// errStopped ends http.Server.Serve: unlike a timeout it is not taken for an
// error that passes.
var errStopped = errors.New("lameduck: the listener was stopped")

// ErrTLSListener is returned by HTTPServer.Run when its listener yields
// *tls.Conn: give it the plain listener, and the http.Server the TLSConfig.
var ErrTLSListener = errors.New("lameduck: the listener must be a plain one, TLS is configured by http.Server.TLSConfig")

// stoppable is a listener that stops by its own accept loop: it takes what the
// kernel has already accepted, and ends only once it finds nothing. Closing it
// at once would reset those connections.
type stoppable struct {
	net.Listener
	conns *connSet

	mu    sync.Mutex // guards what follows; stop and Accept take it
	until time.Time  // zero while serving
	last  bool       // the time is over, what is there is still taken
}

// Accept implements net.Listener.
func (l *stoppable) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			if err = l.failed(err); err != nil {
				return nil, err
			}
			continue
		}
		if _, ok := nc.(*tls.Conn); ok {
			_ = nc.Close()
			return nil, ErrTLSListener
		}
		l.took()
		return l.conns.add(nc), nil
	}
}

// stop makes Accept end after quiet, as soon as it finds nothing, or at until.
func (l *stoppable) stop(quiet time.Duration, until time.Time) {
	l.mu.Lock()
	l.until = until
	ok := l.deadline(quiet)
	l.mu.Unlock()
	if !ok {
		_ = l.Close()
	}
}

// failed returns nil when a listener whose time is over should look once more.
func (l *stoppable) failed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.until.IsZero():
		return err
	case l.last || !errors.Is(err, os.ErrDeadlineExceeded) || !l.deadline(lastLook):
		return errStopped
	}
	l.last = true
	return nil
}

// took makes room for another look after one that found a connection.
func (l *stoppable) took() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last {
		l.deadline(lastLook)
	}
}

// deadline is called with mu held. It reports false when the listener has none
// to set.
func (l *stoppable) deadline(d time.Duration) bool {
	t, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	return ok && t.SetDeadline(earlier(time.Now().Add(d), l.until)) == nil
}

// earlier returns the earlier of two deadlines; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// connSet is every connection of one HTTPServer.Run.
type connSet struct {
	// gone is signalled when a connection has left.
	gone chan struct{}

	mu    sync.Mutex // guards what follows; taken per connection, never per request
	conns map[*trackedConn]struct{}
	quiet time.Duration // above zero once connections are to end

	// ending is what requests know of quiet.
	ending atomic.Bool
}

func newConnSet() *connSet {
	return &connSet{gone: make(chan struct{}, 1), conns: map[*trackedConn]struct{}{}}
}

func (s *connSet) add(nc net.Conn) *trackedConn {
	c := &trackedConn{through: through{nc}, set: s}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	quiet := s.quiet
	s.mu.Unlock()
	if quiet > 0 {
		c.linger(quiet)
	}
	return c
}

func (s *connSet) remove(c *trackedConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	select {
	case s.gone <- struct{}{}:
	default:
	}
}

func (s *connSet) all() []*trackedConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*trackedConn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

func (s *connSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// linger makes every connection without a request end once it was quiet for
// that long, those still to come included.
func (s *connSet) linger(quiet time.Duration) {
	s.ending.Store(true)
	s.mu.Lock()
	s.quiet = quiet
	s.mu.Unlock()
	for _, c := range s.all() {
		c.linger(quiet)
	}
}

// closeAll closes what is left and returns how many of those were in use.
func (s *connSet) closeAll() (cut int) {
	for _, c := range s.all() {
		if !c.waiting() {
			cut++
		}
		_ = c.Conn.Close()
	}
	return cut
}

// changed is the ConnState hook.
func (s *connSet) changed(nc net.Conn, state http.ConnState) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*trackedConn)
	if !ok {
		return
	}
	c.setState(state)
	if state == http.StateClosed {
		s.remove(c)
	}
}

// trackedConn is a connection that is never closed under its reader: when it is
// to end, a read that finds nothing until a deadline ends it, and a read that
// finds bytes wins, so that a request which has reached this host is answered.
type trackedConn struct {
	through
	set       *connSet
	lingering atomic.Bool

	// mu guards what follows and orders SetReadDeadline, which does not block.
	// The server's goroutines for the connection and HTTPServer.Run take it.
	mu    sync.Mutex
	state http.ConnState
	quiet time.Duration
	asked time.Time // the read deadline that net/http wants
	ours  time.Time // the one by which a quiet connection ends
}

// lastLook is how long a read, or an accept, that has run into our deadline
// looks again: a deadline can win over what has arrived.
const lastLook = time.Millisecond

// Read implements net.Conn.
func (c *trackedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.lingering.Load() {
		return n, err
	}
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.expired() {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.extend()
	}
	return n, err
}

// expired reports whether it is by our deadline that a read failed, and makes
// way for the last one.
func (c *trackedConn) expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.ours.IsZero() || c.ours.After(now) || !c.asked.IsZero() && !c.asked.After(now) {
		return false
	}
	return c.Conn.SetReadDeadline(now.Add(lastLook)) == nil
}

func (c *trackedConn) extend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ours.IsZero() {
		c.ours = time.Now().Add(c.quiet)
		_ = c.apply()
	}
}

func (c *trackedConn) linger(quiet time.Duration) {
	c.lingering.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = quiet
	c.restart()
}

func (c *trackedConn) setState(state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
	if c.quiet > 0 {
		c.restart()
	}
}

// restart sets our deadline anew, with mu held.
func (c *trackedConn) restart() {
	c.ours = time.Time{}
	if c.state == http.StateNew || c.state == http.StateIdle {
		c.ours = time.Now().Add(c.quiet)
	}
	_ = c.apply()
}

// apply is called with mu held.
func (c *trackedConn) apply() error { return c.Conn.SetReadDeadline(earlier(c.asked, c.ours)) }

// waiting reports whether no request is being executed on the connection.
func (c *trackedConn) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == http.StateNew || c.state == http.StateIdle
}

// SetReadDeadline implements net.Conn.
func (c *trackedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = t
	return c.apply()
}

// SetDeadline implements net.Conn.
func (c *trackedConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close implements net.Conn. A connection that was hijacked is heard of no more
// by ConnState.
func (c *trackedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	hijacked := c.state == http.StateHijacked
	c.mu.Unlock()
	if hijacked {
		c.set.remove(c)
	}
	return err
}

// through passes on what net/http and proxies look for in a connection.
type through struct{ net.Conn }

// NetConn returns the connection underneath.
func (c through) NetConn() net.Conn { return c.Conn }

// ReadFrom implements io.ReaderFrom, which is how files are sent.
func (c through) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite sends the end of the stream, where the connection can.
func (c through) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn, where the connection does.
func (c through) SyscallConn() (syscall.RawConn, error) {
	if t, ok := c.Conn.(syscall.Conn); ok {
		return t.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
