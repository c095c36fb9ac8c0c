package grpcbuffer

import (
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

// node is one client.
type node struct {
	cc   *grpc.ClientConn
	at   target
	used int             // calls under way
	term leadership.Term // the highest it was asked for by
	out  bool            // no longer in the pool: closed by the last call
}

func unsent(code codes.Code, err error) error {
	return &callError{err: err, status: status.New(code, err.Error()), outcome: notSent}
}

var errConnClosed = errors.New("grpcbuffer: the Conn is closed")

// acquire returns the client of a leader, to be given back by release.
func (p *pool) acquire(to leadership.Leadership, addr string) (*node, error) {
	at := target{to.Leader, addr}
	p.mu.Lock()
	n, old := p.take(at, to.Term)
	closed := p.closed
	p.mu.Unlock()
	closeAll(old)
	switch {
	case closed:
		return nil, unsent(codes.Canceled, errConnClosed)
	case n != nil:
		return n, nil
	}
	cc, err := p.dial(to, addr)
	if err == nil && cc == nil {
		err = errors.New("grpcbuffer: dial returned no client")
	}
	if err != nil {
		return nil, unsent(codes.Unavailable, err)
	}
	p.mu.Lock()
	n, _ = p.take(at, to.Term)
	if n == nil && !p.closed {
		if p.nodes == nil {
			p.nodes = map[target]*node{}
		}
		n = &node{cc: cc, at: at, used: 1, term: to.Term}
		p.nodes[at] = n
		cc = nil
	}
	p.mu.Unlock()
	if cc != nil { // somebody was faster, or Close was
		_ = cc.Close()
	}
	if n == nil {
		return nil, unsent(codes.Canceled, errConnClosed)
	}
	return n, nil
}

// take returns the client of at, nil when there is none, and the clients that a
// newer term leaves unused. It is called with mu held.
func (p *pool) take(at target, term leadership.Term) (n *node, old []*node) {
	if n = p.nodes[at]; n != nil {
		n.used++
		n.term = leadership.MaxTerm(n.term, term)
	}
	if p.top.Less(term) {
		p.top = term
		for _, o := range p.nodes {
			if o.used == 0 && o.term.Less(term) {
				delete(p.nodes, o.at)
				old = append(old, o)
			}
		}
	}
	return n, old
}

func (p *pool) release(n *node) {
	p.mu.Lock()
	n.used--
	last := n.used == 0 && !n.out && n.term.Less(p.top)
	if last {
		delete(p.nodes, n.at)
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
	nodes := p.nodes
	p.nodes = nil
	for _, n := range nodes {
		n.out = true
	}
	p.mu.Unlock()
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.cc.Close())
	}
	return errors.Join(errs...)
}
