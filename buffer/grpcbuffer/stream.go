package grpcbuffer

import (
	"context"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// NewStream opens a stream to the leader. It is held, and tried again on proof
// as Invoke is, until a server admits it; from then on it lives and ends with
// that server, whoever leads. Its errors are those of Invoke. With the server's
// interceptor it returns once the stream was admitted, which takes a round
// trip; see ConnOptions.LateHeader for servers without it.
//
// An error of RecvMsg may prove, too, that nothing was executed: the server
// refused a stream whose header is late, or ended the unit that the stream is
// (ReasonRestartUnit). The rules of grpc.ClientConn.NewStream about how a
// stream must be ended hold here: its turn ends with it.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.made(ctx); err != nil {
		return nil, err
	}
	if desc == nil {
		return nil, &ArgumentError{"desc", "is nil"}
	}
	req := buffer.Request{Unit: desc.ServerStreams}
	if c.o.Unit != nil {
		req.Unit = c.o.Unit(method)
	}
	late := c.o.LateHeader != nil && c.o.LateHeader(method)
	turn, err := c.lane.Enter(ctx, req)
	if err != nil {
		return nil, held(err)
	}
	handed := false
	defer func() {
		if !handed { // else the stream owns it; after its end this does nothing
			turn.Done(leadership.ErrUnknownOutcome)
		}
	}()
	for {
		s, err := c.open(ctx, &turn, desc, method, late, opts)
		if err == nil {
			handed = true
			s.own(turn)
			return s, nil
		}
		e, judged := err.(*callError)
		if !judged || !e.again(false) {
			turn.Done(err)
			return nil, err
		}
		if err := turn.Retry(ctx, e); err != nil {
			return nil, held(err)
		}
	}
}

// open makes one try.
func (c *Conn) open(ctx context.Context, turn *buffer.Turn, desc *grpc.StreamDesc, method string, late bool, opts []grpc.CallOption) (*clientStream, error) {
	n, err := c.pool.acquire(ctx, turn.To(), turn.Addr())
	if err != nil {
		return nil, err
	}
	s := &clientStream{n: n, late: late, busy: true}
	all := append(slices.Clip(opts), grpc.WaitForReady(false), grpc.Peer(&s.seen.peer), grpc.OnFinish(s.finished))
	await := []string{awaitKey, "1"}
	if late {
		await = nil
	}
	cs, err := n.cc.NewStream(outgoing(ctx, turn, await...), desc, method, all...)
	if err != nil {
		c.pool.release(n)
		return nil, judge(err, n, &s.seen, nil)
	}
	s.ClientStream, s.c, s.seen.stream = cs, c, true
	if late {
		return s, nil
	}
	md, err := cs.Header()
	if err == nil && md == nil {
		// The stream has ended. A server that answered nothing but its status
		// sent no message either, so nothing is decoded.
		err = cs.RecvMsg(new(emptypb.Empty))
	}
	if err != nil && err != io.EOF {
		c.pool.release(n)
		return nil, judge(err, n, &s.seen, cs.Trailer())
	}
	c.learn(turn, md)
	turn.Answered()
	return s, nil
}

// clientStream is an open stream with its turn.
type clientStream struct {
	grpc.ClientStream
	c    *Conn
	n    *node
	late bool
	seen evidence

	// mu guards what follows. It is taken by whoever receives, and by gRPC
	// when the stream ends, which may be at the same time; the turn, which
	// allows one at a time, is used by whoever set busy, without mu.
	mu       sync.Mutex
	busy     bool
	over     bool // the stream has ended
	err      error
	answered bool
	turn     buffer.Turn
}

// own makes turn the stream's and lets go of it for whoever comes next.
func (s *clientStream) own(turn buffer.Turn) {
	s.turn = turn
	s.unlock()
}

// unlock ends the turn if the stream ended meanwhile.
func (s *clientStream) unlock() {
	s.mu.Lock()
	over := s.over
	s.busy = over // nobody comes after the end
	s.mu.Unlock()
	if over {
		s.end()
	}
}

// finished is called by gRPC, once, when the stream has ended, however it did.
func (s *clientStream) finished(err error) {
	s.seen.finished(err)
	s.mu.Lock()
	s.over, s.err = true, err
	mine := !s.busy
	s.busy = true
	s.mu.Unlock()
	if mine {
		s.end()
	}
}

func (s *clientStream) end() {
	err := s.err
	if err != nil {
		err = judge(err, s.n, &s.seen, s.Trailer())
	}
	s.turn.Done(err)
	s.c.pool.release(s.n)
}

// RecvMsg returns the next message, or how the stream ended.
func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case err == io.EOF:
	case err != nil:
		err = judge(err, s.n, &s.seen, s.Trailer())
	case s.late:
		s.firstMessage()
	}
	return err
}

// firstMessage tells the lane that the leader took a stream whose header was
// late.
func (s *clientStream) firstMessage() {
	s.mu.Lock()
	mine := !s.answered && !s.busy
	s.answered = true
	s.busy = s.busy || mine
	s.mu.Unlock()
	if mine {
		if md, _ := s.Header(); md != nil {
			s.c.learn(&s.turn, md)
		}
		s.turn.Answered()
		s.unlock()
	}
}
