package httpbuffer

import (
	"io"
	"net/http"
	"sync"
)

// recorder lets a body be read by one attempt after the other. What an attempt
// takes from the source is kept, up to a cap, and is what the next attempt
// reads first. Nothing is read from the source before an attempt asks.
//
// Transports read a body in goroutines of their own, which may still be in
// Read when the attempt is over. Such a Read returns nothing to its caller,
// and what it took is kept for the next, which has what is kept already
// without waiting for it.
type recorder struct {
	src   io.ReadCloser
	limit int

	// mu guards all below. It is taken by attempts in the transport's
	// goroutines and by the caller of RoundTrip, never during a Read or Close
	// of src.
	mu sync.Mutex
	// moved is told when a Read of src is over, when an attempt is, and when
	// src is to be closed.
	moved   sync.Cond
	buf     []byte
	beyond  bool  // something was read that is not in buf
	err     error // of src, io.EOF included
	reading bool  // somebody is in src.Read; two never are
	last    *attempt
	ending  bool // src is to be closed once nobody reads it
	closed  bool // and was
	final   bool // no other attempt follows
}

func newRecorder(src io.ReadCloser, limit int) *recorder {
	r := &recorder{src: src, limit: limit}
	r.moved.L = &r.mu
	return r
}

// attempt is the body of one try. Only the last one may read.
type attempt struct {
	r    *recorder
	off  int // guarded by recorder.mu, as over
	over bool
}

// open ends the attempt before and returns a new one, false when what that has
// read cannot be read again.
func (r *recorder) open() (*attempt, bool) {
	if !r.replayable() {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = &attempt{r: r}
	return r.last, true
}

// replayable ends the attempt and reports whether another one can follow.
func (r *recorder) replayable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seal()
	// A Read under way has not said yet how much it takes. What it takes it
	// keeps, unless it can be more than there is room for.
	return !r.beyond && (!r.reading || len(r.buf) < r.limit)
}

// seal is called with mu held.
func (r *recorder) seal() {
	if r.last != nil {
		r.last.over = true
	}
	r.moved.Broadcast()
}

// settle says that the attempt under way is the last. The source is closed
// when that attempt is closed, at once if it was.
func (r *recorder) settle() {
	r.mu.Lock()
	r.final = true
	end := r.last == nil || r.last.over
	r.mu.Unlock()
	if end {
		r.end()
	}
}

// end closes the source, or leaves that to the Read that is under way: closing
// a body of package http waits for its reader.
func (r *recorder) end() {
	r.mu.Lock()
	r.seal()
	r.ending = true
	now := !r.reading && !r.closed
	r.closed = r.closed || now
	r.mu.Unlock()
	if now {
		_ = r.src.Close()
	}
}

// Read implements io.Reader.
func (a *attempt) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r := a.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.reading && a.off == len(r.buf) && !a.over && !r.ending {
		r.moved.Wait()
	}
	switch {
	case a.over || r.ending:
		return 0, http.ErrBodyReadAfterClose
	case a.off < len(r.buf):
		n := copy(p, r.buf[a.off:])
		a.off += n
		return n, nil
	case r.err != nil:
		return 0, r.err
	}
	if room := r.limit - len(r.buf); room > 0 && !r.final {
		p = p[:min(len(p), room)] // so that it can all be kept
	}
	n, err := r.fetch(a, p)
	if a.over {
		return 0, http.ErrBodyReadAfterClose
	}
	a.off = len(r.buf)
	return n, err
}

// fetch reads from src and keeps what it can, for a or, if a is nil, for
// whoever comes. It is called with mu, which it lets go in between. Of what the
// final attempt takes itself nothing is kept: nobody will ask for it again.
func (r *recorder) fetch(a *attempt, p []byte) (int, error) {
	r.reading = true
	r.mu.Unlock()
	n, err := r.src.Read(p)
	r.mu.Lock()
	r.reading = false
	taken := r.final && a != nil && !a.over
	switch {
	case n <= 0:
	case !r.beyond && !taken && len(r.buf)+n <= r.limit:
		r.buf = append(r.buf, p[:n]...)
	default:
		r.beyond = true
	}
	if err != nil {
		r.err = err
	}
	r.moved.Broadcast()
	if r.ending && !r.closed {
		r.closed = true
		r.mu.Unlock()
		_ = r.src.Close()
		r.mu.Lock()
	}
	return n, err
}

// Close implements io.Closer. The source stays open while another attempt may
// follow.
func (a *attempt) Close() error {
	r := a.r
	r.mu.Lock()
	a.over = true
	r.moved.Broadcast()
	end := r.final && r.last == a
	r.mu.Unlock()
	if end {
		r.end()
	}
	return nil
}

// ahead reads into the record, up to its limit, until the source ends or fails
// or the record is halted.
func (r *recorder) ahead() {
	scratch := make([]byte, min(r.limit, 8<<10))
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		for r.reading && !r.ending {
			r.moved.Wait()
		}
		room := r.limit - len(r.buf)
		if r.err != nil || r.beyond || r.ending || room <= 0 {
			return
		}
		_, _ = r.fetch(nil, scratch[:min(room, len(scratch))])
	}
}

// halt lets nobody read from the source any more, and reports whether somebody
// is in the middle of it. The source is not closed.
func (r *recorder) halt() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seal()
	r.ending, r.closed = true, true
	return r.reading
}
