package kv_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

// down makes a stand answer nothing that can be understood.
const down = ^uint64(0)

// stand is a follower that says of every append that it matches up to what the
// test says. It calls hook, if any, before it answers.
func stand(t *testing.T, matched *atomic.Uint64, hook func()) (addr string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		m := matched.Load()
		if hook != nil {
			hook()
		}
		if m == down {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"matched":%d}`, m)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// alone opens n1 with stands for n2 and n3, and makes it leader of term 1.
func alone(t *testing.T, n2, n3 string) (*kv.Node, *kv.Client, leadership.Ruleset) {
	t.Helper()
	ctx := deadline(t)
	cfg := memberConfig(t.TempDir(), true)
	cfg.Heartbeat = 5 * time.Millisecond
	cfg.RequestTimeout = 300 * time.Millisecond
	cfg.Peers = map[leadership.NodeID]string{"n1": "127.0.0.1:0", "n2": n2, "n3": n3}
	n, err := kv.Open(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	srv := httptest.NewServer(n.Handler())
	t.Cleanup(srv.Close)
	rs, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	require.NoError(t, err)
	_, err = n.Install(ctx, leadership.Marker{Term: term(1), Leader: "n1", Ruleset: rs})
	require.NoError(t, err)
	require.NoError(t, n.Grant(ctx, term(1)))
	return n, &kv.Client{URL: srv.URL, HTTP: srv.Client()}, rs
}

func TestAReadWithoutSupportIsNotAnswered(t *testing.T) {
	t.Parallel()
	var matched atomic.Uint64
	matched.Store(1)
	_, cl, _ := alone(t, stand(t, &matched, nil), stand(t, &matched, nil))
	_, _, err := cl.Get(deadline(t), "k")
	require.NoError(t, err)
	// Others may lead by now, for all that this member can know.
	matched.Store(down)
	_, _, err = cl.Get(deadline(t), "k")
	require.Error(t, err)
}

func TestAnAnswerToAMessageThatWasSentBeforeTheReadDoesNotSupportIt(t *testing.T) {
	t.Parallel()
	var matched, off atomic.Uint64
	matched.Store(1)
	off.Store(down)
	var held atomic.Bool
	arrived, release := make(chan struct{}), make(chan struct{})
	hook := func() {
		if held.CompareAndSwap(true, false) {
			matched.Store(down) // for every message after this one
			close(arrived)
			<-release
		}
	}
	_, cl, _ := alone(t, stand(t, &matched, hook), stand(t, &off, nil))
	_, _, err := cl.Get(deadline(t), "k")
	require.NoError(t, err)
	held.Store(true)
	<-arrived // a heartbeat is on its way, sent before the read begins
	answer := make(chan error, 1)
	go func() {
		_, _, err := cl.Get(deadline(t), "k")
		answer <- err
	}()
	require.NoError(t, waitFor(deadline(t), 50*time.Millisecond)) // the read has begun
	close(release)
	require.Error(t, <-answer)
}

// TestEntriesOfAnEarlierTermAreNotCompleteByThemselves is figure 8 of the Raft
// paper: an entry of term 1 on every node is not complete under term 2 before
// an entry of term 2 is durable behind it.
func TestEntriesOfAnEarlierTermAreNotCompleteByThemselves(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	var matched atomic.Uint64
	n, _, rs := alone(t, stand(t, &matched, nil), stand(t, &matched, nil))
	decided := func() (out []bool) {
		st, err := n.Status(ctx)
		require.NoError(t, err)
		for _, s := range st.Markers {
			out = append(out, s.Decided)
		}
		return out
	}
	_, err := n.Install(ctx, leadership.Marker{Term: term(2), Leader: "n1", Ruleset: rs})
	require.NoError(t, err)
	require.NoError(t, n.Grant(ctx, term(2)))
	matched.Store(1) // the marker of term 1 is everywhere, that of term 2 nowhere
	require.Never(t, func() bool { return decided()[0] }, 100*time.Millisecond, 5*time.Millisecond)
	matched.Store(2)
	require.Eventually(t, func() bool { d := decided(); return d[0] && d[1] }, 5*time.Second, time.Millisecond)
}

func TestACandidateTakesNothingOutBeforeItHasPromised(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	c.put("n1", "k", "v")
	c.stop("n1")
	c.lead("n2", "n2", "n3")
	c.put("n2", "k", "new")
	donor := c.status("n2").Position
	c.stop("n2", "n3")
	// n1 led term 1 and has a tail of it that the others never saw.
	c.start("n1", nil, false)
	c.term = term(1)
	_, err := c.heard["n1"].Promise(deadline(t), leadership.Term{Num: 1, Proposer: "zz"})
	require.NoError(t, err)
	_, err = c.heard["n1"].Install(deadline(t), leadership.Marker{Term: leadership.Term{Num: 1, Proposer: "zz"}, Leader: "n1", Ruleset: c.rules})
	require.NoError(t, err)
	before := c.status("n1").Position
	c.start("n2", nil, false)
	t9 := term(9)
	err = c.heard["n1"].CatchUp(deadline(t), t9, "n2", donor)
	require.ErrorAs(t, err, new(*leadership.NotReadyError))
	require.Equal(t, before, c.status("n1").Position)
	_, err = c.heard["n1"].Promise(deadline(t), t9)
	require.NoError(t, err)
	require.NoError(t, c.heard["n1"].CatchUp(deadline(t), t9, "n2", donor))
	require.Equal(t, donor, c.status("n1").Position)
}

func TestAFollowerAppliesOnlyWhatIsComplete(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5, leadership.Majority())
	c.lead("n1", ids(5)...)
	c.put("n1", "k", "v")
	c.stop("n3", "n4", "n5")
	ctx, cancel := context.WithTimeout(deadline(t), 200*time.Millisecond)
	defer cancel()
	_, err := c.client("n1").Put(ctx, "k", []byte("tentative"))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	// n2 has it in its log, on two of five, and must not have applied it.
	require.Equal(t, c.status("n1").Position, c.status("n2").Position)
	c.stop("n1") // first, or it would bring its log to the others
	for _, id := range []leadership.NodeID{"n3", "n4", "n5"} {
		c.start(id, nil, false)
	}
	// A round that does not reach n2 drops it.
	c.lead("n3", "n3", "n4", "n5")
	c.put("n3", "other", "v")
	require.Eventually(t, func() bool { return c.status("n2").Source.Leader == "n3" }, 5*time.Second, time.Millisecond)
	c.lead("n2", "n2", "n3", "n4", "n5")
	c.wantGet("n2", "k", "v")
}

func TestFollowReturnsOnlyWhenTheMarkerIsHere(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, leadership.All())
	ctx, cancel := context.WithTimeout(deadline(t), 100*time.Millisecond)
	defer cancel()
	_, err := c.heard["n2"].Follow(ctx, term(1), "n1")
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome, "it follows, and has no marker to show")
	require.Equal(t, leadership.Leadership{Leader: "n1", Term: term(1)}, c.status("n2").Source)
	c.lead("n1", ids(2)...)
	c.put("n1", "k", "v")
}
