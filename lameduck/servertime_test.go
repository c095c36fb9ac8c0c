package lameduck_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// pipes is a listener within a bubble. It has no deadline to set.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial() (net.Conn, *bufio.Reader) {
	here, there := net.Pipe()
	p.conns <- there
	return here, bufio.NewReader(here)
}

type timed struct {
	ln    *pipes
	stop  chan struct{}
	force context.CancelFunc
	out   chan served
}

func inBubble(t *testing.T, g *lameduck.Gate, h http.Handler, o lameduck.HTTPOptions) *timed {
	t.Helper()
	srv, err := lameduck.NewHTTPServer(g, &http.Server{Handler: h}, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	s := &timed{ln: newPipes(), stop: make(chan struct{}), force: cancel, out: make(chan served, 1)}
	go func() {
		rep, err := srv.Run(ctx, s.ln, s.stop)
		s.out <- served{rep, err, time.Now()}
	}()
	return s
}

// The bubble fails if a goroutine is left.
func TestG8_ARunEndsWithinItsCapsAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	const (
		setting = 10 * time.Millisecond
		quiet   = setting + time.Millisecond // with the last look
		limit   = time.Second
	)
	plan := lameduck.Plan{Announce: time.Second, All: 2 * time.Second, Cancel: 3 * time.Second}
	stuck := func(_ context.Context, free <-chan struct{}) { <-free }
	heeds := func(ctx context.Context, _ <-chan struct{}) { <-ctx.Done() }
	brief := func(context.Context, <-chan struct{}) { time.Sleep(1500 * time.Millisecond) }
	for _, c := range []struct {
		name   string
		handle func(context.Context, <-chan struct{})
		force  time.Duration // after the stop, 0 for never
		want   time.Duration
		err    bool
	}{
		{"nothing runs", nil, 0, plan.Announce + quiet, false},
		{"a request ends", brief, 0, 1500*time.Millisecond + quiet, false},
		{"a request heeds its context", heeds, 0, plan.Announce + plan.All + quiet, false},
		{"a request heeds nothing", stuck, 0, plan.Announce + plan.All + plan.Cancel + 2*limit, true},
		{"forced, nothing runs", nil, 500 * time.Millisecond, 500 * time.Millisecond, false},
		{"forced, a request heeds its context", heeds, 500 * time.Millisecond, 500 * time.Millisecond, false},
		{"forced, a request heeds nothing", stuck, 500 * time.Millisecond, 500*time.Millisecond + 2*limit, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, lameduck.Options{})
				free := make(chan struct{})
				s := inBubble(t, g, lameduck.Handler(g, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
					c.handle(req.Context(), free)
				})), lameduck.HTTPOptions{Plan: plan, Quiet: setting, Close: limit})
				client, _ := s.ln.dial()
				synctest.Wait()
				if c.handle != nil {
					_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					require.NoError(t, err)
					go func() { _, _ = io.Copy(io.Discard, client) }()
				}
				synctest.Wait()
				began := time.Now()
				close(s.stop)
				if c.force > 0 {
					time.Sleep(c.force)
					s.force()
				}
				out := <-s.out
				require.Equal(t, c.want, out.at.Sub(began))
				var forced *lameduck.ForcedError
				require.Equal(t, c.err, errors.As(out.err, &forced), out.err)
				if !c.err {
					require.NoError(t, out.err)
				}
				close(free)
				_ = client.Close()
				s.force()
			})
		})
	}
}

func TestADeadlineTooShortForThePlanForcesWhenItIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		srv, err := lameduck.NewHTTPServer(g, &http.Server{Handler: lameduck.Handler(g, ok)},
			lameduck.HTTPOptions{Plan: lameduck.Plan{Announce: time.Hour}})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stop := make(chan struct{})
		close(stop)
		began := time.Now()
		rep, err := srv.Run(ctx, newPipes(), stop)
		require.NoError(t, err)
		require.Equal(t, lameduck.Drained, rep.Phase)
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestALateRequestExtendsTheLifeOfItsConnectionOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		s := inBubble(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Quiet: time.Second, Close: time.Minute})
		idle, idleIn := s.ln.dial()
		slow, slowIn := s.ln.dial()
		synctest.Wait()
		began := time.Now()
		close(s.stop)
		synctest.Wait()
		// A head that comes in pieces, each within Quiet of the one before.
		for _, part := range []string{"GET / HT", "TP/1.1\r\n", "Host: x\r\n"} {
			time.Sleep(900 * time.Millisecond)
			_, err := io.WriteString(slow, part)
			require.NoError(t, err)
		}
		_, err := idleIn.ReadByte()
		require.ErrorIs(t, err, io.EOF)
		time.Sleep(900 * time.Millisecond)
		_, err = io.WriteString(slow, "\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(slowIn, nil)
		require.NoError(t, err)
		_, proven := lameduck.RefusalOf(resp)
		require.True(t, proven, resp.Status)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		out := <-s.out
		require.NoError(t, out.err)
		require.Equal(t, 3600*time.Millisecond, out.at.Sub(began))
		_, _ = idle.Close(), slow.Close()
	})
}

func TestHealthChecksDoNotKeepTheServerFromEnding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		s := inBubble(t, g, lameduck.Livez(g), lameduck.HTTPOptions{Quiet: time.Second, Close: time.Minute})
		probe, in := s.ln.dial()
		began := time.Now()
		close(s.stop)
		asked := 0
		for ; ; asked++ {
			time.Sleep(900 * time.Millisecond)
			if _, err := io.WriteString(probe, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				break
			}
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
		}
		out := <-s.out
		require.NoError(t, out.err)
		require.Equal(t, 1, asked)
		require.Equal(t, 900*time.Millisecond, out.at.Sub(began))
		_ = probe.Close()
	})
}

// ask sends a request and returns the answer to it, read in full.
func ask(t *testing.T, c net.Conn, in *bufio.Reader, head string) *http.Response {
	t.Helper()
	_, err := io.WriteString(c, head)
	require.NoError(t, err)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp
}

func TestTheListenerAcceptsUntilTheDrainHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		s := inBubble(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{
			Plan: lameduck.Plan{Announce: time.Minute, All: time.Minute}})
		held := enter(t, g, lameduck.Single)
		close(s.stop)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, lameduck.Announced, g.State().Phase)
		c, in := s.ln.dial()
		resp := ask(t, c, in, post)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.True(t, resp.Close, "responses tell the client to go elsewhere")
		time.Sleep(time.Minute)
		require.Equal(t, lameduck.DrainAll, g.State().Phase)
		c, in = s.ln.dial()
		_, proven := lameduck.RefusalOf(ask(t, c, in, post))
		require.True(t, proven)
		held.Exit()
		require.NoError(t, (<-s.out).err)
	})
}

func TestADrainByAnotherIsWaitedForAndOneThatIsOverTaken(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, lameduck.Options{Name: "role"})
			s := inBubble(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Plan: lameduck.Plan{All: time.Hour}})
			held := enter(t, g, lameduck.Single)
			other := drain(t.Context(), g, lameduck.Plan{All: time.Hour, Cancel: time.Hour})
			close(s.stop)
			synctest.Wait()
			if force {
				s.force()
				require.ErrorIs(t, (<-other).err, lameduck.ErrResumed)
				held.Exit()
				require.NoError(t, (<-s.out).err)
				require.Equal(t, lameduck.Drained, g.State().Phase)
				return
			}
			held.Exit()
			require.NoError(t, (<-other).err)
			out := <-s.out
			require.NoError(t, out.err)
			require.Equal(t, "role", out.rep.Gate)
			require.Equal(t, lameduck.Drained, out.rep.Phase)
		})
	}
}

func TestADrainByAnotherThatOutlastsThePlanIsForced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		s := inBubble(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Plan: lameduck.Plan{All: time.Minute}, Close: time.Second})
		held := enter(t, g, lameduck.Single)
		other := drain(t.Context(), g, lameduck.Plan{All: time.Hour})
		began := time.Now()
		close(s.stop)
		require.ErrorIs(t, (<-other).err, lameduck.ErrResumed)
		out := <-s.out
		var forced *lameduck.ForcedError
		require.ErrorAs(t, out.err, &forced)
		require.True(t, out.at.Sub(began) <= time.Minute+3*time.Second, out.at.Sub(began))
		held.Exit()
	})
}

func TestAStreamThatHeedsNothingIsReportedAsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		free := make(chan struct{})
		s := inBubble(t, g, streams.Wrap(g, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free })),
			lameduck.HTTPOptions{})
		c, _ := s.ln.dial()
		_, err := io.WriteString(c, events)
		require.NoError(t, err)
		synctest.Wait()
		close(s.stop)
		out := <-s.out
		var forced *lameduck.ForcedError
		require.ErrorAs(t, out.err, &forced)
		require.Equal(t, 1, forced.Survivors)
		require.Equal(t, []int{1, 1}, []int{out.rep.Cut, out.rep.Left})
		require.Equal(t, lameduck.Drained, out.rep.Phase, "the gate never waits for streams")
		close(free)
		_ = c.Close()
	})
}
