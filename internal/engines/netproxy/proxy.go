package netproxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Mode is what happens to bytes and connections of a Proxy.
type Mode int

// The modes of a Proxy. The zero value passes everything.
const (
	Pass   Mode = iota // deliver
	Hold               // deliver nothing, lose nothing; connections stay open
	Drop               // deliver nothing, lose everything; connections stay open until they would deliver again
	Refuse             // reset what is open; the port refuses connections
	Reset              // reset what is open; new connections are accepted, then reset
)

func (m Mode) String() string {
	switch m {
	case Pass:
		return "pass"
	case Hold:
		return "hold"
	case Drop:
		return "drop"
	case Refuse:
		return "refuse"
	case Reset:
		return "reset"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// Way is a direction within the connections of a Proxy.
type Way int

// The ways: Forward is from the one who connected to the target.
const (
	Forward Way = iota
	Backward
	ways
)

// Proxy carries connections to one target. Its methods may be called from
// several goroutines at once.
type Proxy struct {
	addr  string
	turn  chan struct{} // one Set or Close at a time; it covers the listener
	ln    net.Listener  // nil while refusing; guarded by turn
	tasks sync.WaitGroup

	mu      sync.Mutex // guards what follows, for field accesses only
	target  string
	mode    [ways]Mode
	delay   time.Duration
	changed chan struct{} // closed and replaced with every change
	links   map[*link]struct{}
	closed  bool
}

// Listen opens a Proxy to target on a loopback port of its own, in mode Pass.
func Listen(target string) (*Proxy, error) {
	p := &Proxy{
		turn: make(chan struct{}, 1), target: target,
		changed: make(chan struct{}), links: map[*link]struct{}{},
	}
	for attempt := 0; ; attempt++ {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		p.addr = fmt.Sprintf("127.0.0.1:%d", port)
		err = p.listen()
		if err == nil {
			return p, nil
		}
		if attempt == 3 {
			return nil, err
		}
	}
}

// listen opens the listener. The caller has the turn, or nobody else has p.
func (p *Proxy) listen() error {
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("netproxy: %w", err)
	}
	p.ln = ln
	p.tasks.Add(1)
	go p.accept(ln)
	return nil
}

// Addr returns the address to connect to instead of the target's.
func (p *Proxy) Addr() string { return p.addr }

// Target changes where connections that come from now on are carried to.
func (p *Proxy) Target(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Delay makes each byte that is read from now on arrive d later, 0 at once. It
// applies to both ways and does not reorder.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = max(0, d)
}

// Set puts both ways into m. It returns when m holds: nothing is delivered
// after Set(Hold) or Set(Drop), connections are reset after Set(Refuse) and
// Set(Reset). Hold and Drop wait up to 1 s for a write that is under way, to a
// receiver who takes nothing, and then reset its connection. An error means that the port could not be opened again after
// Refuse, which then goes on, or that the Proxy is closed.
func (p *Proxy) Set(m Mode) error {
	return p.set(m, Forward, Backward)
}

// SetWay puts one way into m, which must be Pass, Hold or Drop, for the other
// modes know no direction. While one way holds or drops, new connections are
// carried only when both ways pass.
func (p *Proxy) SetWay(w Way, m Mode) error {
	if w != Forward && w != Backward {
		return fmt.Errorf("netproxy: no way %d", int(w))
	}
	if m != Pass && m != Hold && m != Drop {
		return fmt.Errorf("netproxy: mode %v has no direction", m)
	}
	return p.set(m, w)
}

func (p *Proxy) set(m Mode, which ...Way) error {
	if m < Pass || m > Reset {
		return fmt.Errorf("netproxy: no mode %d", int(m))
	}
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.isClosed() {
		return errors.New("netproxy: closed")
	}
	switch {
	case m == Refuse && p.ln != nil:
		_ = p.ln.Close()
		p.ln = nil
	case m != Refuse && p.ln == nil:
		if err := p.listen(); err != nil {
			return err
		}
	}
	p.apply(m, which)
	return nil
}

// apply stores the mode, wakes whoever waits for it, resets the connections
// that it ends and waits for writes that were under way.
func (p *Proxy) apply(m Mode, which []Way) {
	p.mu.Lock()
	for _, w := range which {
		p.mode[w] = m
	}
	if m != Refuse && m != Reset {
		for w, have := range p.mode { // one way alone cannot refuse or reset
			if have == Refuse || have == Reset {
				p.mode[w] = Pass
			}
		}
	}
	var end, rest []*link
	for l := range p.links {
		if m == Refuse || m == Reset || m == Pass && l.lost {
			end = append(end, l)
		} else {
			rest = append(rest, l)
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	for _, l := range end {
		l.reset()
	}
	if m == Hold || m == Drop {
		for _, l := range rest {
			for _, w := range which {
				l.settle(w)
			}
		}
	}
}

// Open returns how many connections the Proxy has.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Close resets all connections, closes the port and waits for every goroutine
// of the Proxy. A second Close does nothing.
func (p *Proxy) Close() error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	p.mu.Lock()
	already := p.closed
	p.closed = true
	p.mu.Unlock()
	if already {
		return nil
	}
	if p.ln != nil {
		_ = p.ln.Close()
		p.ln = nil
	}
	p.apply(Reset, []Way{Forward, Backward})
	p.tasks.Wait()
	return nil
}
