package grpcbuffer

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/leadership"
)

// pool keeps one client per leader and address. Those of older terms are closed
// as soon as no call uses them.
type pool struct {
	dial Dial

	// mu guards all below and the nodes. It is taken for each call by its
	// goroutine; nothing is dialled, closed or called under it.
	mu     sync.Mutex
	nodes  map[target]*node
	top    leadership.Term // the highest asked for
	closed bool
}

type target struct {
	leader leadership.NodeID
	addr   string
}

// node is one client, or one that is being made.
type node struct {
	at   target
	made chan struct{} // closed once cc and err are set
	cc   *grpc.ClientConn
	err  error

	used int             // calls under way
	term leadership.Term // the highest it was asked for by
	out  bool            // no longer in the pool: nobody looks for it
}

func unsent(code codes.Code, err error) error {
	return &callError{err: err, status: status.New(code, err.Error()), outcome: notSent}
}

var (
	errConnClosed = errors.New("grpcbuffer: the Conn is closed")
	errNoClient   = errors.New("grpcbuffer: dial returned no client")
)

// acquire returns the client of a leader, to be given back by release. The
// first call for a leader makes it, others wait for that, or for their context.
func (p *pool) acquire(ctx context.Context, to leadership.Leadership, addr string) (*node, error) {
	n, mine, old := p.take(target{to.Leader, addr}, to.Term)
	closeAll(old)
	if n == nil {
		return nil, unsent(codes.Canceled, errConnClosed)
	}
	if mine {
		p.make(n, to)
	}
	select {
	case <-n.made:
	case <-ctx.Done():
		select {
		case <-n.made: // gRPC deals with an ended context better
		default:
			// Whoever makes n counts in it, so this is not its last release.
			p.release(n)
			return nil, unsent(status.FromContextError(ctx.Err()).Code(), ctx.Err())
		}
	}
	if n.err != nil {
		p.release(n)
		return nil, n.err
	}
	return n, nil
}

// take counts a call in the client of at, which is mine to make when there was
// none, and returns the clients that a newer term leaves unused. It returns nil
// when the pool is closed.
func (p *pool) take(at target, term leadership.Term) (n *node, mine bool, old []*node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, nil
	}
	if n = p.nodes[at]; n == nil {
		if p.nodes == nil {
			p.nodes = map[target]*node{}
		}
		n, mine = &node{at: at, made: make(chan struct{})}, true
		p.nodes[at] = n
	}
	n.used++
	n.term = leadership.MaxTerm(n.term, term)
	if p.top.Less(term) {
		p.top = term
		for _, o := range p.nodes {
			if o.used == 0 && o.term.Less(term) {
				p.remove(o)
				old = append(old, o)
			}
		}
	}
	return n, mine, old
}

// remove is called with mu held.
func (p *pool) remove(n *node) {
	n.out = true
	delete(p.nodes, n.at)
}

// make dials. Whoever waits for n goes on even if dial panics.
func (p *pool) make(n *node, to leadership.Leadership) {
	err := errNoClient
	defer func() {
		p.mu.Lock()
		switch {
		case n.out: // the pool was closed meanwhile
			err = unsent(codes.Canceled, errConnClosed)
		case n.cc == nil:
			err = unsent(codes.Unavailable, err)
			p.remove(n)
		default:
			err = nil
		}
		n.err = err
		cc := n.cc
		p.mu.Unlock()
		if err != nil && cc != nil {
			_ = cc.Close()
		}
		close(n.made)
	}()
	cc, derr := p.dial(to, n.at.addr)
	if derr != nil {
		err = derr
		return
	}
	p.mu.Lock()
	n.cc = cc
	p.mu.Unlock()
}

func (p *pool) release(n *node) {
	p.mu.Lock()
	n.used--
	last := n.used == 0 && !n.out && n.term.Less(p.top)
	if last {
		p.remove(n)
	}
	p.mu.Unlock()
	if last {
		_ = n.cc.Close() // fails only when it is closed
	}
}

func closeAll(nodes []*node) {
	for _, n := range nodes {
		_ = n.cc.Close()
	}
}

func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	var made []*grpc.ClientConn
	for _, n := range p.nodes {
		p.remove(n)
		if n.cc != nil { // else it is closed by whoever makes it
			made = append(made, n.cc)
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, cc := range made {
		errs = append(errs, cc.Close())
	}
	return errors.Join(errs...)
}
