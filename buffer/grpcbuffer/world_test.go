package grpcbuffer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// patience is how long a test waits for what must happen. It passes by only in
// a test that fails.
const patience = 20 * time.Second

// Whatever a test starts has ended when all tests have.
func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	for left := leftovers(); left != "" && code == 0; left = leftovers() {
		select {
		case <-tick.C:
		case <-deadline:
			fmt.Printf("goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers returns the stacks of all goroutines of gRPC, of this package and of
// its tests, but for the one that asks.
func leftovers() string {
	buf := make([]byte, 4<<20)
	var left bytes.Buffer
	for i, g := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if i > 0 && (bytes.Contains(g, []byte("google.golang.org/grpc")) || bytes.Contains(g, []byte("grpcbuffer"))) {
			left.Write(g)
			left.WriteString("\n\n")
		}
	}
	return left.String()
}

var bg = context.Background()

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }

func lead(node string, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: leadership.NodeID(node), Term: term(n)}
}

func within(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		require.Fail(t, "waited in vain", what)
	}
}

// eventually waits for a state that nothing announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, time.Millisecond, what)
}

// service is a test service whose methods are the test's. A method that is nil
// echoes.
type service struct {
	testpb.UnimplementedTestServiceServer
	unary  func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
	tail   func(grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error
	upload func(grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error
	talk   func(grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error
	calls  atomic.Int64
}

func (s *service) UnaryCall(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.calls.Add(1)
	if s.unary == nil {
		return &testpb.SimpleResponse{Payload: req.GetPayload()}, nil
	}
	return s.unary(ctx, req)
}

func (s *service) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, ss grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	s.calls.Add(1)
	if s.tail == nil {
		return ss.Send(&testpb.StreamingOutputCallResponse{})
	}
	return s.tail(ss)
}

func (s *service) StreamingInputCall(ss grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	s.calls.Add(1)
	if s.upload == nil {
		return ss.SendAndClose(&testpb.StreamingInputCallResponse{})
	}
	return s.upload(ss)
}

func (s *service) FullDuplexCall(ss grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	s.calls.Add(1)
	if s.talk != nil {
		return s.talk(ss)
	}
	for {
		if _, err := ss.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// node is one server behind a gate.
type node struct {
	*service
	t      testing.TB
	id     string
	addr   string
	gate   *lameduck.Gate
	leads  atomic.Pointer[leadership.Leadership]
	front  *grpcbuffer.Server
	srv    *grpc.Server
	health *health.Server
}

type option func(*grpcbuffer.ServerOptions)

// newNode serves on a loopback port until the test ends.
func newNode(t testing.TB, id string, svc *service, opts ...option) *node {
	t.Helper()
	n := &node{service: svc, t: t, id: id, gate: new(lameduck.Gate), health: health.NewServer()}
	n.leads.Store(&leadership.Leadership{})
	o := grpcbuffer.ServerOptions{Health: n.health, Leadership: func() leadership.Leadership { return *n.leads.Load() }}
	for _, f := range opts {
		f(&o)
	}
	var err error
	n.front, err = grpcbuffer.NewServer(n.gate, o)
	require.NoError(t, err)
	n.srv = grpc.NewServer(grpc.UnaryInterceptor(n.front.UnaryInterceptor), grpc.StreamInterceptor(n.front.StreamInterceptor))
	testpb.RegisterTestServiceServer(n.srv, svc)
	healthpb.RegisterHealthServer(n.srv, n.health)
	n.serveOn(n.srv)
	return n
}

// serveOn has srv serve on a new port.
func (n *node) serveOn(srv *grpc.Server) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(n.t, err)
	n.addr = lis.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(lis) })
	n.t.Cleanup(func() {
		srv.Stop()
		wg.Wait()
	})
}

// serve makes the node the leader of term num.
func (n *node) serve(num uint64) {
	l := lead(n.id, num)
	n.leads.Store(&l)
	require.NoError(n.t, n.gate.Serve(l.Term))
}

// stepDown drains the node for the leadership that follows and seals it.
func (n *node) stepDown(num uint64) {
	_, err := n.gate.Drain(bg, lameduck.Plan{All: patience, Until: term(num), Reason: "planned change"})
	require.NoError(n.t, err)
	require.NoError(n.t, n.gate.Seal(term(num)))
}

// dial returns a plain client.
func (n *node) dial() *grpc.ClientConn {
	cc, err := grpc.NewClient(n.addr, insecureCreds)
	require.NoError(n.t, err)
	n.t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func (n *node) client() testpb.TestServiceClient { return testpb.NewTestServiceClient(n.dial()) }

// routed is the record in which n leads at term num.
func (n *node) routed(num uint64) leadership.Record {
	l := lead(n.id, num)
	return leadership.Record{Version: num, Fence: l.Term, Active: l, Routed: l, Addr: n.addr}
}

var insecureCreds = grpc.WithTransportCredentials(insecure.NewCredentials())

func dialInsecure(_ leadership.Leadership, addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, insecureCreds)
}

// router is a client that follows.
type router struct {
	testpb.TestServiceClient
	lane *buffer.Lane
	conn *grpcbuffer.Conn
}

func newRouter(t testing.TB, cfg buffer.Config, o grpcbuffer.ConnOptions, dial grpcbuffer.Dial) *router {
	t.Helper()
	b, err := buffer.New(cfg)
	require.NoError(t, err)
	lane := b.Lane("k")
	conn, err := grpcbuffer.NewConn(lane, dial, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		b.Close()
		_ = conn.Close()
		s := lane.Snapshot()
		require.Zero(t, s.Held)
		require.Zero(t, s.Retrying)
	})
	return &router{testpb.NewTestServiceClient(conn), lane, conn}
}

// background runs f and waits for it at the end of the test.
func background(t *testing.T, f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	t.Cleanup(func() { within(t, "a goroutine of the test", done) })
	return done
}

func text(s string) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(s)}}
}

// stubborn is a unary handler that ignores its context until it is released.
type stubborn struct {
	entered, release chan struct{}
	once             sync.Once
}

func newStubborn(t *testing.T) *stubborn {
	s := &stubborn{entered: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(s.let)
	return s
}

func (s *stubborn) let() { s.once.Do(func() { close(s.release) }) }

func (s *stubborn) call(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	close(s.entered)
	<-s.release
	return &testpb.SimpleResponse{}, nil
}
