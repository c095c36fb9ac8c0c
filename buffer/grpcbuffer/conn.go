package grpcbuffer

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// ConnOptions configures a Conn. The zero value is usable. The functions get
// the method ("/package.Service/Method"), are called for each call,
// concurrently, and must not block.
type ConnOptions struct {
	// Idempotent says that a call of the method may be sent again when it is
	// not known whether it was executed; a Conn then does so after UNAVAILABLE.
	// Messages alone do not tell, so give the idempotency_level of the method's
	// options, or better knowledge. nil means that none is. It is not asked
	// for streams, which are never sent again once they were admitted.
	Idempotent func(method string) bool
	// Unit says that a call is a unit, see buffer.Request. nil means that
	// server-streaming and bidirectional calls are, as the gate of a Server
	// has it by default.
	Unit func(method string) bool
	// Bytes is what the request message of a unary call occupies while it is
	// held. nil means its encoded size if it is a proto.Message, else 0.
	Bytes func(method string, message any) int64
	// LateHeader says of a streaming method that its servers send the header of
	// an admitted stream only when the handler wants to: because they have no
	// Server.StreamInterceptor, or because the handler sets headers. A stream
	// that is refused is then not held: its first RecvMsg returns the refusal,
	// for which leadership.NotExecuted holds. nil means that none is late;
	// NewStream then waits for the header.
	LateHeader func(method string) bool

	_ struct{}
}

// Conn is a grpc.ClientConnInterface that follows a leader: each call takes its
// turn in a lane, goes to the leader known there, and is held while that is
// being changed. Make one with NewConn: calls of the zero Conn return an
// *ArgumentError. It is safe for concurrent use and starts no goroutine. Its
// connections have those of gRPC.
type Conn struct {
	lane *buffer.Lane
	o    ConnOptions
	pool pool
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// Dial makes the client of a leader, as grpc.NewClient does: without waiting
// for a connection. addr is empty when only the leader's name is known. An
// error means that nothing was sent, and the call is tried again with back-off
// until its lane gives it up.
//
// Leave gRPC's own retry policy off (grpc.WithDisableRetry): the lane knows
// more. Transparent retries (gRFC A6), which gRPC makes only of what no server
// has processed, stay on regardless. An interceptor given to the client that
// sends a call twice, or drops call options, makes every failure of unknown
// outcome.
type Dial func(to leadership.Leadership, addr string) (*grpc.ClientConn, error)

// NewConn returns a Conn whose calls wait in lane. It returns an
// *ArgumentError when lane or dial is nil.
func NewConn(lane *buffer.Lane, dial Dial, o ConnOptions) (*Conn, error) {
	switch {
	case lane == nil:
		return nil, &ArgumentError{"lane", "is nil"}
	case dial == nil:
		return nil, &ArgumentError{"dial", "is nil"}
	}
	return &Conn{lane: lane, o: o, pool: pool{dial: dial}}, nil
}

// Close closes all connections. Calls under way fail; what the lane holds is
// the buffer's to end. Later calls fail with CANCELLED, not executed.
func (c *Conn) Close() error { return c.pool.close() }

// Invoke makes a unary call to the leader, and again for each proof that it had
// no effect, as buffer.Lane.Do does: a refusal by the server (RefusalOf), or a
// stream that gRPC could not even create. The options apply to each try, so that
// grpc.OnFinish may be called several times; grpc.WaitForReady is always off, the
// lane does the waiting.
//
// The error has a gRPC status, and matches the error of the buffer (by
// errors.As) when the call could not be held any longer. leadership.NotExecuted
// holds for it when it is proven that the call had no effect; it matches
// leadership.ErrUnknownOutcome when the call was sent, no handler behind a
// Server answered it, and its code is one that gRPC generates by itself for a
// call that may have been executed (https://grpc.io/docs/guides/status-codes/):
// UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, UNKNOWN, INTERNAL,
// RESOURCE_EXHAUSTED.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if err := c.made(ctx); err != nil {
		return err
	}
	req := buffer.Request{Bytes: c.bytes(method, args)}
	req.Unit = c.o.Unit != nil && c.o.Unit(method)
	req.Idempotent = c.o.Idempotent != nil && c.o.Idempotent(method)
	turn, err := c.lane.Enter(ctx, req)
	if err != nil {
		return held(err)
	}
	// For a panic below; after the end of the turn it does nothing.
	defer turn.Done(leadership.ErrUnknownOutcome)
	lost := false // an earlier try may have been executed
	for {
		err := c.invoke(ctx, &turn, method, args, reply, opts)
		if err == nil {
			turn.Done(nil)
			return nil
		}
		e, judged := err.(*callError)
		if !judged || !e.again(req.Idempotent) {
			turn.Done(err)
			return afterLoss(lost, err)
		}
		lost = lost || e.outcome == unknownOutcome
		if err := turn.Retry(ctx, e); err != nil {
			return afterLoss(lost, held(err))
		}
	}
}

// made reports what keeps a call from being made at all.
func (c *Conn) made(ctx context.Context) error {
	switch {
	case c.lane == nil:
		return &ArgumentError{"Conn", "was not made by NewConn"}
	case ctx == nil:
		return &ArgumentError{"ctx", "is nil"}
	}
	return nil
}

func (c *Conn) bytes(method string, m any) int64 {
	if c.o.Bytes != nil {
		return c.o.Bytes(method, m)
	}
	if p, ok := m.(proto.Message); ok {
		return int64(proto.Size(p))
	}
	return 0
}

// invoke makes one try.
func (c *Conn) invoke(ctx context.Context, turn *buffer.Turn, method string, args, reply any, opts []grpc.CallOption) error {
	n, err := c.pool.acquire(ctx, turn.To(), turn.Addr())
	if err != nil {
		return err
	}
	defer c.pool.release(n)
	var seen evidence
	var trailer metadata.MD
	all := append(slices.Clip(opts), grpc.WaitForReady(false), grpc.Peer(&seen.peer), grpc.OnFinish(seen.finished), grpc.Trailer(&trailer))
	err = n.cc.Invoke(outgoing(ctx, turn), method, args, reply, all...)
	c.learn(turn, trailer)
	if err == nil {
		return nil
	}
	return judge(err, n, &seen, trailer)
}

// outgoing is ctx with the term in its metadata.
func outgoing(ctx context.Context, turn *buffer.Turn, more ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, append(more, TermKey, turn.To().Term.String())...)
}

// learn tells the lane of the leadership in an answer.
func (c *Conn) learn(turn *buffer.Turn, md metadata.MD) {
	term, leader := md.Get(TermKey), md.Get(LeaderKey)
	if len(term) == 0 || len(leader) == 0 {
		return
	}
	t, err := leadership.ParseTerm(term[0])
	lead := leadership.Leadership{Leader: leadership.NodeID(leader[0]), Term: t}
	if to := turn.To(); err != nil || lead.Leader.Validate() != nil || !to.Term.Less(t) {
		return // nothing new, or nothing that can be read
	}
	addr := ""
	if lead.Leader == turn.To().Leader {
		addr = turn.Addr()
	}
	c.lane.Learn(lead, addr)
}
