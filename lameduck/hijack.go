package lameduck

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// held is a token that the handler and a hijacked connection may share: the
// last to leave exits it.
type held struct {
	// Context is the request's, with the token to be found in it: one
	// allocation for both. That of a hijacked connection's own token is seen by
	// nobody.
	context.Context
	tok  Token
	refs atomic.Int32
	// told is a copy that is asked for Draining, at any time by anybody. That of
	// a hijacked connection takes the place of its request's.
	told  atomic.Pointer[Token]
	first Token
}

// heldKey is the context key of the request's token.
type heldKey struct{}

func newHeld(ctx context.Context, tok Token) *held {
	h := &held{Context: ctx, tok: tok, first: tok}
	h.refs.Store(1)
	h.told.Store(&h.first)
	return h
}

// Value implements context.Context.
func (h *held) Value(key any) any {
	if key == (heldKey{}) {
		return h
	}
	return h.Context.Value(key)
}

func (h *held) release() {
	if h.refs.Add(-1) == 0 {
		h.tok.Exit()
	}
}

// hijackWriter counts the connection that its handler may take over.
type hijackWriter struct {
	http.ResponseWriter
	gate *Gate
	kind Kind
	info Info
	held *held
}

// Unwrap is for http.ResponseController.
func (w *hijackWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher.
func (w *hijackWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// ReadFrom implements io.ReaderFrom, which is how files are sent.
func (w *hijackWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Hijack implements http.Hijacker. The stream is admitted before the
// connection is touched.
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	share := w.held
	if w.kind == Stream {
		share.refs.Add(1)
	} else {
		tok, err := w.gate.EnterInfo(Stream, w.info)
		if err != nil {
			return nil, nil, err
		}
		share = newHeld(context.Background(), tok)
	}
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		share.release()
		return nil, nil, err
	}
	w.held.told.Store(share.told.Load())
	return &countedConn{through: through{nc}, release: share.release}, rw, nil
}

// canHijack looks for a Hijacker the way http.ResponseController does, so that
// a writer which is none is not made to look like one.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// countedConn is a hijacked connection that counts as a stream until closed.
type countedConn struct {
	through
	once    sync.Once
	release func()
}

// Close closes the connection and takes it off the count.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}
