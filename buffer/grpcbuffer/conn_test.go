package grpcbuffer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

func always(string) bool { return true }

// lossy is a unary handler that has executed when its server's connections are
// cut, so that its answer is lost.
func lossy(n *node, s *service) {
	s.unary = func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		n.srv.Stop()
		<-ctx.Done()
		return &testpb.SimpleResponse{}, nil
	}
}

func TestG9_ALostCallIsUnknownAndNotSentAgain(t *testing.T) {
	t.Parallel()
	n1, n2 := newNode(t, "n1", &service{}), newNode(t, "n2", &service{})
	lossy(n1, n1.service)
	n1.serve(1)
	n2.serve(2)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n1.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err))
	r.lane.Observe(n2.routed(2))
	_, err = r.UnaryCall(bg, text("y"))
	require.NoError(t, err)
	require.EqualValues(t, 1, n1.calls.Load())
	require.EqualValues(t, 1, n2.calls.Load(), "the lost call was sent again")
}

func TestG9_ALostCallIsSentAgainWhenItIsIdempotent(t *testing.T) {
	t.Parallel()
	n1, n2 := newNode(t, "n1", &service{}), newNode(t, "n2", &service{})
	lossy(n1, n1.service)
	n1.serve(1)
	n2.serve(2)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{Idempotent: always}, dialInsecure)
	r.lane.Observe(n1.routed(1))
	var err error
	done := background(t, func() { _, err = r.UnaryCall(bg, text("x")) })
	eventually(t, "it was lost and backs off", func() bool { return r.lane.Snapshot().Counters.Retried > 0 })
	r.lane.Observe(n2.routed(2))
	within(t, "the call", done)
	require.NoError(t, err)
	require.EqualValues(t, 1, n2.calls.Load())
}

// A later try that provably was not sent says nothing about the first one.
func TestG9_ProofAboutALaterTryDoesNotCoverALostOne(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*router, context.CancelFunc){
		"the connection is closed": func(r *router, _ context.CancelFunc) { _ = r.conn.Close() },
		"the context ends":         func(_ *router, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, "n1", &service{})
			lossy(n, n.service)
			n.serve(1)
			r := newRouter(t, buffer.Config{MaxAge: patience}, grpcbuffer.ConnOptions{Idempotent: always}, dialInsecure)
			r.lane.Observe(n.routed(1))
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			var err error
			done := background(t, func() { _, err = r.UnaryCall(ctx, text("x")) })
			eventually(t, "it is tried again", func() bool { return r.lane.Snapshot().Counters.Retried > 1 })
			end(r, cancel)
			within(t, "the call", done)
			require.Equal(t, codes.Canceled, status.Code(err), err)
			require.False(t, leadership.NotExecuted(err))
			require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
		})
	}
}

// The server is not ours and says no more than UNAVAILABLE.
func TestG9_ABareUnavailableProvesNothing(t *testing.T) {
	t.Parallel()
	svc := &service{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return nil, status.Error(codes.Unavailable, "refused, not executed")
	}}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, svc)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := background(t, func() { _ = srv.Serve(lis) })
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
	l := lead("n1", 1)
	r.lane.Observe(leadership.Record{Version: 1, Active: l, Routed: l, Addr: lis.Addr().String()})
	_, err = r.UnaryCall(bg, text("x"))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.EqualValues(t, 1, svc.calls.Load())
	require.Zero(t, r.lane.Snapshot().Counters.Held)
	srv.Stop()
	within(t, "the server", served)
}

// The same words from a handler behind a gate are its answer.
func TestAnAnswerOfAHandlerIsReturnedAsItIs(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.NotFound, codes.DeadlineExceeded, codes.Canceled} {
		n := newNode(t, "n1", &service{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return nil, status.Error(code, "so it is")
		}})
		n.serve(1)
		r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{Idempotent: always}, dialInsecure)
		r.lane.Observe(n.routed(1))
		_, err := r.UnaryCall(bg, text("x"))
		require.Equal(t, code, status.Code(err))
		require.NotErrorIs(t, err, leadership.ErrUnknownOutcome)
		require.False(t, leadership.NotExecuted(err))
		require.EqualValues(t, 1, n.calls.Load())
	}
}

func TestG9_ACallCutByADrainIsUnknownToItsCaller(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	n := newNode(t, "n1", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}})
	n.serve(1)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n.routed(1))
	var err error
	done := background(t, func() { _, err = r.UnaryCall(bg, text("x")) })
	within(t, "the handler", entered)
	_, derr := n.gate.Drain(bg, lameduck.Plan{Cancel: patience})
	require.NoError(t, derr)
	within(t, "the call", done)
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.EqualValues(t, 1, n.calls.Load())
}

// Nobody listens yet: nothing is sent, and nothing is lost.
func TestACallThatCannotBeSentWaitsForItsServer(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(1)
	var up atomic.Bool
	var dials atomic.Int32
	refusing := func(to leadership.Leadership, addr string) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+addr, insecureCreds, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			dials.Add(1)
			if !up.Load() {
				return nil, errors.New("connection refused")
			}
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}))
	}
	r := newRouter(t, buffer.Config{MaxAge: patience, MaxOutage: patience}, grpcbuffer.ConnOptions{}, refusing)
	r.lane.Observe(n.routed(1))
	var err error
	start := time.Now()
	done := background(t, func() { _, err = r.UnaryCall(bg, text("x")) })
	eventually(t, "several dials", func() bool { return dials.Load() > 3 })
	require.Less(t, time.Since(start), 3*time.Second, "gRPC's own back-off would take six")
	require.Positive(t, r.lane.Snapshot().Counters.Retried)
	require.Equal(t, buffer.Serving, r.lane.Snapshot().State, "a failed dial starts no hold")
	up.Store(true)
	within(t, "the call", done)
	require.NoError(t, err)
	require.EqualValues(t, 1, n.calls.Load())
}

func TestACallThatIsHeldTooLongSaysSo(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(1)
	n.stepDown(2)
	r := newRouter(t, buffer.Config{MaxAge: 50 * time.Millisecond, LaneBytes: 100}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	var age *buffer.AgeError
	require.ErrorAs(t, err, &age)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.True(t, leadership.NotExecuted(err))
	_, proof := grpcbuffer.RefusalOf(err)
	require.False(t, proof, "a handler that returns it would prove something about its own call")

	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err = r.UnaryCall(ctx, text("x"))
	var canceled *buffer.CanceledError
	require.ErrorAs(t, err, &canceled)
	require.Equal(t, codes.Canceled, status.Code(err))
	var full *buffer.OverflowError
	_, err = r.UnaryCall(bg, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 101)}})
	require.ErrorAs(t, err, &full)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Zero(t, n.calls.Load())
}

// Nobody told the lane: the old leader's refusal and the new one's answer do.
func TestTheLaneLearnsFromAnswers(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(7) // and does not check terms
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	require.NoError(t, err)
	l, addr := r.lane.Leader()
	require.Equal(t, lead("n1", 7), l)
	require.Equal(t, n.addr, addr)
}

// The lane is behind: the server, which checks terms, refuses and says so.
func TestACallOfAnOlderTermGoesToTheSameLeaderUnderItsNewOne(t *testing.T) {
	t.Parallel()
	var sent []string
	svc := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		sent = metadata.ValueFromIncomingContext(ctx, grpcbuffer.TermKey)
		return &testpb.SimpleResponse{}, nil
	}}
	n := newNode(t, "n1", svc, func(o *grpcbuffer.ServerOptions) { o.CheckTerm = true })
	n.serve(7)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, func(to leadership.Leadership, _ string) (*grpc.ClientConn, error) {
		return dialInsecure(to, n.addr) // a hint has no address
	})
	r.lane.Observe(n.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	require.NoError(t, err)
	require.Equal(t, []string{"7.c1"}, sent)
	require.EqualValues(t, 1, r.lane.Snapshot().Counters.Refused)
	ss, err := r.FullDuplexCall(bg)
	require.NoError(t, err)
	require.NoError(t, ss.CloseSend())
	_, err = ss.Recv()
	require.ErrorIs(t, err, io.EOF)
}

func TestConnectionsOfOlderTermsAreClosedWhenTheyAreIdle(t *testing.T) {
	t.Parallel()
	h := newStubborn(t)
	n1, n2 := newNode(t, "n1", &service{unary: h.call}), newNode(t, "n2", &service{})
	n1.serve(1)
	n2.serve(2)
	var mu sync.Mutex
	var made []*grpc.ClientConn
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, func(to leadership.Leadership, addr string) (*grpc.ClientConn, error) {
		cc, err := dialInsecure(to, addr)
		mu.Lock()
		defer mu.Unlock()
		made = append(made, cc)
		return cc, err
	})
	r.lane.Observe(n1.routed(1))
	slow := background(t, func() {
		_, err := r.UnaryCall(bg, text("x"))
		require.NoError(t, err)
	})
	within(t, "the handler", h.entered)
	r.lane.Observe(n2.routed(2))
	for range 3 {
		_, err := r.UnaryCall(bg, text("x"))
		require.NoError(t, err)
	}
	require.Len(t, made, 2)
	require.NotEqual(t, connectivity.Shutdown, made[0].GetState(), "a call is under way")
	h.let()
	within(t, "the call", slow)
	require.Equal(t, connectivity.Shutdown, made[0].GetState())
	require.NotEqual(t, connectivity.Shutdown, made[1].GetState())
	r.lane.Observe(n2.routed(3)) // the same leader, a new term
	_, err := r.UnaryCall(bg, text("x"))
	require.NoError(t, err)
	require.Len(t, made, 2, "its connection is kept")
	n1.unary = nil
	r.lane.Observe(n1.routed(4))
	_, err = r.UnaryCall(bg, text("x"))
	require.NoError(t, err)
	require.Len(t, made, 3)
	require.Equal(t, connectivity.Shutdown, made[1].GetState(), "idle when the term passed")
}

func TestACallAfterCloseWasNotExecuted(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(1)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	require.NoError(t, err)
	require.NoError(t, r.conn.Close())
	require.NoError(t, r.conn.Close())
	_, err = r.UnaryCall(bg, text("x"))
	require.Equal(t, codes.Canceled, status.Code(err))
	require.True(t, leadership.NotExecuted(err))
	_, err = r.FullDuplexCall(bg)
	require.True(t, leadership.NotExecuted(err))
	require.EqualValues(t, 1, n.calls.Load())
}

func TestBadConnArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	b, err := buffer.New(buffer.Config{})
	require.NoError(t, err)
	var bad *grpcbuffer.ArgumentError
	_, err = grpcbuffer.NewConn(nil, dialInsecure, grpcbuffer.ConnOptions{})
	require.ErrorAs(t, err, &bad)
	_, err = grpcbuffer.NewConn(b.Lane("k"), nil, grpcbuffer.ConnOptions{})
	require.ErrorAs(t, err, &bad)

	// A dial that returns nothing, and one that fails, are tried again.
	for _, fail := range []error{nil, errors.New("no such host")} {
		r := newRouter(t, buffer.Config{MaxAge: 30 * time.Millisecond}, grpcbuffer.ConnOptions{
			Bytes: func(string, any) int64 { return 1 },
		}, func(leadership.Leadership, string) (*grpc.ClientConn, error) { return nil, fail })
		l := lead("n1", 1)
		r.lane.Observe(leadership.Record{Version: 1, Active: l, Routed: l})
		_, err = r.UnaryCall(bg, text("x"))
		var age *buffer.AgeError
		require.ErrorAs(t, err, &age)
		require.True(t, leadership.NotExecuted(err))
		require.Greater(t, age.Tries, 1)
	}
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{Bytes: func(string, any) int64 { return -1 }}, dialInsecure)
	_, err = r.UnaryCall(bg, text("x"))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.True(t, leadership.NotExecuted(err))
}
