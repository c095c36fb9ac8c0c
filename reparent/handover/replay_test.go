package handover_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// replayed puts an account through a round of its own.
func replayed(t testing.TB, b handover.Baton, a handover.Account) (*leadership.Installed, error) {
	round, err := leadership.NewRound(leadership.RoundConfig{Term: b.Term, Rulesets: b.Rulesets})
	require.NoError(t, err)
	p, err := a.Replay(b, func(w leadership.Testimony) { _ = round.Add(w) }, round.Revocation)
	if err != nil {
		return nil, err
	}
	return p.Installed()
}

// told is the account of a candidate that is established.
func told(t testing.TB) handover.Account {
	in := ready(t)
	_, err := in.Propose(t2)
	require.NoError(t, err)
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		require.NoError(t, in.Accept(accepted(id)))
	}
	a, err := in.Account(t2)
	require.NoError(t, err)
	return a
}

func TestG5_AnAccountProvesWhatItHoldsAndNothingMore(t *testing.T) {
	t.Parallel()
	b := baton(t, 3)
	in, err := replayed(t, b, told(t))
	require.NoError(t, err)
	require.Equal(t, leadership.Leadership{Leader: "n2", Term: t2}, in.Leadership())

	for name, tt := range map[string]struct {
		edit func(a *handover.Account)
		as   any
	}{
		"a bare done":                  {func(a *handover.Account) { a.Basis, a.Accepted = nil, nil }, new(*leadership.NotRevokedError)},
		"proposed without the release": {func(a *handover.Account) { a.Basis = a.Basis[1:] }, new(*leadership.NotRevokedError)},
		"nothing proposed":             {func(a *handover.Account) { a.Marker = leadership.Marker{} }, new(*leadership.NotReadyError)},
		"another marker":               {func(a *handover.Account) { a.Marker.Ruleset.Policy = "any" }, new(*handover.MarkerError)},
		"over another ruleset":         {func(a *handover.Account) { a.Marker.Over = b.Rulesets }, new(*handover.MarkerError)},
		"accepted by too few":          {func(a *handover.Account) { a.Accepted = a.Accepted[:1] }, new(*leadership.NotDurableError)},
		"accepted under another term":  {func(a *handover.Account) { a.Accepted[1].Term = t3 }, new(*leadership.StaleTermError)},
		"a newer attempt was heard of": {func(a *handover.Account) { a.Basis = append(a.Basis, promised("n3", t3, at(5))) }, new(*leadership.SupersededError)},
	} {
		a := told(t)
		tt.edit(&a)
		_, err := replayed(t, b, a)
		require.ErrorAs(t, err, tt.as, name)
	}
}

// Whatever the candidate was told, and in whatever order, the coordinator comes
// to the same: that is what replaying is for.
func TestG5_WhoReplaysAnAccountComesToTheSameAsTheCandidate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(rt, "members")
		b := baton(t, n)
		ids := b.Rulesets[0].IDs()
		in := incoming(t)
		steps := rapid.SliceOfN(rapid.IntRange(0, 5*n), 1, 24).Draw(rt, "messages")
		var p *leadership.Proposal
		for _, s := range steps {
			id := ids[s/5%n]
			switch s % 5 {
			case 0:
				require.NoError(t, in.Take(release(t, b, at(5))))
			case 1, 2:
				if id != "n1" {
					require.NoError(t, in.Hear(promised(id, t2, at(uint64(5-s%5+1)))))
				}
			case 3:
				if got, err := in.Propose(t2); err == nil {
					p = got
				}
			case 4:
				if err := in.Accept(accepted(id)); err != nil {
					require.ErrorAs(t, err, new(*leadership.NotReadyError))
				}
			}
		}
		a, err := in.Account(t2)
		if err != nil {
			return // no release came
		}
		own, mine := in.Installed(t2)
		got, theirs := replayed(t, b, a)
		require.Equal(t, mine == nil, theirs == nil, "the candidate: %v, the coordinator: %v", mine, theirs)
		if mine == nil {
			require.Equal(t, own.Marker(), got.Marker())
		}
		if p != nil && !slices.ContainsFunc(a.Basis, func(w leadership.Testimony) bool { return w.Node == "n1" && w.Kind == leadership.Demoted }) {
			t.Error(errors.New("proposed without the leader's release"))
		}
	})
}
