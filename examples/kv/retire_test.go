package kv_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

func (c *cluster) baton(from, to leadership.NodeID) handover.Baton {
	return handover.Baton{Term: c.term, From: from, To: to, Mode: leadership.Full, Rulesets: []leadership.Ruleset{c.rules}, Within: 5 * time.Second}
}

// Over real connections, both calls twice.
func TestG2_ASuccessorHasWhatWasCompleteWhenItsLeaderRetired(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	c.put("n1", "k", "v")
	c.term = term(c.term.Num + 1)
	b := c.baton("n1", "n2")
	q := handover.Retirement{Term: c.term, To: "n2", Drain: time.Second}
	got, err := c.heard["n1"].Retire(deadline(t), q)
	require.NoError(t, err)
	require.Equal(t, leadership.Demoted, got.StepDown.Kind)
	again, err := c.heard["n1"].Retire(deadline(t), q)
	require.NoError(t, err)
	require.Equal(t, got.StepDown, again.StepDown)

	relay, err := b.Relay(got, nil)
	require.NoError(t, err)
	account, err := c.heard["n2"].TakeOver(deadline(t), relay)
	require.NoError(t, err)
	joined, err := c.heard["n2"].TakeOver(deadline(t), relay)
	require.NoError(t, err)
	require.Equal(t, account, joined)
	r, err := leadership.NewRound(leadership.RoundConfig{Term: c.term, Rulesets: b.Rulesets})
	require.NoError(t, err)
	p, err := account.Replay(b, func(w leadership.Testimony) { require.NoError(t, r.Add(w)) }, r.Revocation)
	require.NoError(t, err)
	_, err = p.Installed()
	require.NoError(t, err)
	require.Equal(t, c.term, c.status("n2").Leads)
	c.wantGet("n2", "k", "v")
	c.put("n2", "k", "w")
}

func TestAMemberThatCannotRetireOrTakeOverSaysWhy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	c.lead("n1", ids(3)...)
	for name, q := range map[string]handover.Retirement{
		"to a stranger": {Term: term(5), To: "n9"},
		"to itself":     {Term: term(5), To: "n1"},
		"an old term":   {Term: term(0), To: "n2"},
	} {
		_, err := c.heard["n1"].Retire(deadline(t), q)
		require.Error(t, err, name)
		require.True(t, leadership.NotExecuted(err), "%s: %v", name, err)
	}
	for name, r := range map[string]handover.Relay{
		"a tail of other form": {Release: handover.Release{Baton: c.baton("n1", "n2")}, Tail: []byte("x")},
		"no step-down":         {Release: handover.Release{Baton: c.baton("n1", "n2")}},
	} {
		_, err := c.heard["n2"].TakeOver(deadline(t), r)
		require.Error(t, err, name)
		require.True(t, leadership.NotExecuted(err), "%s: %v", name, err)
	}
	c.put("n1", "k", "v")
}

// Of five the two leaders are no proof, and nobody else was asked.
func TestASuccessorThatWasToldTooLittleSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5, leadership.Majority())
	c.lead("n1", ids(5)...)
	c.put("n1", "k", "v")
	c.term = term(c.term.Num + 1)
	b := c.baton("n1", "n2")
	b.Within = time.Minute
	got, err := c.heard["n1"].Retire(deadline(t), handover.Retirement{Term: c.term, To: "n2", Drain: time.Second})
	require.NoError(t, err)
	relay, err := b.Relay(got, nil)
	require.NoError(t, err)
	began := time.Now()
	account, err := c.heard["n2"].TakeOver(deadline(t), relay)
	require.Error(t, err)
	require.Less(t, time.Since(began), 5*time.Second, "%v", err)
	require.True(t, account.Marker.Term.IsZero(), "it has proposed: %v", account)
	require.Len(t, account.Basis, 2, "what it was told and its own promise")
}
