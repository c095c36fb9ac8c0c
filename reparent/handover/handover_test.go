package handover_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

func TestAReleaseIsMadeOfADurableStepDownOnly(t *testing.T) {
	t.Parallel()
	b := baton(t, 3)
	for name, edit := range map[string]func(w *leadership.Testimony){
		"it promised, and did not lead": func(w *leadership.Testimony) { w.Kind = leadership.Promised },
		"it only states":                func(w *leadership.Testimony) { w.Kind = leadership.Statement },
		"it is only held":               func(w *leadership.Testimony) { w.Held = true },
		"of another node":               func(w *leadership.Testimony) { w.Node = "n3" },
		"of another term":               func(w *leadership.Testimony) { w.Term = t1 },
		"without a position":            func(w *leadership.Testimony) { w.Read = nil },
	} {
		w := stepDown(at(5))
		edit(&w)
		_, err := b.Release(w)
		wantAs[*handover.BatonError](t, err)
		// One that was decoded is checked again.
		err = incoming(t).Take(handover.Release{Baton: b, StepDown: w})
		require.Error(t, err, name)
		require.True(t, leadership.NotExecuted(err), name)
	}
	r := release(t, b, at(5))
	require.Equal(t, handover.Ask{Term: t2, From: "n1", To: "n2"}, r.Ask())
}

func TestG10_ABatonThatCannotBeActedOnIsRefused(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(b *handover.Baton){
		"shortcut mode":    func(b *handover.Baton) { b.Mode = leadership.Shortcut },
		"no mode":          func(b *handover.Baton) { b.Mode = "" },
		"to itself":        func(b *handover.Baton) { b.To = "n1" },
		"no term":          func(b *handover.Baton) { b.Term = leadership.Term{} },
		"a bad name":       func(b *handover.Baton) { b.To = "N 2" },
		"no ruleset":       func(b *handover.Baton) { b.Rulesets = nil },
		"an unknown rule":  func(b *handover.Baton) { b.Rulesets[0].Policy = "whim" },
		"a negative drain": func(b *handover.Baton) { b.Drain = -1 },
		"no bound":         func(b *handover.Baton) { b.Within = 0 },
		"for another node": func(b *handover.Baton) { b.To = "n3" },
	} {
		b := baton(t, 3)
		edit(&b)
		if name != "for another node" {
			require.Error(t, b.Validate(nil), name)
		}
		r := handover.Release{Baton: b, StepDown: stepDown(at(5))}
		require.Error(t, incoming(t).Take(r), name)
	}
	_, err := handover.NewIncoming("N 2", nil)
	wantAs[*leadership.NodeIDError](t, err)
}

// Of five, the two leaders leave three that could go on under the old one.
func TestG3_TheReleaseAloneIsNoProofWhereMoreMustPromise(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	require.NoError(t, in.Take(release(t, baton(t, 5), at(5))))
	require.NoError(t, in.Hear(promised("n2", t2, at(5))))
	_, err := in.Propose(t2)
	wantAs[*leadership.NotRevokedError](t, err)
	_, err = in.Installed(t2)
	wantAs[*leadership.NotReadyError](t, err)
	require.NoError(t, in.Hear(promised("n4", t2, at(5))))
	p, err := in.Propose(t2)
	require.NoError(t, err)
	require.Equal(t, leadership.Leadership{Leader: "n2", Term: t2}, p.Marker().Leadership())
	again, err := in.Propose(t2)
	require.NoError(t, err)
	require.Same(t, p, again)
}

// Others would suffice without it, but requests in flight at the leader would be
// cut off that it hands over.
func TestG2_NothingIsProposedBeforeTheReleaseHasCome(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		require.NoError(t, in.Hear(promised(id, t2, at(4))))
	}
	_, err := in.Propose(t2)
	wantAs[*leadership.NotReadyError](t, err)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(4))))
	_, err = in.Propose(t2)
	require.NoError(t, err, "what came before the release counts")
}

func TestG3_TheCandidateItselfPromisesFirst(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(5))))
	require.NoError(t, in.Hear(promised("n3", t2, at(5))))
	_, err := in.Propose(t2)
	wantAs[*leadership.NotReadyError](t, err)
}

func TestG2_ACandidateThatIsBehindCatchesUpFirst(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(5))))
	require.NoError(t, in.Hear(promised("n2", t2, at(4))))
	_, err := in.Propose(t2)
	behind := wantAs[*handover.BehindError](t, err)
	require.Equal(t, []leadership.NodeID{"n1"}, behind.Donors)
	require.Equal(t, *at(5), behind.Selection)
	require.NoError(t, in.Hear(promised("n3", t2, at(5))), "that another is level is no help")
	_, err = in.Propose(t2)
	wantAs[*handover.BehindError](t, err)
	require.NoError(t, in.Hear(promised("n2", t2, at(5))))
	_, err = in.Propose(t2)
	require.NoError(t, err)
}

func TestG1_NothingIsGrantedBeforeTheMarkerIsDurable(t *testing.T) {
	t.Parallel()
	in := ready(t)
	err := in.Accept(accepted("n2"))
	wantAs[*leadership.NotReadyError](t, err)
	_, err = in.Propose(t2)
	require.NoError(t, err)
	require.NoError(t, in.Accept(accepted("n2")))
	require.NoError(t, in.Accept(accepted("n2")), "a node that says it twice is one node")
	_, err = in.Installed(t2)
	wantAs[*leadership.NotDurableError](t, err)
	require.NoError(t, in.Accept(accepted("n3")))
	got, err := in.Installed(t2)
	require.NoError(t, err)
	require.Equal(t, leadership.Leadership{Leader: "n2", Term: t2}, got.Leadership())
}

func TestG1_LeasesAreLeftToTheCoordinator(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(5))))
	own := promised("n2", t2, at(5))
	own.LeaseLeft = time.Second
	require.NoError(t, in.Hear(own))
	_, err := in.Propose(t2)
	require.NoError(t, err)
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		require.NoError(t, in.Accept(accepted(id)))
	}
	_, err = in.Installed(t2)
	wantAs[*leadership.NotReadyError](t, err)
}

func TestACandidateThatBeganBeforeItRestartedTakesANewTerm(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(5))))
	own := &leadership.Position{Term: t2, Point: leadership.LogPoint{Index: 6, Eras: []leadership.Era{{Term: t1, First: 1}, {Term: t2, First: 6}}}}
	require.NoError(t, in.Hear(promised("n2", t2, own)))
	_, err := in.Propose(t2)
	require.ErrorIs(t, err, handover.ErrBegun)
}

func TestG5_TheHighestTermIsTheOneThatCounts(t *testing.T) {
	t.Parallel()
	in := ready(t)
	require.NoError(t, in.Hear(promised("n3", t3, at(5))))
	for _, call := range []func() error{
		func() error { _, err := in.Propose(t2); return err },
		func() error { _, err := in.Installed(t2); return err },
		func() error { _, err := in.Account(t2); return err },
		func() error { return in.Accept(accepted("n2")) },
		func() error { return in.Hear(promised("n3", t2, at(5))) },
		func() error { return in.Take(release(t, baton(t, 3), at(5))) },
	} {
		require.Equal(t, t3, wantAs[*leadership.StaleTermError](t, call()).Promised)
	}

	in = ready(t)
	_, err := in.Propose(t2)
	require.NoError(t, err)
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		require.NoError(t, in.Accept(accepted(id)))
	}
	in.Refuse(t2, "n3", t3)
	_, err = in.Installed(t2)
	require.Equal(t, t3, wantAs[*leadership.SupersededError](t, err).By)
}

// Its release carries the end of the log: the answers to what was sent beside it
// are quicker.
func TestG5_ARefusalThatOvertakesTheReleaseCounts(t *testing.T) {
	t.Parallel()
	in := incoming(t)
	in.Refuse(t2, "n3", t3)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(5))))
	require.NoError(t, in.Hear(promised("n2", t2, at(5))))
	_, err := in.Propose(t2)
	require.Equal(t, t3, wantAs[*leadership.SupersededError](t, err).By)
	a, err := in.Account(t2)
	require.NoError(t, err)
	require.Contains(t, a.Basis, leadership.Testimony{Node: "n3", Term: t3, Kind: leadership.Refused}, "the coordinator is told")

	// One of an older hand-over, or of no newer attempt, does not.
	in.Refuse(t1, "n3", t3)
	in.Refuse(t2, "n3", t2)
	again, err := in.Account(t2)
	require.NoError(t, err)
	require.Equal(t, a, again)
}

func TestMessagesAreReadBackFromTheirJSON(t *testing.T) {
	t.Parallel()
	r := release(t, baton(t, 3), at(5))
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var back handover.Release
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, r, back)

	in := ready(t)
	_, err = in.Propose(t2)
	require.NoError(t, err)
	a, err := in.Account(t2)
	require.NoError(t, err)
	text, err = json.Marshal(a)
	require.NoError(t, err)
	var told handover.Account
	require.NoError(t, json.Unmarshal(text, &told))
	require.Equal(t, a, told)
}

func TestLateTestimonyIsNoBasis(t *testing.T) {
	t.Parallel()
	in := ready(t)
	_, err := in.Propose(t2)
	require.NoError(t, err)
	require.NoError(t, in.Hear(promised("n3", t2, at(3))))
	a, err := in.Account(t2)
	require.NoError(t, err)
	require.Len(t, a.Basis, 2)
	require.Len(t, a.Late, 1)
}

func TestErrorsNameTheNodesAndWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&handover.BatonError{Field: "To", Reason: "n1 leads already"}, "handover: To: n1 leads already"},
		{&handover.BehindError{Node: "n2", At: *at(4), Selection: *at(5), Donors: []leadership.NodeID{"n1"}}, "handover: n2 is at 1.c@log:4/1.c:1 and the selected log at 1.c@log:5/1.c:1: it catches up from [n1] first"},
		{&handover.MarkerError{Told: leadership.Marker{Term: t2, Leader: "n2"}, Found: leadership.Marker{Term: t2, Leader: "n3"}}, "handover: the account tells of a marker of n2@2.c with ruleset 0 over 0 others; what it is based on makes one of n3@2.c with ruleset 0 over 0 others"},
	} {
		require.EqualError(t, tt.err, tt.want)
	}
}

func TestMessagesOfNoTermAreRefused(t *testing.T) {
	t.Parallel()
	wantAs[*leadership.TermError](t, incoming(t).Hear(leadership.Testimony{Node: "n3"}))
	in := ready(t)
	_, err := in.Propose(t2)
	require.NoError(t, err)
	other := accepted("n3")
	other.Leader = "n3"
	wantAs[*leadership.StaleTermError](t, in.Accept(other))
}
