package kv_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
)

// on puts f around what a member does with a message. The message is lost when f
// does not call serve.
func (b *bubble) on(id leadership.NodeID, f func(call string, r *http.Request, serve func())) {
	host := string(id) + ":80"
	b.wire.mu.Lock()
	defer b.wire.mu.Unlock()
	serve := b.wire.members[host]
	b.wire.members[host] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], r, func() { serve.ServeHTTP(w, r) })
	})
}

// held waits until c is closed, or the sender of r has given up.
func held(c <-chan struct{}, r *http.Request) bool {
	select {
	case <-c:
		return true
	case <-r.Context().Done():
		return false
	}
}

func ledBy(to leadership.NodeID) reparent.Change {
	c := reparent.Planned(to)
	c.LeaderLed = true
	return c
}

// baton is from n1 to n2, under the next term.
func (b *bubble) baton(t *testing.T, within time.Duration) handover.Baton {
	rec, err := b.reg.Load(t.Context())
	require.NoError(t, err)
	next, err := leadership.NextTerm("test", rec.Fence, rec.Active.Term)
	require.NoError(t, err)
	return handover.Baton{Term: next, From: "n1", To: "n2", Mode: rec.Mode, Rulesets: []leadership.Ruleset{rec.Ruleset}, Within: within}
}

// Two coordinators. One has n1 hand over to n2: n3, n4 and n5 promise, n5 late.
// Before anything of n2 has got to these three, the other, which reaches nobody
// else, makes one of them the leader; n5 tells n2 that it is outrun.
func TestG5_AHandOverThatWasOutrunLeavesTheLeaderOfItsRivalAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, 5)
		rival := b.guardOf(t, "n3", "n4", "n5")
		begun, over := make(chan struct{}), make(chan struct{})
		var released atomic.Bool
		var theirs *reparent.Report // set before over is closed
		b.on("n2", func(call string, _ *http.Request, serve func()) {
			if call == "release" {
				released.Store(true)
			}
			serve()
		})
		for _, id := range ids(5)[2:] {
			b.on(id, func(call string, r *http.Request, serve func()) {
				switch {
				case call == "ask" && id == "n5":
					time.Sleep(3 * rtt)
					close(begun)
					theirs, _ = rival.Run(t.Context(), reparent.Emergency())
					serve()
					close(over)
					return
				case (call == "append" || call == "follow") && released.Load():
					select {
					case <-begun: // it is of the rival's leader
					default:
						if !held(over, r) {
							return
						}
					}
				}
				serve()
			})
		}
		rep, err := b.guard.Run(t.Context(), ledBy("n2"))
		<-over
		require.Equal(t, reparent.Done, theirs.Outcome, "%s", theirs)
		require.Error(t, err)
		require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
		rec, err := b.reg.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, theirs.Term, rec.Active.Term)
		require.NoError(t, b.try(theirs.Leader(), "k"))
	})
}

// n5 promises more to another after n2 has proposed: what n2 answers then is
// that it does not know what became of its marker.
func TestG5_AnAnswerThatProvesNothingIsAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, 5)
		b.on("n5", func(call string, _ *http.Request, serve func()) {
			if call == "ask" {
				time.Sleep(rtt / 4)
				_, err := b.nodes["n5"].Promise(t.Context(), leadership.Term{Num: 99, Proposer: "other"})
				assert.NoError(t, err)
			}
			serve()
		})
		began := time.Now()
		rep, err := b.guard.Run(t.Context(), ledBy("n2"))
		require.Error(t, err)
		require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
		require.Less(t, time.Since(began), 50*rtt, "the release was sent again and again")
	})
}

// Nobody answers n2 but its own disk, and n1, which has handed over.
func TestG7_ACandidateThatGaveUpRefusesItsClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, 3)
		var mute atomic.Bool
		for _, id := range []leadership.NodeID{"n1", "n3"} {
			b.on(id, func(_ string, r *http.Request, serve func()) {
				if !mute.Load() || held(nil, r) {
					serve()
				}
			})
		}
		b.on("n2", func(call string, _ *http.Request, serve func()) {
			if call == "release" {
				mute.Store(true)
			}
			serve()
		})
		baton := b.baton(t, time.Second)
		_, err := b.nodes["n1"].HandOver(t.Context(), baton)
		require.Error(t, err)
		require.False(t, leadership.NotExecuted(err), "%v", err)
		time.Sleep(time.Second)
		began := time.Now()
		require.ErrorIs(t, b.try("n2", "k"), errRefused)
		require.Zero(t, time.Since(began))

		// Its marker is there, and may be found durable by a coordinator.
		mute.Store(false)
		_, err = b.nodes["n3"].Follow(t.Context(), baton.Term, "n2")
		require.NoError(t, err)
		require.NoError(t, b.nodes["n2"].Grant(t.Context(), baton.Term))
		require.NoError(t, b.try("n2", "k"))
	})
}

// The drain is that of a change whose coordinator has died, or of an earlier baton.
func TestG9_ALeaderThatIsDrainedAlreadyHandsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, 3)
		_, err := b.nodes["n1"].Drain(t.Context(), leadership.Term{Num: 2, Proposer: "other"}, time.Second)
		require.NoError(t, err)
		require.ErrorIs(t, b.try("n1", "k"), errRefused)
		rep, err := b.guard.Run(t.Context(), ledBy("n2"))
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
		require.NoError(t, b.try("n2", "k"))
	})
}

func TestG7_CloseAnswersWhatWasHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, 3)
		for _, id := range []leadership.NodeID{"n2", "n3"} {
			b.on(id, func(_ string, r *http.Request, _ func()) { <-r.Context().Done() })
		}
		told := make(chan error, 1)
		go func() { told <- b.try("n1", "k") }()
		synctest.Wait()
		passed := make(chan error, 1)
		baton := b.baton(t, time.Second)
		go func() {
			_, err := b.nodes["n1"].HandOver(t.Context(), baton)
			passed <- err
		}()
		require.Error(t, <-passed)
		st, err := b.nodes["n1"].Status(t.Context())
		require.NoError(t, err)
		require.True(t, st.Leads.IsZero())
		require.Empty(t, told, "the successor may complete it")
		began := time.Now()
		require.NoError(t, b.nodes["n1"].Close())
		require.ErrorContains(t, <-told, leadership.ErrUnknownOutcome.Error())
		require.Zero(t, time.Since(began))
	})
}
