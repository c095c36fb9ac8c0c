package main

// handoverMutations are of changes that the leader leads itself.
func handoverMutations() []mutation {
	const pkg, in1, guard = "reparent/handover", "reparent/handover/incoming.go", "reparent/handover.go"
	return []mutation{
		{
			name: "handover-by-the-release-alone", ids: "G1 G3", file: in1,
			rule: "The release of the known leader is no proof that nobody else leads.",
			edits: one("Rulesets: r.Baton.Rulesets, Catalog: c.cat,",
				"Rulesets: r.Baton.Rulesets, Catalog: c.cat, Known: &leadership.Leadership{Leader: r.Baton.From, Term: r.StepDown.Led},"),
			checks: []check{in(pkg, "TestG3_TheReleaseAloneIsNoProofWhereMoreMustPromise")},
		},
		{
			name: "release-of-who-did-not-step-down", ids: "G1 G2", file: "reparent/handover/baton.go",
			rule:   "A release is made of a durable step-down.",
			edits:  one("	case t.Kind != leadership.Demoted || t.Held:\n", "	case t.Held:\n"),
			checks: []check{in(pkg, "TestAReleaseIsMadeOfADurableStepDownOnly")},
		},
		{
			name: "release-of-another-node", ids: "G1", file: "reparent/handover/baton.go",
			rule:   "A release is the leader's own.",
			edits:  one("	case t.Node != b.From:\n", "	case t.Node == b.To:\n"),
			checks: []check{in(pkg, "TestAReleaseIsMadeOfADurableStepDownOnly")},
		},
		{
			name: "handover-in-shortcut-mode", ids: "G1 G6", file: "reparent/handover/baton.go",
			rule:   "In Shortcut mode nobody is granted whom the record does not show.",
			edits:  one("	case b.Mode != leadership.Full:\n", "	case b.Mode == \"\":\n"),
			checks: []check{in(pkg, "TestG10_ABatonThatCannotBeActedOnIsRefused")},
		},
		{
			name: "handover-in-shortcut-mode-begun", ids: "G10", file: guard,
			rule:   "A change that the leader may not lead is refused before anything is touched.",
			edits:  one("	case a.rec.Mode != leadership.Full:\n", "	case a.rec.Mode == \"\":\n"),
			checks: []check{in("reparent", "TestG10_AChangeThatTheLeaderCannotLeadIsRefusedBeforeAnythingIsTouched")},
		},
		{
			name: "handover-candidate-not-level", ids: "G2", file: in1,
			rule:   "A candidate whose log does not hold the selected one proposes nothing.",
			edits:  one("; !c.own.Extends(sel) {", "; !c.own.Extends(sel) && sel.IsZero() {"),
			checks: []check{in(pkg, "TestG2_ACandidateThatIsBehindCatchesUpFirst")},
		},
		{
			name: "candidate-without-its-own-promise", ids: "G3", file: in1,
			rule:   "A promise counts as the candidate's own only when it is.",
			edits:  one("if t.Node == c.self && t.Kind == leadership.Promised && t.Read != nil {", "if t.Kind == leadership.Promised && t.Read != nil {"),
			checks: []check{in(pkg, "TestG2_ACandidateThatIsBehindCatchesUpFirst")},
		},
		{
			name: "candidate-begins-again", ids: "G2", file: in1,
			rule:   "A candidate that began before it restarted does not begin again under that term.",
			edits:  one("if rev.Selection().Term == t {", "if rev.Selection().Term == t && c.own == nil {"),
			checks: []check{in(pkg, "TestACandidateThatBeganBeforeItRestartedTakesANewTerm")},
		},
		{
			name: "handover-leases-ignored", ids: "G1", file: in1,
			rule:   "A candidate does not grant itself while leases of older leaderships are out.",
			edits:  one("left := c.round.LeaseLeft(); left > 0 {", "left := c.round.LeaseLeft(); left < 0 {"),
			checks: []check{in(pkg, "TestG1_LeasesAreLeftToTheCoordinator")},
		},
		{
			name: "superseded-candidate-goes-on", ids: "G5", file: in1,
			rule:   "A candidate that heard of a newer attempt does not grant itself.",
			edits:  one("if by := c.round.Superseded(); t.Less(by) {", "if by := c.round.Superseded(); false && t.Less(by) {"),
			checks: []check{in(pkg, "TestG5_TheHighestTermIsTheOneThatCounts")},
		},
		{
			name: "early-refusal-forgotten", ids: "G5", file: in1,
			rule:   "A refusal that comes before the release counts when that has come.",
			edits:  one("if t.Less(by) && c.turn(t) == nil {", "if t.Less(by) && c.at(t) == nil {"),
			checks: []check{in(pkg, "TestG5_ARefusalThatOvertakesTheReleaseCounts")},
		},
		{
			name: "older-handover-goes-on", ids: "G5", file: in1,
			rule:   "Messages of an older hand-over than the newest that is known count for nothing.",
			edits:  one("	switch t.Compare(c.term) {\n	case -1:\n", "	switch t.Compare(c.term) {\n	case -2:\n"),
			checks: []check{in(pkg, "TestG5_TheHighestTermIsTheOneThatCounts")},
		},
		{
			name: "candidate-believed", ids: "G3 G5", file: "reparent/handover/replay.go",
			rule:   "The marker of an account is the one that its basis makes.",
			edits:  one("!found.Equal(a.Marker) {", "found.Leadership() != a.Marker.Leadership() {"),
			checks: []check{in(pkg, "TestG5_AnAccountProvesWhatItHoldsAndNothingMore")},
		},
		{
			name: "late-testimony-in-the-basis", ids: "G5", file: in1,
			rule:   "What came after the proposal is no part of its basis.",
			edits:  one("	if c.proposal == nil {\n		c.basis = append(c.basis, t)\n", "	if c.proposal == nil || len(c.late) == 0 {\n		c.basis = append(c.basis, t)\n"),
			checks: []check{in(pkg, "TestLateTestimonyIsNoBasis")},
		},
		{
			name: "handover-not-started-after-it-began", ids: "G9", file: guard,
			rule:   "A hand-over of which something was told was begun, whatever proof comes beside it.",
			edits:  one("if err != nil && silent(acc) && leadership.NotExecuted(err) {", "if err != nil && leadership.NotExecuted(err) {"),
			checks: []check{in("reparent", "TestG9_ALeaderThatDeclinesToHandOverLeadsOnOnlyWithProof")},
		},
		{
			name: "candidate-not-asked", ids: "G5", file: guard,
			rule:   "When the leader's answer is lost the candidate is asked.",
			edits:  one("silent(acc) && promised(err).IsZero() {", "silent(acc) && !promised(err).IsZero() {"),
			checks: []check{in("reparent", "TestG5_WhenTheLeadersAnswerIsLostTheCandidateIsAsked")},
		},
		{
			name: "outrun-handover-undone", ids: "G5", file: "reparent/run.go",
			rule:   "A change that heard of a newer attempt, however late, undoes nothing.",
			edits:  one("late := a.alive(); late != nil {", "late := a.alive(); false && late != nil {"),
			checks: []check{in("reparent", "TestG5_AHandOverThatWasOutrunLeavesTheNewerLeaderAlone")},
		},
		{
			name: "candidate-not-asked-for-who-gave-up", ids: "G5 G7", file: guard,
			rule:   "Whether the marker is durable is found out although the caller gave up.",
			edits:  one("a.pass(context.WithoutCancel(ctx), b.To,", "a.pass(ctx, b.To,"),
			checks: []check{in("reparent", "TestG5_AHandOverWhoseMarkerIsDurableIsFinishedForACallerThatGaveUp")},
		},
		{
			name: "candidate-open-after-it-gave-up", ids: "G7", file: "examples/kv/takeover.go",
			rule:   "A candidate that gave up refuses what it cannot complete.",
			edits:  one("err != nil && ls != nil && ls.own.Term == t {", "err == nil && ls != nil && ls.own.Term == t {"),
			checks: []check{in("examples/kv", "TestG7_ACandidateThatGaveUpRefusesItsClients")},
		},
		{
			name: "drained-leader-declines", ids: "G9", file: "examples/kv/handover.go",
			rule: "That a leader is drained for somebody else is no proof that it leads on.",
			edits: []edit{
				{"phase.Phase.Ended():\n", "phase == nil:\n"},
				{"		return stepDown, nil, notProof{err}\n	}\n	ls := n.leading()\n", "		return stepDown, nil, err\n	}\n	ls := n.leading()\n"},
			},
			checks: []check{in("examples/kv", "TestG9_ALeaderThatIsDrainedAlreadyHandsOver")},
		},
		{
			name: "answer-taken-for-a-loss", ids: "G5", file: "examples/kv/handover.go",
			rule:   "A member's own word that the outcome is unknown is an answer.",
			edits:  one("lost.err == nil || lost.told || ctx", "lost.err == nil || ctx"),
			checks: []check{in("examples/kv", "TestG5_AnAnswerThatProvesNothingIsAnAnswer")},
		},
		{
			name: "disregarded-node-heard-in-a-handover", ids: "G5", file: guard,
			rule:   "Whose word of its log is disregarded is barred from a hand-over as well.",
			edits:  one("range slices.Sorted(maps.Keys(a.without)) {", "range slices.Sorted(maps.Keys(a.without))[:0] {"),
			checks: []check{in("reparent", "TestG5_WhoIsDisregardedIsBarredFromAHandOver")},
		},
		{
			name: "writes-in-flight-not-carried", ids: "G7 G9", file: "examples/kv/leader.go",
			rule:   "A leader that hands over answers what it took.",
			edits:  one("	if !carried {\n", "	if !carried || until.Num > 0 {\n"),
			checks: []check{in("examples/kv", "TestALeaderThatHandsOverAnswersWhatItTook")},
		},
		{
			name: "stage-completes", ids: "G1 G2", file: "leadership/acceptor/ops.go",
			rule:   "What is taken ahead of the grant is not completed before it.",
			edits:  one("	if granted {\n		next.lead = t\n	}\n", "	next.lead = t\n"),
			checks: []check{in("leadership/acceptor", "TestG1_WhatIsStagedIsNotCompletedBeforeTheGrant")},
		},
		{
			name: "staged-entries-lost-at-the-grant", ids: "G7", file: "leadership/acceptor/ops.go",
			rule:   "A grant takes nothing away from entries that were staged.",
			edits:  one("	if !staged { // tokens", "	if granted || !staged { // tokens"),
			checks: []check{in("leadership/acceptor", "TestG1_WhatIsStagedIsNotCompletedBeforeTheGrant")},
		},
	}
}
