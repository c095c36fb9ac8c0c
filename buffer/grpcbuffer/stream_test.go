package grpcbuffer_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

type tailServer = grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]

func TestG7_AStreamIsHeldUntilALeaderAdmitsIt(t *testing.T) {
	t.Parallel()
	n1, n2 := newNode(t, "n1", &service{}), newNode(t, "n2", &service{})
	n1.serve(1)
	n1.stepDown(2)
	r := newRouter(t, buffer.Config{MaxAge: patience, MaxOutage: patience}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n1.routed(1))
	var ss testpb.TestService_FullDuplexCallClient
	var err error
	open := background(t, func() { ss, err = r.FullDuplexCall(bg) })
	eventually(t, "held", func() bool { return r.lane.Snapshot().Held == 1 })
	n2.serve(2)
	r.lane.Observe(n2.routed(2))
	within(t, "the stream", open)
	require.NoError(t, err)
	require.Zero(t, r.lane.Snapshot().Held, "its slot was free as soon as it was admitted")
	md, err := ss.Header()
	require.NoError(t, err)
	require.Equal(t, []string{"2.c1"}, md.Get(grpcbuffer.TermKey))
	require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = ss.Recv()
	require.NoError(t, err)
	require.NoError(t, ss.CloseSend())
	_, err = ss.Recv()
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, n1.calls.Load())
	require.EqualValues(t, 1, n2.calls.Load())
}

// One at a time is let through; those that are open do not stand in the way.
func TestAnOpenStreamGivesItsPlaceInTheFlushToTheNext(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]func(string) bool{"at the header": nil, "at the first message": always} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, "n1", &service{tail: func(ss tailServer) error {
				_ = ss.Send(&testpb.StreamingOutputCallResponse{})
				<-ss.Context().Done()
				return nil
			}})
			n.serve(1)
			r := newRouter(t, buffer.Config{MaxAge: patience, MaxOutage: patience, ProbeTimeout: patience, Flush: buffer.Flush{Start: 1, Max: 1, Every: time.Hour}},
				grpcbuffer.ConnOptions{LateHeader: late}, dialInsecure)
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			const streams = 5
			opened := make(chan error, streams)
			var ends []<-chan struct{}
			for range streams {
				ends = append(ends, background(t, func() {
					ss, err := r.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
					if err == nil {
						_, err = ss.Recv()
					}
					opened <- err
				}))
			}
			eventually(t, "all are held", func() bool { return r.lane.Snapshot().Held == streams })
			r.lane.Observe(n.routed(1))
			for _, end := range ends {
				within(t, "a stream", end)
				require.NoError(t, <-opened)
			}
			require.EqualValues(t, 1, r.lane.Snapshot().Peak)
		})
	}
}

// A lane that counts knows how many turns there are.
func TestTheTurnOfAStreamEndsWithIt(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]func(string) bool{"early": nil, "late": always} {
		for end, f := range map[string]func(testpb.TestService_FullDuplexCallClient, context.CancelFunc){
			"closed": func(ss testpb.TestService_FullDuplexCallClient, _ context.CancelFunc) {
				_ = ss.CloseSend()
				_, _ = ss.Recv()
			},
			"canceled": func(_ testpb.TestService_FullDuplexCallClient, cancel context.CancelFunc) { cancel() },
		} {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, "n1", &service{})
				n.serve(1)
				r := newRouter(t, buffer.Config{Counted: true}, grpcbuffer.ConnOptions{LateHeader: late}, dialInsecure)
				r.lane.Observe(n.routed(1))
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				ss, err := r.FullDuplexCall(ctx)
				require.NoError(t, err)
				require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{}))
				_, err = ss.Recv()
				require.NoError(t, err)
				hold := n.routed(1)
				hold.Version, hold.Intent = 2, leadership.Intent{Term: term(2), Phase: leadership.Holding, HoldFor: patience}
				r.lane.Observe(hold)
				soon, stop := context.WithTimeout(bg, 20*time.Millisecond)
				defer stop()
				require.ErrorIs(t, r.lane.Quiesced(soon, term(2)), context.DeadlineExceeded, "the stream is open")
				f(ss, cancel)
				long, stop := context.WithTimeout(bg, patience)
				defer stop()
				require.NoError(t, r.lane.Quiesced(long, term(2)))
			})
		}
	}
}

func TestAStreamIsHeldNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{upload: func(grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
		return status.Error(codes.NotFound, "no such place")
	}})
	n.serve(1)
	r := newRouter(t, buffer.Config{Counted: true}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n.routed(1))
	ss, err := r.StreamingInputCall(bg)
	require.NoError(t, err, "it was admitted")
	_, err = ss.CloseAndRecv()
	require.Equal(t, codes.NotFound, status.Code(err))

	n.stepDown(2)
	ctx, cancel := context.WithCancel(bg)
	held := background(t, func() { _, err = r.StreamingInputCall(ctx) })
	eventually(t, "held", func() bool { return r.lane.Snapshot().Held == 1 })
	cancel()
	within(t, "the stream", held)
	require.Equal(t, codes.Canceled, status.Code(err))
	require.True(t, leadership.NotExecuted(err))
	require.EqualValues(t, 1, n.calls.Load())
}

func TestARefusedStreamWithALateHeaderIsNotHeld(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{tail: func(ss tailServer) error {
		if err := ss.SetHeader(metadata.Pairs("mine", "1")); err != nil {
			return err
		}
		return ss.Send(&testpb.StreamingOutputCallResponse{})
	}})
	n.serve(1)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{LateHeader: always}, dialInsecure)
	r.lane.Observe(n.routed(1))
	ss, err := r.StreamingOutputCall(bg, &testpb.StreamingOutputCallRequest{})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.NoError(t, err)
	md, err := ss.Header()
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, md.Get("mine"), "a handler that sets headers")
	_, err = ss.Recv()
	require.ErrorIs(t, err, io.EOF)

	n.stepDown(2)
	ss, err = r.StreamingOutputCall(bg, &testpb.StreamingOutputCallRequest{})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.True(t, leadership.NotExecuted(err), err)
	var refusal *leadership.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, term(2), refusal.Until)
	_, proven := grpcbuffer.RefusalOf(err)
	require.True(t, proven)
	require.Empty(t, status.Convert(err).Details(), "a handler that returns it would prove something about its own call")
	require.Equal(t, buffer.HoldAll, r.lane.Snapshot().State, "the lane was told")
}

func TestG9_AStreamThatWasAdmittedIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	n1, n2 := newNode(t, "n1", &service{}), newNode(t, "n2", &service{})
	n1.serve(1)
	n2.serve(2)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{Idempotent: always}, dialInsecure)
	r.lane.Observe(n1.routed(1))
	ss, err := r.FullDuplexCall(bg)
	require.NoError(t, err)
	require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = ss.Recv()
	require.NoError(t, err)
	r.lane.Observe(n2.routed(2))
	n1.srv.Stop()
	_, err = ss.Recv()
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Zero(t, n2.calls.Load())

	// Nor one whose connection is lost before its header came: the handler
	// may have begun.
	n3 := &node{t: t, id: "n3", service: &service{}}
	n3.srv = grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		n3.calls.Add(1)
		n3.srv.Stop()
		<-ss.Context().Done()
		return nil
	}))
	n3.serveOn(n3.srv)
	r.lane.Observe(n3.routed(3))
	_, err = r.FullDuplexCall(bg)
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.EqualValues(t, 1, n3.calls.Load())
}

func TestAUnitThatADrainEndedIsProvenNotCommitted(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{}, func(o *grpcbuffer.ServerOptions) {
		o.Class = func(string) grpcbuffer.Class { return grpcbuffer.Unit }
	})
	n.serve(1)
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
	r.lane.Observe(n.routed(1))
	ss, err := r.FullDuplexCall(bg)
	require.NoError(t, err)
	require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = ss.Recv()
	require.NoError(t, err)
	_, err = n.gate.Drain(bg, lameduck.Plan{All: patience, Until: term(2)})
	require.NoError(t, err)
	require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = ss.Recv()
	require.True(t, leadership.NotExecuted(err), err)
}

func TestManyStreamsEndWhileTheyReceive(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(1)
	for _, late := range []func(string) bool{nil, always} {
		r := newRouter(t, buffer.Config{Counted: true}, grpcbuffer.ConnOptions{LateHeader: late}, dialInsecure)
		r.lane.Observe(n.routed(1))
		for range 200 {
			ctx, cancel := context.WithCancel(bg)
			ss, err := r.FullDuplexCall(ctx)
			require.NoError(t, err)
			require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{}))
			received := background(t, func() { _, _ = ss.Recv() })
			cancel()
			within(t, "Recv", received)
		}
		hold := n.routed(1)
		hold.Version, hold.Intent = 2, leadership.Intent{Term: term(2), Phase: leadership.Holding, HoldFor: patience}
		r.lane.Observe(hold)
		ctx, cancel := context.WithTimeout(bg, patience)
		defer cancel()
		require.NoError(t, r.lane.Quiesced(ctx, term(2)), "every turn is over")
	}
}
