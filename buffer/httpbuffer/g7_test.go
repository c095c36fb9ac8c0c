package httpbuffer_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// backend is a server on a real socket that takes what is meant for the
// leadership it serves, behind a gate.
type backend struct {
	id      leadership.NodeID
	gate    *lameduck.Gate
	serving atomic.Pointer[leadership.Leadership]
	srv     *httptest.Server

	mu   sync.Mutex     // guards done
	done map[string]int // how often each request was executed
}

func newBackend(t *testing.T, id leadership.NodeID) *backend {
	t.Helper()
	g, err := lameduck.New(lameduck.Options{Name: string(id)})
	require.NoError(t, err)
	n := &backend{id: id, gate: g, done: map[string]int{}}
	n.serving.Store(&leadership.Leadership{})
	n.srv = httptest.NewServer(lameduck.Handler(g, httpbuffer.Handler(func() leadership.Leadership { return *n.serving.Load() },
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.done[r.URL.Path+string(b)]++
		}))))
	t.Cleanup(n.srv.Close)
	return n
}

func (n *backend) addr() string { return n.srv.Listener.Addr().String() }

// Planned changes between servers on real sockets, each 1 ms to 20 ms long and up to 20 ms after the
// one before, some of them undone, under a load of POSTs through the proxy:
// every one is answered, and was executed once.
func TestG7_PlannedChangesCostNoRequestOfTheProxy(t *testing.T) {
	t.Parallel()
	const clients, changes = 8, 40
	n1, n2 := newBackend(t, "n1"), newBackend(t, "n2")
	b, err := buffer.New(buffer.Config{})
	require.NoError(t, err)
	defer b.Close()
	lane := b.Lane("k")
	base := &http.Transport{MaxIdleConnsPerHost: clients}
	defer base.CloseIdleConnections()
	p, err := httpbuffer.NewProxy(lane, httpbuffer.ProxyOptions{Options: httpbuffer.Options{Base: base}})
	require.NoError(t, err)
	front := httptest.NewServer(p)
	defer front.Close()

	var version, num uint64
	serve := func(n *backend) {
		num++
		l := leadership.Leadership{Leader: n.id, Term: term(num)}
		require.NoError(t, n.gate.Serve(l.Term))
		n.serving.Store(&l)
		version++
		rec := routed(version, l)
		rec.Addr = n.addr()
		lane.Observe(rec)
	}
	serve(n1)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	sent := make([]int, clients)
	failed := make([]string, clients)
	for c := range clients {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := 0; failed[c] == ""; i++ {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Post(fmt.Sprintf("%s/%d/%d", front.URL, c, i), "", io.MultiReader(strings.NewReader("money")))
				if err != nil {
					failed[c] = err.Error()
					continue
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					failed[c] = fmt.Sprint(resp.Status, " ", string(body))
				}
				sent[c] = i + 1
			}
		})
	}
	from, to := n1, n2
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range changes {
		until := leadership.Term{Num: num + 1, Proposer: "c1"}
		version++
		rec := holding(version, *from.serving.Load(), until.Num)
		rec.Addr = from.addr()
		lane.Observe(rec)
		_, err := from.gate.Drain(ctx, lameduck.Plan{Units: time.Second, All: time.Second, Until: until, Leader: to.id})
		require.NoError(t, err)
		<-time.After(time.Duration(1+rand.IntN(20)) * time.Millisecond)
		if rand.IntN(4) > 0 { // else it is undone: the same leader, a new term
			from.serving.Store(&leadership.Leadership{})
			from, to = to, from
		}
		serve(from)
		<-time.After(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	require.Empty(t, strings.Join(failed, ""))
	total := 0
	for c, n := range sent {
		total += n
		for i := range n {
			id := fmt.Sprintf("/%d/%dmoney", c, i)
			require.Equal(t, 1, n1.done[id]+n2.done[id], id)
		}
	}
	require.Greater(t, total, changes)
	require.Positive(t, lane.Snapshot().Counters.Refused, "some were refused on their way")
	require.Positive(t, lane.Snapshot().Counters.Held)
}

// The two packages know nothing of each other, and mean the same.
func TestTheRefusalsOfGatesAndProxiesAreOfOneForm(t *testing.T) {
	t.Parallel()
	require.Equal(t, lameduck.RefusalHeader, httpbuffer.RefusalHeader)
	b, err := buffer.New(buffer.Config{})
	require.NoError(t, err)
	b.Close()
	p, err := httpbuffer.NewProxy(b.Lane("k"), httpbuffer.ProxyOptions{})
	require.NoError(t, err)
	r, ok := lameduck.RefusalOf(record(p, request(t, "GET", nil)))
	require.True(t, ok)
	require.Equal(t, "the proxy is closed", r.Reason)
}
