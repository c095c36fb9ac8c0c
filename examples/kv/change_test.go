package kv_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

func TestANewClusterIsBootstrappedWrittenAndRead(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	_, err := c.client("n1").Put(deadline(t), "k", nil)
	require.ErrorAs(t, err, new(*leadership.Refusal))

	c.lead("n1", ids(3)...)
	c.put("n1", "k", "v1")
	c.put("n1", "k", "v2")
	c.put("n1", "a/b c", "v3")
	c.wantGet("n1", "k", "v2")
	c.wantGet("n1", "a/b c", "v3")
	_, ok, err := c.client("n1").Get(deadline(t), "none")
	require.NoError(t, err)
	require.False(t, ok)
	_, err = c.client("n1").Do(deadline(t), kv.Write{Key: "k", Delete: true})
	require.NoError(t, err)
	_, ok, err = c.client("n1").Get(deadline(t), "k")
	require.NoError(t, err)
	require.False(t, ok)

	_, err = c.client("n2").Put(deadline(t), "k", nil)
	var r *leadership.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, leadership.NodeID("n1"), r.Leader)
	require.Equal(t, c.term, r.Until)
	require.True(t, leadership.NotExecuted(err))
}

func TestAPlannedChangeLosesNothingAndRefusesWithProof(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5, leadership.Majority())
	c.lead("n1", ids(5)...)
	ctx, cancel := context.WithCancel(deadline(t))
	var acked sync.Map
	var wg sync.WaitGroup
	var refused, unknown atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			cl := c.client("n1")
			for i := 0; ; i++ {
				key := "k" + strconv.Itoa(w) + "-" + strconv.Itoa(i)
				_, err := cl.Put(ctx, key, []byte(key))
				var r *leadership.Refusal
				switch {
				case err == nil:
					acked.Store(key, true)
				case errors.As(err, &r):
					refused.Add(1)
					if r.Until != term(2) {
						t.Errorf("refused until %s", r.Until)
					}
					return
				default:
					unknown.Add(1)
					return
				}
			}
		})
	}
	require.Eventually(t, func() bool { _, ok := acked.Load("k0-20"); return ok }, 5*time.Second, time.Millisecond)

	t2 := term(2)
	d, err := c.heard["n1"].Drain(ctx, t2, time.Second)
	require.NoError(t, err)
	require.Zero(t, d.Survivors)
	w, err := c.heard["n1"].StepDown(ctx, t2)
	require.NoError(t, err)
	require.Equal(t, leadership.Demoted, w.Kind)
	wg.Wait()
	cancel()
	require.Equal(t, int64(8), refused.Load())
	require.Zero(t, unknown.Load(), "a drain let every write in flight finish")

	c.lead("n2", ids(5)...) // the same term 2: a promise again only reads
	require.Equal(t, t2, c.term)
	n := 0
	acked.Range(func(k, _ any) bool {
		n++
		c.wantGet("n2", k.(string), k.(string))
		return true
	})
	require.Greater(t, n, 20)
	require.Equal(t, leadership.Leadership{Leader: "n2", Term: t2}, c.status("n1").Source)
}

func TestALeaderThatHandsOverAnswersWhatItTook(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5, leadership.Majority())
	c.lead("n1", ids(5)...)
	ctx, cancel := context.WithCancel(deadline(t))
	var wg sync.WaitGroup
	var done, refused atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			at := leadership.NodeID("n1")
			for i := 0; ctx.Err() == nil; i++ {
				_, err := c.client(at).Put(deadline(t), "k"+strconv.Itoa(w)+"-"+strconv.Itoa(i), nil)
				var r *leadership.Refusal
				switch {
				case err == nil:
					done.Add(1)
				case errors.As(err, &r):
					refused.Add(1)
					if at = "n2"; r.Leader != "" {
						at = r.Leader
					}
				default:
					t.Errorf("a write that %s took: %v", at, err)
				}
			}
		})
	}
	enough := func(n int64) {
		require.Eventually(t, func() bool { return done.Load() > n }, 10*time.Second, time.Millisecond)
	}
	for i, from := range ids(5) {
		enough(done.Load() + 100)
		c.handOver(from, ids(5)[(i+1)%5])
	}
	enough(done.Load() + 100)
	cancel()
	wg.Wait()
	require.Positive(t, refused.Load())
	require.Equal(t, term(6), c.status("n1").Leads)
}

func TestAMemberThatCannotHandOverSaysWhy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	b := handover.Baton{Term: term(2), From: "n1", To: "n2", Mode: leadership.Full, Rulesets: []leadership.Ruleset{c.rules}, Within: time.Second}
	for name, tt := range map[string]struct {
		ask   leadership.NodeID
		edit  func(b *handover.Baton)
		proof bool
	}{
		"a baton for another":      {"n3", func(*handover.Baton) {}, true},
		"to a stranger":            {"n1", func(b *handover.Baton) { b.To = "n9" }, true},
		"an old term":              {"n1", func(b *handover.Baton) { b.Term = term(0) }, true},
		"shortcut mode":            {"n1", func(b *handover.Baton) { b.Mode = leadership.Shortcut }, true},
		"one that does not lead":   {"n2", func(b *handover.Baton) { b.From, b.To = "n2", "n3" }, false},
		"a candidate of no change": {"n2", func(*handover.Baton) {}, false},
	} {
		b := b
		tt.edit(&b)
		_, err := c.heard[tt.ask].HandOver(deadline(t), b)
		require.Error(t, err, name)
		require.Equal(t, tt.proof, leadership.NotExecuted(err), "%s: %v", name, err)
	}
	c.put("n1", "k", "v")
}

func TestADrainWithoutAStepDownEndsByItself(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, leadership.Majority())
	c.stop("n1")
	c.start("n1", nil, false)
	c.lead("n1", "n1")
	_, err := c.heard["n1"].Drain(deadline(t), term(9), 10*time.Millisecond)
	require.NoError(t, err)
	_, err = c.client("n1").Put(deadline(t), "k", []byte("v"))
	var r *leadership.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, term(9), r.Until)
	require.True(t, c.status("n1").Draining)
	require.Eventually(t, func() bool {
		_, err := c.client("n1").Put(deadline(t), "k", []byte("v"))
		return err == nil
	}, 5*time.Second, 50*time.Millisecond)
}

func TestAnEmergencyWithoutTheOldLeaderKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	for i := range 50 {
		c.put("n1", "k"+strconv.Itoa(i), "v")
	}
	c.stop("n1")
	c.lead("n3", "n2", "n3")
	for i := range 50 {
		c.wantGet("n3", "k"+strconv.Itoa(i), "v")
	}
	c.put("n3", "after", "v")

	// The old leader comes back, does not lead, and is brought level.
	c.start("n1", nil, false)
	require.Zero(t, c.status("n1").Leads)
	require.Eventually(t, func() bool {
		return c.status("n1").Position.String() == c.status("n3").Position.String()
	}, 5*time.Second, 5*time.Millisecond)
}

func TestAZombieLeaderCompletesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	c.put("n1", "k", "old")
	// n1 is not reached: it still believes that it leads.
	c.lead("n2", "n2", "n3")
	c.put("n2", "k", "new")
	_, err := c.client("n1").Put(deadline(t), "k", []byte("zombie"))
	require.Error(t, err)
	_, _, err = c.client("n1").Get(deadline(t), "k")
	require.Error(t, err, "a read of a leader that was replaced must not be answered")
	c.wantGet("n2", "k", "new")
	// It follows as soon as the new leader has reached it.
	require.Eventually(t, func() bool { return c.status("n1").Source.Leader == "n2" }, 5*time.Second, 5*time.Millisecond)
	_, err = c.client("n1").Put(deadline(t), "k", []byte("zombie"))
	require.ErrorAs(t, err, new(*leadership.Refusal))
	c.wantGet("n2", "k", "new")
}

func TestAConflictingTailIsTakenOutAndNothingElse(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	for i := range 10 {
		c.put("n1", "k"+strconv.Itoa(i), "v")
	}
	// Writes that reach nobody else stay tentative at n1.
	c.stop("n2", "n3")
	ctx, cancel := context.WithTimeout(deadline(t), 200*time.Millisecond)
	defer cancel()
	_, err := c.client("n1").Put(ctx, "tentative", []byte("v"))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	before := c.status("n1").Position
	c.stop("n1")
	c.start("n2", nil, false)
	c.start("n3", nil, false)
	c.lead("n2", "n2", "n3")
	c.put("n2", "k0", "new")
	c.stop("n2", "n3") // a leader that finds n1 brings it level
	c.start("n1", nil, false)
	require.Equal(t, before, c.status("n1").Position, "a restart takes nothing out")
	c.start("n2", nil, false)
	c.start("n3", nil, false)
	c.lead("n1", "n1", "n2") // catches up from n2: its own tail conflicts
	c.wantGet("n1", "k0", "new")
	c.wantGet("n1", "k9", "v")
	_, ok, err := c.client("n1").Get(deadline(t), "tentative")
	require.NoError(t, err)
	require.False(t, ok)
}

func TestARestartOfAllMembersLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	for i := range 30 {
		c.put("n1", "k"+strconv.Itoa(i), "v"+strconv.Itoa(i))
	}
	c.stop(ids(3)...)
	for _, id := range ids(3) {
		c.start(id, nil, false)
		require.Zero(t, c.status(id).Leads)
		require.Equal(t, c.term, c.status(id).Promised)
	}
	c.lead("n3", "n2", "n3")
	for i := range 30 {
		c.wantGet("n3", "k"+strconv.Itoa(i), "v"+strconv.Itoa(i))
	}
}

func TestARestartedLeaderIsNotGrantedItsOldTermAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, leadership.Majority())
	c.lead("n1", "n1")
	c.put("n1", "k", "v")
	c.stop("n1")
	c.start("n1", nil, false)
	require.ErrorAs(t, c.heard["n1"].Grant(deadline(t), c.term), new(*leadership.NotReadyError))
	_, err := c.heard["n1"].Install(deadline(t), leadership.Marker{Term: c.term, Leader: "n1", Ruleset: c.rules})
	require.ErrorAs(t, err, new(*leadership.NotReadyError))
	c.lead("n1", "n1")
	c.wantGet("n1", "k", "v")
}

func TestNothingIsCompleteBeforeTheMarkerOfItsTerm(t *testing.T) {
	t.Parallel()
	// Entries of term 1 are on every node of n1, n2 before the marker of term
	// 2 is on any but n1: n1 may not complete them, although it holds a grant.
	c := newCluster(t, 3, leadership.AtLeast(2))
	c.lead("n1", ids(3)...)
	c.put("n1", "k", "v")
	p := c.propose(c.round(ids(3)...), "n1")
	c.stop("n2", "n3")
	_, err := c.heard["n1"].Install(deadline(t), p.Marker())
	require.NoError(t, err)
	// A broken coordinator grants too early.
	require.NoError(t, c.heard["n1"].Grant(deadline(t), p.Term()))
	ctx, cancel := context.WithTimeout(deadline(t), 300*time.Millisecond)
	defer cancel()
	_, _, err = c.client("n1").Get(ctx, "k")
	require.Error(t, err, "the marker is not durable, so nothing may be read")
	ss := c.status("n1").Markers
	require.False(t, ss[len(ss)-1].Decided)
	c.start("n2", nil, false)
	c.wantGet("n1", "k", "v")
	ss = c.status("n1").Markers
	require.True(t, ss[len(ss)-1].Decided)
}

func TestALateDuplicateOfAPromiseDoesNotUnseatTheLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	for _, id := range ids(3) {
		_, err := c.heard[id].Promise(deadline(t), c.term)
		require.NoError(t, err)
		_, err = c.heard[id].Promise(deadline(t), leadership.Term{Num: c.term.Num, Proposer: "a"})
		var stale *leadership.StaleTermError
		require.ErrorAs(t, err, &stale)
		require.Equal(t, c.term, stale.Promised)
	}
	c.put("n1", "k", "v")
}

func TestARetriedNumberedWriteIsAppliedOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	cl := c.client("n1")
	cl.Name = "client-1"
	ctx := deadline(t)
	_, err := cl.Do(ctx, kv.Write{Key: "k", Value: []byte("1"), Seq: 1})
	require.NoError(t, err)
	c.put("n1", "k", "2")
	// The answer of the first was lost, say; the change of leader does not
	// make the members forget.
	c.lead("n2", ids(3)...)
	cl.URL = c.client("n2").URL
	_, err = cl.Do(ctx, kv.Write{Key: "k", Value: []byte("1"), Seq: 1})
	require.NoError(t, err)
	c.wantGet("n2", "k", "2")
	_, err = cl.Do(ctx, kv.Write{Key: "k", Value: []byte("3"), Seq: 2})
	require.NoError(t, err)
	_, err = cl.Do(ctx, kv.Write{Key: "k", Value: []byte("1"), Seq: 1})
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	c.wantGet("n2", "k", "3")
}

func TestALeaderWhoseFollowersPromisedMoreTellsItsClientsAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	c.put("n1", "k", "v")
	c.round("n2", "n3") // and the coordinator dies
	begin := time.Now()
	_, err := c.client("n1").Put(deadline(t), "k", []byte("v"))
	require.Error(t, err)
	require.Less(t, time.Since(begin), 2*time.Second, "it need not wait for its timeout")
	require.Eventually(t, func() bool {
		_, err := c.client("n1").Put(deadline(t), "k", []byte("v"))
		var r *leadership.Refusal
		return errors.As(err, &r) && r.Until == c.term
	}, 3*time.Second, time.Millisecond)
	c.lead("n1", ids(3)...) // a refresh
	c.put("n1", "k", "v")
}

func TestAnAnswerNamesTheLeadership(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n2", ids(3)...)
	for _, id := range ids(3) {
		resp, err := c.http.Get("http://" + c.peers[id] + "/kv/k")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		l, ok := kv.Learned(resp.Header)
		require.True(t, ok)
		require.Equal(t, leadership.Leadership{Leader: "n2", Term: c.term}, l)
		resp, err = c.http.Get("http://" + c.peers[id] + "/readyz")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, id == "n2", resp.StatusCode == http.StatusOK)
	}
}
