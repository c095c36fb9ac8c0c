package netproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunk     = 32 << 10
	queued    = 64 // chunks on their way, per direction
	dialBound = 5 * time.Second
)

// link is one connection of a client and, once the mode lets it, the one to the
// target.
type link struct {
	p      *Proxy
	client net.Conn
	done   chan struct{} // closed by the first reset
	once   sync.Once
	// writing has one slot per way, taken for the check of the mode and the
	// write that follows from it.
	writing [ways]chan struct{}

	server net.Conn // guarded by p.mu until the pumps run
	lost   bool     // guarded by p.mu: the stream has a hole
}

func (p *Proxy) accept(ln net.Listener) {
	defer p.tasks.Done()
	for {
		c, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l := &link{p: p, client: c, done: make(chan struct{})}
		for w := range l.writing {
			l.writing[w] = make(chan struct{}, 1)
		}
		if !p.add(l) {
			l.reset()
			continue
		}
		p.tasks.Add(1)
		go l.run()
	}
}

// add enters l unless the mode ends it at once.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.mode[Forward] == Refuse || p.mode[Forward] == Reset {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (l *link) run() {
	defer l.p.tasks.Done()
	defer func() {
		l.reset()
		l.p.mu.Lock()
		delete(l.p.links, l)
		l.p.mu.Unlock()
	}()
	if !l.dial() {
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(Forward, l.client, l.server) })
	pumps.Go(func() { l.pump(Backward, l.server, l.client) })
	pumps.Wait()
}

// dial waits until both ways pass and connects to the target.
func (l *link) dial() bool {
	for {
		l.p.mu.Lock()
		target, changed := l.p.target, l.p.changed
		ready := true
		for _, m := range l.p.mode {
			ready = ready && m == Pass
			l.lost = l.lost || m == Drop
		}
		gone := l.lost && ready
		l.p.mu.Unlock()
		switch {
		case gone:
			return false
		case ready:
			s, err := net.DialTimeout("tcp", target, dialBound)
			if err != nil {
				return false
			}
			l.p.mu.Lock()
			l.server = s
			l.p.mu.Unlock()
			select {
			case <-l.done: // reset while it was dialled, so s was not closed with it
				abort(s)
				return false
			default:
				return true
			}
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

type piece struct {
	data []byte
	at   time.Time // when it may arrive
	end  bool      // the sender closed its side
}

// pump carries one way until the sender ends, the connection breaks or the
// Proxy resets it.
func (l *link) pump(w Way, from, to net.Conn) {
	pieces := make(chan piece, queued)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			buf := make([]byte, chunk)
			n, err := from.Read(buf)
			if n > 0 && !l.send(pieces, piece{data: buf[:n], at: l.p.arrival()}) {
				return
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					l.send(pieces, piece{end: true, at: l.p.arrival()})
				} else {
					l.reset()
				}
				return
			}
		}
	})
	for x := range pieces {
		if !l.deliver(w, to, x) {
			l.reset()
			break
		}
	}
	reading.Wait()
}

func (l *link) send(pieces chan<- piece, x piece) bool {
	select {
	case pieces <- x:
		return true
	case <-l.done:
		return false
	}
}

func (p *Proxy) arrival() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}

// deliver writes x when its time has come and the mode allows it, and reports
// whether the connection is still whole.
func (l *link) deliver(w Way, to net.Conn, x piece) bool {
	if d := time.Until(x.at); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.done:
			return false
		}
	}
	for {
		ok, again, changed := l.attempt(w, to, x)
		if !again {
			return ok
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

// attempt takes the slot of its way, so that Set, which takes it after the
// change of mode, returns only when no write of the mode before is under way.
func (l *link) attempt(w Way, to net.Conn, x piece) (ok, again bool, changed chan struct{}) {
	select {
	case l.writing[w] <- struct{}{}:
	case <-l.done:
		return false, false, nil
	}
	defer func() { <-l.writing[w] }()
	l.p.mu.Lock()
	mode, lost := l.p.mode[w], l.lost
	changed = l.p.changed
	if mode == Drop {
		l.lost = true
	}
	l.p.mu.Unlock()
	switch {
	case mode == Hold:
		return true, true, changed
	case mode == Drop:
		return true, false, nil
	case mode != Pass, lost:
		return false, false, nil
	case x.end:
		if t, is := to.(*net.TCPConn); is {
			return t.CloseWrite() == nil, false, nil
		}
		return true, false, nil
	}
	_, err := to.Write(x.data)
	return err == nil, false, nil
}

// settle waits for a write that began before the mode changed. A receiver that
// does not read would keep it for ever, so the wait is bounded by the reset of
// the connection, which loses nothing that was not on its way already.
func (l *link) settle(w Way) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case l.writing[w] <- struct{}{}:
		<-l.writing[w]
	case <-l.done:
	case <-timer.C:
		l.reset()
	}
}

// reset breaks both connections with a RST.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		l.p.mu.Lock()
		server := l.server
		l.p.mu.Unlock()
		abort(l.client)
		if server != nil {
			abort(server)
		}
	})
}

func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
