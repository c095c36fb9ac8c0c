package grpcbuffer_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// An interceptor of the host's sends the call twice. The first is executed and
// lost, the second is refused, or cannot be sent.
func TestG9_AnInterceptorThatSendsTwiceVoidsEveryProof(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]bool{"the second is refused": true, "the second is not sent": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n1, n2 := newNode(t, "n1", &service{}), newNode(t, "n2", &service{})
			lossy(n1, n1.service)
			n1.serve(1)
			if refuses {
				n2.serve(1)
				n2.stepDown(2)
			} else {
				n2.srv.Stop()
			}
			second := n2.dial()
			twice := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if err := invoke(ctx, method, req, reply, cc, opts...); err == nil {
					return nil
				}
				return invoke(ctx, method, req, reply, second, opts...)
			}
			r := newRouter(t, buffer.Config{MaxAge: 100 * time.Millisecond}, grpcbuffer.ConnOptions{}, func(_ leadership.Leadership, addr string) (*grpc.ClientConn, error) {
				return grpc.NewClient(addr, insecureCreds, grpc.WithUnaryInterceptor(twice))
			})
			r.lane.Observe(n1.routed(1))
			_, err := r.UnaryCall(bg, text("x"))
			require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
			require.False(t, leadership.NotExecuted(err))
			require.EqualValues(t, 1, n1.calls.Load())
		})
	}
}

func TestG9_AnInterceptorThatDropsOptionsVoidsEveryProof(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	lossy(n, n.service)
	n.serve(1)
	drop := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, _ ...grpc.CallOption) error {
		return invoke(ctx, method, req, reply, cc)
	}
	r := newRouter(t, buffer.Config{MaxAge: 100 * time.Millisecond}, grpcbuffer.ConnOptions{}, func(_ leadership.Leadership, addr string) (*grpc.ClientConn, error) {
		return grpc.NewClient(addr, insecureCreds, grpc.WithUnaryInterceptor(drop))
	})
	r.lane.Observe(n.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.EqualValues(t, 1, n.calls.Load())
}

// The client's service config retries UNAVAILABLE: the first attempt is executed
// and lost, the second refused. Only the server can know.
func TestG9_ARetryPolicyDoesNotMakeAProofOfALostAttempt(t *testing.T) {
	t.Parallel()
	n1, n2 := newNode(t, "n1", &service{}), newNode(t, "n2", &service{})
	lossy(n1, n1.service)
	n1.serve(1)
	n2.serve(1)
	n2.stepDown(2)
	var dials atomic.Int32
	r := newRouter(t, buffer.Config{MaxAge: 200 * time.Millisecond}, grpcbuffer.ConnOptions{}, func(leadership.Leadership, string) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///both", insecureCreds,
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				addr := n1.addr
				if dials.Add(1) > 1 {
					addr = n2.addr
				}
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			}),
			grpc.WithDefaultServiceConfig(`{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":5,"initialBackoff":"0.01s","maxBackoff":"0.01s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`))
	})
	r.lane.Observe(n1.routed(1))
	_, err := r.UnaryCall(bg, text("x"))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err))
	require.EqualValues(t, 1, n1.calls.Load())
	require.Greater(t, dials.Load(), int32(1), "the policy did not retry: this test tests nothing")
}

func TestAHerdOfCallsMakesOneClient(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(1)
	var dials atomic.Int32
	release := make(chan struct{})
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, func(to leadership.Leadership, addr string) (*grpc.ClientConn, error) {
		dials.Add(1)
		<-release
		return dialInsecure(to, addr)
	})
	r.lane.Observe(n.routed(1))
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() { _, errs[i] = r.UnaryCall(bg, &testpb.SimpleRequest{}) })
	}
	close(release)
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, dials.Load())
}

func TestACloseDuringADialClosesWhatItMade(t *testing.T) {
	t.Parallel()
	dialling, release := make(chan struct{}), make(chan struct{})
	r := newRouter(t, buffer.Config{}, grpcbuffer.ConnOptions{}, func(to leadership.Leadership, _ string) (*grpc.ClientConn, error) {
		close(dialling)
		<-release
		return dialInsecure(to, "127.0.0.1:1")
	})
	l := lead("n1", 1)
	r.lane.Observe(leadership.Record{Version: 1, Active: l, Routed: l, Addr: "127.0.0.1:1"})
	var err error
	done := background(t, func() { _, err = r.UnaryCall(bg, text("x")) })
	within(t, "dial", dialling)
	// Whoever waits for it has a context of its own.
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, werr := r.UnaryCall(ctx, text("y"))
	require.Equal(t, codes.DeadlineExceeded, status.Code(werr))
	require.True(t, leadership.NotExecuted(werr))
	require.NoError(t, r.conn.Close())
	close(release)
	within(t, "the call", done)
	require.Equal(t, codes.Canceled, status.Code(err))
	require.True(t, leadership.NotExecuted(err))
}
