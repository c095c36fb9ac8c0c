package grpcbuffer_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

func asUnit(o *grpcbuffer.ServerOptions) {
	o.Class = func(string) grpcbuffer.Class { return grpcbuffer.Unit }
}

// scripted is a stream without a connection: what RecvMsg returns is the test's.
type scripted struct {
	grpc.ServerStream
	ctx  context.Context
	recv func() error
}

func (s *scripted) Context() context.Context    { return s.ctx }
func (s *scripted) SetHeader(metadata.MD) error { return nil }
func (s *scripted) SetTrailer(metadata.MD)      {}
func (s *scripted) RecvMsg(any) error           { return s.recv() }

var duplex = &grpc.StreamServerInfo{FullMethod: testpb.TestService_FullDuplexCall_FullMethodName, IsClientStream: true, IsServerStream: true}

// A handler that reads in a goroutine of its own leaves it in RecvMsg when it
// returns: gRPC ends that only afterwards.
func TestAHandlerMayReturnWhileAnotherGoroutineReads(t *testing.T) {
	t.Parallel()
	gate := new(lameduck.Gate)
	front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{Class: func(string) grpcbuffer.Class { return grpcbuffer.Unit }})
	require.NoError(t, err)
	for i := range 20_000 {
		ctx, cancel := context.WithCancel(bg)
		msgs := make(chan error)
		ss := &scripted{ctx: ctx, recv: func() error {
			select {
			case err := <-msgs:
				return err
			case <-ctx.Done():
				return status.FromContextError(ctx.Err()).Err()
			}
		}}
		last := make(chan error, 1)
		sent := make(chan struct{})
		err := front.StreamInterceptor(nil, ss, duplex, func(_ any, ss grpc.ServerStream) error {
			got := make(chan struct{}, 2)
			go func() {
				var err error
				for err == nil {
					if err = ss.RecvMsg(nil); err == nil {
						got <- struct{}{}
					}
				}
				last <- err
			}()
			msgs <- nil
			<-got
			go func() { // the second message comes about when the handler returns
				defer close(sent)
				select {
				case msgs <- nil:
				case <-ctx.Done():
				}
			}()
			for range i % 8 {
				runtime.Gosched()
			}
			return nil
		})
		require.NoError(t, err)
		require.Zero(t, gate.InFlight(), "stream %d has ended", i)
		cancel()
		require.Equal(t, codes.Canceled, status.Code(<-last))
		<-sent
		require.Zero(t, gate.InFlight(), "stream %d has ended", i)
	}
	_, err = gate.Drain(bg, lameduck.Plan{})
	require.NoError(t, err)
}

// What comes after the last message, or after a failed read, is a request of
// the unit too: an upload commits there.
func TestG1_ADrainWaitsForWhatAUnitDoesAfterItsLastRead(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"the end": io.EOF, "an error": status.Error(codes.ResourceExhausted, "too large")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, "n1", &service{}, asUnit)
			n.serve(3)
			h := newStubborn(t)
			call := background(t, func() {
				ss := &scripted{ctx: bg, recv: func() error { return end }}
				err := n.front.StreamInterceptor(nil, ss, duplex, func(_ any, ss grpc.ServerStream) error {
					require.Equal(t, end, ss.RecvMsg(nil))
					_, err := h.call(ss.Context(), nil)
					return err
				})
				require.NoError(t, err)
			})
			within(t, "the commit", h.entered)
			require.Equal(t, lameduck.Counts{Active: 1, Units: 1}, n.gate.InFlight())
			var rep lameduck.Report
			var err error
			drain := background(t, func() { rep, err = n.gate.Drain(bg, lameduck.Plan{All: patience, Until: term(4)}) })
			eventually(t, "draining", func() bool { return n.gate.State().Phase == lameduck.DrainAll })
			select {
			case <-drain:
				require.Fail(t, "the drain ended while the unit commits")
			default:
			}
			h.let()
			within(t, "the call", call)
			within(t, "the drain", drain)
			require.NoError(t, err)
			require.Equal(t, 1, rep.FinishedUnits)
			require.Zero(t, rep.EndedUnits)
		})
	}
}

// The unit was ended while it waited: its handler does not get to see the end
// upon which it would commit.
func TestG1_AUnitThatWasEndedIsNotToldOfTheEndOfItsStream(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	started := make(chan struct{})
	n := newNode(t, "n1", &service{upload: func(ss grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
		_, err := ss.Recv()
		require.NoError(t, err)
		close(started)
		_, err = ss.Recv()
		read <- err
		if errors.Is(err, io.EOF) {
			return ss.SendAndClose(&testpb.StreamingInputCallResponse{}) // committed
		}
		return err
	}}, asUnit)
	n.serve(3)
	ss, err := n.client().StreamingInputCall(bg)
	require.NoError(t, err)
	require.NoError(t, ss.Send(&testpb.StreamingInputCallRequest{}))
	within(t, "the first message", started)
	eventually(t, "the second read", func() bool { return n.gate.InFlight() == lameduck.Counts{Units: 1} })
	rep, err := n.gate.Drain(bg, lameduck.Plan{All: time.Minute, Until: term(4)})
	require.NoError(t, err)
	require.Equal(t, 1, rep.EndedUnits)
	_, err = ss.CloseAndRecv()
	r, ok := grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
	require.Equal(t, term(4), r.Until)
	require.True(t, leadership.NotExecuted(<-read))
}
