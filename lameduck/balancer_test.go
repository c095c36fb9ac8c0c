package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// balancer sends requests to whichever of two backends says that it is ready,
// which it asks every so often. It never sends one twice.
type balancer struct {
	client *http.Client

	mu      sync.Mutex
	addr    [2]string
	ready   [2]bool
	changed chan struct{}
	next    int
}

const poll = 2 * time.Millisecond

func (b *balancer) ask(ctx context.Context, i int) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.mu.Lock()
		addr := b.addr[i]
		b.mu.Unlock()
		ready := false
		if resp, err := b.client.Get("http://" + addr + "/readyz"); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			ready = resp.StatusCode == http.StatusOK
		}
		b.mu.Lock()
		if b.ready[i] != ready && b.addr[i] == addr {
			b.ready[i] = ready
			close(b.changed)
			b.changed = make(chan struct{})
		}
		b.mu.Unlock()
	}
}

// await waits until backend i is taken for ready.
func (b *balancer) await(t *testing.T, i int) {
	t.Helper()
	for {
		b.mu.Lock()
		ready, changed := b.ready[i], b.changed
		b.mu.Unlock()
		if ready {
			return
		}
		receive(t, changed, "the balancer has seen no change")
	}
}

func (b *balancer) send() error {
	b.mu.Lock()
	i := b.next % 2
	b.next++
	if !b.ready[i] {
		i = 1 - i
	}
	addr := b.addr[i]
	b.mu.Unlock()
	resp, err := b.client.Post("http://"+addr+"/pay", "text/plain", strings.NewReader("hi"))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if r, proven := lameduck.RefusalOf(resp); proven {
		return r
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return err
}

// backend starts at one address and ends when told.
type backend struct {
	addr string
	end  func() error
}

// tally is what clients see: refusals prove that nothing was executed, failures
// prove nothing.
type tally struct {
	sent, refused, failed int64
	example               error
}

// roll restarts the two backends in turn under load.
func roll(t *testing.T, restarts int, start func() (backend, error)) (seen tally) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b := &balancer{client: &http.Client{Transport: transport}, changed: make(chan struct{})}
	var running [2]backend
	up := func(i int) {
		be, err := start()
		require.NoError(t, err)
		running[i] = be
		b.mu.Lock()
		b.addr[i], b.ready[i] = be.addr, false
		b.mu.Unlock()
	}
	up(0)
	up(1)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		wg.Wait()
		transport.CloseIdleConnections()
		for _, be := range running {
			_ = be.end()
		}
	}()
	for i := range running {
		wg.Go(func() { b.ask(ctx, i) })
		b.await(t, i)
	}
	var n, refused, failed atomic.Int64
	var first atomic.Pointer[error]
	for range 16 {
		wg.Go(func() {
			for ctx.Err() == nil {
				n.Add(1)
				err := b.send()
				var r *leadership.Refusal
				switch {
				case errors.As(err, &r):
					refused.Add(1)
				case err != nil:
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	for r := range restarts {
		i := r % 2
		// Some load between two restarts, on both.
		for base := n.Load(); n.Load() < base+200; {
			_ = b.send()
		}
		require.NoError(t, running[i].end())
		up(i)
		b.await(t, i)
	}
	cancel()
	wg.Wait()
	if p := first.Load(); p != nil {
		seen.example = *p
	}
	seen.sent, seen.refused, seen.failed = n.Load(), refused.Load(), failed.Load()
	return seen
}

func mux(ready, pay http.Handler) *http.ServeMux {
	m := http.NewServeMux()
	m.Handle("/readyz", ready)
	m.Handle("/pay", pay)
	return m
}

// gated starts a backend that ends with its gate.
func gated(announce time.Duration) (backend, error) {
	g := new(lameduck.Gate)
	srv, err := lameduck.NewHTTPServer(g, &http.Server{Handler: mux(lameduck.Readyz(g), lameduck.Handler(g, ok))},
		lameduck.HTTPOptions{Plan: lameduck.Plan{Announce: announce, All: within}})
	if err != nil {
		return backend{}, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return backend{}, err
	}
	stop, out := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := srv.Run(context.Background(), ln, stop)
		out <- err
	}()
	return backend{addr: ln.Addr().String(), end: func() error {
		close(stop)
		return <-out
	}}, nil
}

// A balancer that has not heard of the stop when the announcement is over is
// refused, and may run into a connection that ends: the plan was too short for
// it, which a busy machine can do to any plan. That is tried again with a longer
// one. Without a refusal, no failure is allowed.
func TestRollingRestartsUnderLoadAreSeenByNoClient(t *testing.T) {
	t.Parallel()
	restarts := 12
	if testing.Short() {
		restarts = 4
	}
	for announce := 50 * poll; ; announce *= 4 {
		seen := roll(t, restarts, func() (backend, error) { return gated(announce) })
		t.Logf("announced for %v: %d restarts, %d requests, %d refused, %d failed", announce, restarts, seen.sent, seen.refused, seen.failed)
		if seen.refused == 0 {
			require.Equal(t, int64(0), seen.failed, seen.example)
			break
		}
		require.True(t, announce < 3*time.Second, "refused however long it was announced")
	}

	// The positive control: the same load finds the faults of Shutdown.
	seen := roll(t, restarts, func() (backend, error) {
		srv := &http.Server{Handler: mux(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ok)}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return backend{}, err
		}
		out := make(chan error, 1)
		go func() { out <- srv.Serve(ln) }()
		return backend{addr: ln.Addr().String(), end: func() error {
			err := srv.Shutdown(context.Background())
			<-out // it says that the server was shut down
			return err
		}}, nil
	})
	t.Logf("http.Server.Shutdown: %d restarts, %d requests, %d failed, such as: %v", restarts, seen.sent, seen.failed, seen.example)
	if seen.failed == 0 {
		t.Log("inconclusive: the control has no failures either")
	}
}

// The end of a drain is noticed by the last exit, not by a poll.
func TestTheEndIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	const quiet = time.Millisecond
	late := make([]time.Duration, rounds)
	for i := range late {
		g := newGate(t, lameduck.Options{})
		in, free, left := make(chan struct{}), make(chan struct{}), make(chan time.Time, 1)
		s := serve(t, g, lameduck.Handler(g, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(in)
			<-free
			left <- time.Now()
		})), lameduck.HTTPOptions{Plan: lameduck.Plan{All: within}, Quiet: quiet})
		w := s.dial()
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-in
		s.stop <- struct{}{}
		s.phase(lameduck.DrainAll)
		close(free)
		out := s.ended()
		require.NoError(t, out.err)
		late[i] = out.at.Sub(<-left)
	}
	slices.Sort(late)
	p50, p99 := late[rounds/2], late[rounds*99/100]
	t.Logf("from the end of the last handler to the end of Run, %v of quiet included: p50 %v, p99 %v", quiet, p50, p99)
	require.True(t, p50 < 100*time.Millisecond, "net/http polls at up to 500 ms, the median is 300", p50)
}
