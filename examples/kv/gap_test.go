package kv_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// rtt is the round trip between any two of members and coordinators.
const rtt = 20 * time.Millisecond

// wire carries requests to the members in simulated time.
type wire struct {
	mu      sync.Mutex // guards members
	members map[string]http.Handler
}

func (w *wire) member(host string) (http.Handler, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, ok := w.members[host]
	return h, ok
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := travel(r.Context()); err != nil {
		return nil, err
	}
	member, ok := w.member(r.URL.Host)
	if !ok {
		return nil, &net.OpError{Op: "dial", Err: errors.New("no route")}
	}
	rec := httptest.NewRecorder()
	member.ServeHTTP(rec, r)
	if err := travel(r.Context()); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

func travel(ctx context.Context) error {
	t := time.NewTimer(rtt / 2)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bubble is members in a synctest bubble, led by n1, and a guard of them.
type bubble struct {
	nodes map[leadership.NodeID]*kv.Node
	wire  *wire
	guard *reparent.Guard
	reg   *leadership.MemoryRegistry
}

func inBubble(t *testing.T, n int) *bubble {
	t.Helper()
	b := &bubble{nodes: map[leadership.NodeID]*kv.Node{}, wire: &wire{members: map[string]http.Handler{}}, reg: &leadership.MemoryRegistry{}}
	client := &http.Client{Transport: b.wire}
	peers := map[leadership.NodeID]string{}
	for _, id := range ids(n) {
		peers[id] = string(id) + ":80"
	}
	dir := t.TempDir()
	var nodes []leadership.Node
	for _, id := range ids(n) {
		m, err := kv.Open(t.Context(), kv.Config{ID: id, Dir: filepath.Join(dir, string(id)), Create: true, Peers: peers, HTTP: client})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		b.nodes[id], b.wire.members[peers[id]] = m, m.Handler()
		nodes = append(nodes, leadership.Node{ID: id})
	}
	rules, err := leadership.NewRuleset(leadership.Majority(), nodes...)
	require.NoError(t, err)
	b.guard = b.guardOf(t, ids(n)...)
	_, err = b.guard.Run(t.Context(), reparent.Bootstrap(rules, "n1"))
	require.NoError(t, err)
	return b
}

// guardOf is a guard that reaches these members; to it the others are gone.
func (b *bubble) guardOf(t *testing.T, reach ...leadership.NodeID) *reparent.Guard {
	t.Helper()
	return b.guardBy(t, func(*reparent.Node) {}, reach...)
}

// guardBy is guardOf with what edit makes of what they offer.
func (b *bubble) guardBy(t *testing.T, edit func(*reparent.Node), reach ...leadership.NodeID) *reparent.Guard {
	t.Helper()
	client := &http.Client{Transport: b.wire}
	var offered []reparent.Node
	for id := range b.nodes {
		addr := "gone:80"
		if slices.Contains(reach, id) {
			addr = string(id) + ":80"
		}
		r := kv.NewRemote(id, addr, client)
		n := reparent.Node{
			ID: id, Addr: addr, Status: r, Promise: r, StepDown: r, HandOver: r, Retire: r, TakeOver: r, Candidate: r, Follow: r, Truncates: true,
		}
		edit(&n)
		offered = append(offered, n)
	}
	g, err := reparent.New("kv", b.reg, offered, reparent.Config{})
	require.NoError(t, err)
	return g
}

// try makes one write at a member, from beside it, and returns what the client
// was told.
func (b *bubble) try(id leadership.NodeID, key string) error {
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPut, "/kv/"+key, http.NoBody)
	b.nodes[id].Handler().ServeHTTP(rec, req)
	switch {
	case rec.Code == http.StatusNoContent:
		return nil
	case rec.Header().Get(kv.HeaderRefusal) != "":
		return errRefused
	}
	return fmt.Errorf("%d %s", rec.Code, rec.Body)
}

var errRefused = errors.New("refused")

// attempt is a write and what became of it.
type attempt struct {
	at, done time.Time
	err      error // nil, errRefused, or what proves nothing
}

// writes makes a write every rtt/100 at a member until stop is closed.
func (b *bubble) writes(id leadership.NodeID, stop <-chan struct{}) (all []attempt) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	every := time.NewTicker(rtt / 100)
	defer every.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			wg.Wait()
			return all
		case <-every.C:
		}
		wg.Go(func() {
			w := attempt{at: time.Now()}
			w.err = b.try(id, string(id)+"-"+strconv.Itoa(i))
			w.done = time.Now()
			mu.Lock()
			defer mu.Unlock()
			all = append(all, w)
		})
	}
}

// gaps are how long nobody took a request, and how long none was completed.
type gaps struct{ accept, success float64 }

func (g gaps) String() string {
	return fmt.Sprintf("%.2f RTT without a leader that takes requests, %.2f without a success", g.accept, g.success)
}

// The ways of a planned change.
const (
	led     = "led by the leader"
	oneCall = "one call of the leader and one of the successor"
	each    = "each step a call"
)

// gap changes the leader from n1 to n2 while both are written to, and measures
// in round trips.
func gap(t *testing.T, n int, way string) (g gaps) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, n)
		stop := make(chan struct{})
		var old, next []attempt
		var wg sync.WaitGroup
		wg.Go(func() { old = b.writes("n1", stop) })
		wg.Go(func() { next = b.writes("n2", stop) })
		time.Sleep(10 * rtt)
		change := reparent.Planned("n2")
		change.LeaderLed = way == led
		guard := b.guardBy(t, func(n *reparent.Node) {
			if way == each {
				n.Retire, n.TakeOver = nil, nil
			}
		}, ids(n)...)
		rep, err := guard.Run(t.Context(), change)
		time.Sleep(10 * rtt)
		close(stop)
		wg.Wait()
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
		rec, err := b.reg.Load(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, "n2", rec.Routed.Leader)

		var last, first time.Time
		var successes []time.Time
		for _, w := range slices.Concat(old, next) {
			require.True(t, w.err == nil || errors.Is(w.err, errRefused), "a write that was taken: %v", w.err)
			if w.err == nil {
				successes = append(successes, w.done)
			}
		}
		for _, w := range old {
			if w.err == nil && w.at.After(last) {
				last = w.at
			}
		}
		for _, w := range next {
			if w.err == nil && (first.IsZero() || w.at.Before(first)) {
				first = w.at
			}
		}
		slices.SortFunc(successes, time.Time.Compare)
		var silence time.Duration
		for i := 1; i < len(successes); i++ {
			silence = max(silence, successes[i].Sub(successes[i-1]))
		}
		g = gaps{float64(first.Sub(last)) / float64(rtt), float64(silence) / float64(rtt)}
	})
	return g
}

// Nobody is refused who was accepted, in any way. What the leader's own lead saves
// is the time in which nobody accepts: one message to the candidate where the two
// are enough, and two where others must promise, however many. A coordinator has
// it by two messages whose leader and successor do their part in one call each:
// who must promise besides does so meanwhile.
func TestTheGapOfAChangeInRoundTrips(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		members            int
		led, relayed, each float64
	}{{3, 0.5, 1, 4}, {5, 1, 1, 4}, {7, 1, 1, 4}} {
		t.Run(strconv.Itoa(tt.members), func(t *testing.T) {
			t.Parallel()
			got := map[string]gaps{}
			for _, way := range []string{led, oneCall, each} {
				got[way] = gap(t, tt.members, way)
				t.Logf("%s: %s", way, got[way])
			}
			// Writes come every hundredth of a round trip, on both sides.
			require.InDelta(t, tt.led, got[led].accept, 0.021)
			require.InDelta(t, tt.relayed, got[oneCall].accept, 0.021)
			require.GreaterOrEqual(t, got[each].accept, tt.each)
			require.Less(t, got[oneCall].success, got[each].success)
			require.Less(t, got[led].success, got[each].success)
		})
	}
}
