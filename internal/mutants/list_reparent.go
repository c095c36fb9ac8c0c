package main

// reparentMutations are of the guard: the order of a change's steps, and what it
// says when one failed.
func reparentMutations() []mutation {
	const pkg = "reparent"
	fast := in(pkg, "Test[^GT].*", "TestG([2-8]|10)_.*") // no simulation
	kit := check{pkg: "reparent/reparenttest", run: "^TestG1_", env: []string{"TENURE_SEEDS=400"}}
	return []mutation{
		{
			name: "grant-before-activate", ids: "G1 G3", file: "reparent/attempt.go",
			rule:   "The record names the leader before it takes clients.",
			edits:  one("return a.activate(ctx, in) }); err != nil {", "_ = a.grant(ctx, in); return a.activate(ctx, in) }); err != nil {"),
			checks: []check{in(pkg, "TestG5_ACoordinatorKilledBeforeOrAfterAnyCallDoesNoHarmAndAnotherFinishes")},
		},
		{
			name: "activate-before-durable", ids: "G2 G3", file: "leadership/proposal.go",
			rule:   "The marker is durable before the record names the leader.",
			edits:  one("		if !rules.Durable(l, have) {\n			return nil, &NotDurableError{", "		if !have.Has(l) {\n			return nil, &NotDurableError{"),
			checks: []check{kit},
		},
		{
			name: "lease-of-the-reached-ignored", ids: "G1", file: "reparent/attempt.go",
			rule:   "A grant waits for the leases that the reached nodes honour.",
			edits:  one("	if wait > 0 {\n", "	if wait < 0 {\n"),
			checks: []check{in(pkg, "TestG1_AGrantWaitsForTheLeasesThatTheReachedNodesHonour")},
		},
		{
			name: "superseded-coordinator-goes-on", ids: "G1 G5", file: "reparent/attempt.go",
			rule:   "A coordinator that heard of a newer attempt stops before its next step.",
			edits:  one("if by := a.round.Superseded(); a.term.Less(by) {", "if by := a.round.Superseded(); false {"),
			checks: []check{in(pkg, "TestALateAnswerOfANewerAttemptStopsTheChangeBeforeItsNextStep")},
		},
		{
			name: "superseding-term-forgotten", ids: "G5", file: "reparent/run.go",
			rule:   "The next attempt of a guard is above the one that superseded it.",
			edits:  one("		a.g.heed(super.By)\n", "		_ = super.By\n"),
			checks: []check{in(pkg, "TestG5_TheNextAttemptOfAGuardIsAboveTheOneThatSupersededIt")},
		},
		{
			name: "next-stage-when-superseded", ids: "G5 G7", file: "reparent/revoke.go",
			rule:   "A coordinator that was superseded begins no other stage of its revocation.",
			edits:  one("	return err == nil || errors.As(err, &super)\n", "	return err == nil || errors.As(err, &super) && super == nil\n"),
			checks: []check{in(pkg, "TestG5_NoFurtherStageBeginsOnceANewerAttemptIsHeardOf")},
		},
		{
			name: "undo-under-the-old-term", ids: "G1 G5", file: "reparent/steps.go",
			rule: "An undo takes a new term.",
			edits: one("	a.term, err = a.g.nextTerm(seen...)\n",
				"	if a.change.Kind == leadership.KindUndo {\n		a.term = a.g.lastTerm\n	} else {\n		a.term, err = a.g.nextTerm(seen...)\n	}\n"),
			checks: []check{in(pkg, "TestAGrantThatFailsIsUndoneUnderANewTerm")},
		},
		{
			name: "undo-after-a-grant", ids: "G5", file: "reparent/run.go",
			rule:   "What was granted is not undone.",
			edits:  one("	case a.granted:\n", "	case a.granted && a.rep.Failed == StepSettle:\n"),
			checks: []check{in(pkg, "TestAnEmergencyGoesOnWithoutTheRegistryAndASweepBringsTheRecordBack")},
		},
		{
			name: "undo-when-superseded", ids: "G5", file: "reparent/run.go",
			rule:   "A change that was superseded undoes nothing: another coordinator is at work.",
			edits:  one("	case errors.As(err, &super):\n		r.Outcome = Superseded\n", "	case errors.As(err, &super) && super.By.IsZero():\n		r.Outcome = Superseded\n"),
			checks: []check{in(pkg, "TestALateAnswerOfANewerAttemptStopsTheChangeBeforeItsNextStep")},
		},
		{
			name: "not-started-after-a-promise", ids: "G9", file: "reparent/attempt.go",
			rule:   "A change that may have asked a node to promise is not reported as not started.",
			edits:  one("	a.touched = true\n", "	a.touched = false\n"),
			checks: []check{in(pkg, "TestAPlannedChangeThatFailsAtAnyStepLeavesWritesWorking")},
		},
		{
			name: "undo-beside-the-mechanisms", ids: "G8", file: "reparent/attempt.go",
			rule:   "An undo begins when the mechanisms of the attempt have ended.",
			edits:  one("		a.cancel()\n	}\n	a.joins.Wait()\n	a.stragglers()", "		a.cancel()\n	}\n	a.stragglers()"),
			checks: []check{in(pkg, "TestG8_AnUndoBeginsOnlyWhenTheMechanismsOfTheAttemptHaveEnded")},
		},
		{
			name: "leader-changed-meanwhile", ids: "G5", file: "reparent/steps.go",
			rule:   "A change that was planned against another leader is planned again.",
			edits:  one("		if r.Active != planned {", "		if false {"),
			checks: []check{in(pkg, "TestG5_AChangeThatWasPlannedAgainstAnotherLeaderIsNotStarted")},
		},
		{
			name: "late-router-ignored", ids: "G7", file: "reparent/quiet.go",
			rule:   "A planned change steps nobody down while a router is late.",
			edits:  one("if err != nil && a.change.orderly() && !a.change.GoOnIfLate {", "if false {"),
			checks: []check{in(pkg, "TestARouterThatIsLateEndsThePlannedChangeBeforeAnythingIsTouched")},
		},
		{
			name: "quiet-claimed-of-the-lapsed", ids: "G7 G9", file: "reparent/quiet.go",
			rule:   "Nothing is claimed of the requests of a router that lost its lease.",
			edits:  one("case len(call.Lapsed) > 0:", "case false:"),
			checks: []check{in(pkg, "TestARouterThatDiedIsWaitedForUntilItsLeaseHasLapsedAndNothingIsClaimedOfIt")},
		},
		{
			name: "quiet-for-another-intent", ids: "G7", file: "reparent/quiet.go",
			rule:   "What routers said counts only while the intent still stands.",
			edits:  one("	return a.write(ctx, func(r leadership.Record) (leadership.Record, error) { return r.Advance(a.term) })", "	return nil"),
			checks: []check{in(pkg, "TestWhatRoutersSaidForAnIntentThatNoLongerStandsIsWorthNothing")},
		},
		{
			name: "shortcut-without-registry", ids: "G1 G6", file: "reparent/steps.go",
			rule:   "In shortcut mode nobody is activated without the registry.",
			edits:  one("a.change.survivors() != nil || a.rec.Mode != leadership.Full || ctx.Err() != nil {", "a.change.survivors() != nil || ctx.Err() != nil {"),
			checks: []check{in(pkg, "TestG6_InShortcutModeNobodyIsGrantedWhenTheRegistryIsLostOnTheWay")},
		},
		{
			name: "stale-record-begins-blind", ids: "G1 G6", file: "reparent/plan.go",
			rule:   "In shortcut mode nothing begins without the registry.",
			edits:  one("!a.change.blind() || a.rec.Mode != leadership.Full || a.rec.Ruleset.IsZero()", "!a.change.blind() || a.rec.Ruleset.IsZero()"),
			checks: []check{in(pkg, "TestInShortcutModeNothingChangesWithoutTheRegistry")},
		},
		{
			name: "rule-of-the-record-taken-for-an-outage", ids: "G1 G5", file: "reparent/steps.go",
			rule:   "That the record refuses is no outage of the registry, without which an emergency goes on.",
			edits:  one("	return errors.As(err, &super) || errors.As(err, &trans) ||", "	return errors.As(err, &super) && super == nil || errors.As(err, &trans) ||"),
			checks: []check{in(pkg, "TestG5_AnEmergencyThatWasOvertakenInTheRecordDoesNotGoOnWithoutIt")},
		},
		{
			name: "shortcut-in-full-mode", ids: "G1 G6", file: "reparent/plan.go",
			rule:   "The record's leader is the only one to revoke in shortcut mode alone, where all keep the record.",
			edits:  one("if a.rec.Mode == leadership.Shortcut && !a.rec.Active.IsZero() {", "if !a.rec.Active.IsZero() {"),
			checks: []check{kit, fast},
		},
		{
			name: "bootstrap-on-data", ids: "G2", file: "reparent/plan.go",
			rule:   "A bootstrap never runs on data.",
			edits:  one("	if len(full) > 0 {", "	if len(full) > len(reads) {"),
			checks: []check{in(pkg, "TestABootstrapNeverRunsOnDataAndOnlyOnce")},
		},
		{
			name: "gone-node-not-barred", ids: "G2", file: "reparent/steps.go",
			rule:   "A node that was declared gone is barred in the record.",
			edits:  one("	for i, id := range w.Gone {\n", "	out = nil\n	for i, id := range w.Gone[:0] {\n"),
			checks: []check{in(pkg, "TestAWaiverLetsAPersonGoOnAndIsShown")},
		},
		{
			name: "bars-not-read", ids: "G2", file: "reparent/plan.go",
			rule:   "A round knows which nodes were declared gone.",
			edits:  one(", Barred: a.barred()}", "}"),
			checks: []check{in(pkg, "TestG2_ANodeThatWasDeclaredGoneIsNoEvidenceUntilItHasFollowed")},
		},
		{
			name: "step-down-failed-fence-anyway", ids: "G7", file: "reparent/guard.go",
			rule:   "A planned change whose leader did not step down ends, and fences nobody.",
			edits:  one("revoke.Then(revoke.Stage{Revoker: step, Must: true}, ", "revoke.Then(revoke.Stage{Revoker: step}, "),
			checks: []check{in(pkg, "TestAPlannedChangeDrainsTheLeaderOrFencesNobody", "TestAPlannedChangeThatFailsAtAnyStepLeavesWritesWorking")},
		},
		{
			name: "unknown-grant-called-incomplete", ids: "G9", file: "reparent/run.go",
			rule:   "A grant that failed and was not undone has an unknown outcome.",
			edits:  one("	case a.rep.Failed == StepGrant:\n", "	case a.rep.Failed == StepCheck:\n"),
			checks: []check{in(pkg, "TestG9_AGrantThatWasNotUndoneIsOfUnknownOutcome")},
		},
		{
			name: "unsaved-leader-called-incomplete", ids: "G9", file: "reparent/run.go",
			rule:   "A leader that serves and is not in the record yet is not reported as one that may not be there.",
			edits:  one("		r.Outcome = Unsaved\n", "		r.Outcome = Incomplete\n"),
			checks: []check{in(pkg, "TestAnEmergencyGoesOnWithoutTheRegistryAndASweepBringsTheRecordBack")},
		},
		{
			name: "vetoed-and-undone", ids: "G7", file: "reparent/attempt.go",
			rule:   "A hook that vetoes the revocation takes nothing from a leader that nobody was asked to give up.",
			edits:  one("	gap := time.Now()\n", "	gap := time.Now()\n	a.touched = true\n"),
			checks: []check{in(pkg, "TestAPlannedChangeThatFailsAtAnyStepLeavesWritesWorking")},
		},
		{
			name: "gateless-node-in-shortcut", ids: "G1 G10", file: "reparent/guard.go",
			rule:   "A node that takes clients when it is installed needs a gate of its own in shortcut mode.",
			edits:  one("n.GrantsAtInstall && !n.ClientGate {", "n.GrantsAtInstall && n.ID == \"\" {"),
			checks: []check{in(pkg, "TestG10_ANodeThatTakesClientsWhenInstalledNeedsAGateInShortcutMode")},
		},
		{
			name: "unenforceable-policy-taken", ids: "G2 G10", file: "reparent/guard.go",
			rule:   "A policy that an engine cannot keep is refused before anything is touched.",
			edits:  one("if err := n.Enforce.CanEnforce(rs); err != nil {", "if err := n.Enforce.CanEnforce(rs); err != nil && rs.IsZero() {"),
			checks: []check{in(pkg, "TestG10_.*")},
		},
		{
			name: "sweep-releases-unconverted", ids: "G1", file: "reparent/sweep.go",
			rule:   "A sweep releases an isolated node only after it promised.",
			edits:  one("	t, err := n.Promise.Promise(ctx, at)\n", "	t, err := n.Promise.Promise(ctx, at)\n	if err != nil {\n		t, err = leadership.Testimony{Node: n.ID, Term: at, Kind: leadership.Promised}, nil\n	}\n"),
			checks: []check{in(pkg, "TestG1_ASweepReleasesAnIsolatedNodeOnlyWhenItHasPromised")},
		},
		{
			name: "nobody-is-disregarded", ids: "G5", file: "reparent/disregard.go",
			rule:   "A log that keeps everybody from leading is disregarded where the others suffice.",
			edits:  one("if !may || !errors.As(err, &none) {", "if !may || !errors.As(err, &none) || len(a.statuses) > 0 {"),
			checks: []check{in("reparent/reparenttest", "TestTheShortestTracesThatAreKnownEndWell")},
		},
		{
			name: "disregarded-is-never-repaired", ids: "G5", file: "leadership/round.go",
			rule:   "Where a log ends that is no evidence is known all the same, so that its node can be repaired and follow.",
			edits:  one("	if at != nil && !r.read.Has(m) {", "	if at != nil && r.read.Has(m) {"),
			checks: []check{in(pkg, "TestG5_WhoIsDisregardedIsRepairedWhereItIsNeeded")},
		},
		{
			name: "disregarded-never-accepts", ids: "G5", file: "reparent/contest.go",
			rule:   "A node whose log is disregarded can be one of those on which the marker becomes durable.",
			edits:  one("a.without[id] == notEstablished || ", "a.without[id] != \"\" || "),
			checks: []check{in(pkg, "TestG5_WhoIsDisregardedIsRepairedWhereItIsNeeded")},
		},
		{
			name: "disregarded-under-a-waiver", ids: "G2", file: "reparent/disregard.go",
			rule:   "A waiver takes away a part of the tests, so that nobody is disregarded beside it.",
			edits:  one("may := !a.change.first() && a.change.Waiver == nil", "may := !a.change.first()"),
			checks: []check{in(pkg, "TestG2_NobodyIsDisregardedWhoseLogIsNeeded")},
		},
		{
			name: "failed-candidate-tried-again", ids: "G5", file: "reparent/run.go",
			rule:   "An undo does without the candidate that could not be established, where it can.",
			edits:  one("back.failed = a.rep.To", "back.failed = \"\""),
			checks: []check{in(pkg, "TestG5_AnUndoDoesWithoutTheCandidateThatCouldNotBeEstablished"), in("reparent/reparenttest", "TestTheShortestTracesThatAreKnownEndWell")},
		},
		{
			name: "sweep-repairs-on-a-guess", ids: "G2", file: "reparent/sweep.go",
			rule:   "A node is repaired only when it and its source have said where their logs end.",
			edits:  one("if out.Err = mends(l, s, lead); out.Err != nil {", "if out.Err = mends(l, s, lead); out.Err != nil && n.Repair == nil {"),
			checks: []check{in(pkg, "TestASweepRepairsNobodyOnAGuess")},
		},
		{
			name: "sweep-promises-below-the-hold", ids: "G1", file: "reparent/sweep.go",
			rule:   "An isolated node promises the term that it is held for before it is released.",
			edits:  one("			at = leadership.MaxTerm(at, h.Term)\n", "			at = leadership.MaxTerm(at, rec.Active.Term)\n"),
			checks: []check{in(pkg, "TestG1_ASweepReleasesIsolatedNodesBesideAnUnfinishedChange")},
		},
		{
			name: "sweep-waits-for-the-intent", ids: "G5", file: "reparent/sweep.go",
			rule:   "An intent that nobody cleared keeps no node isolated.",
			edits:  one("errors.As(err, &busy) && len(rec.Held) > 0 {", "errors.As(err, &busy) && false {"),
			checks: []check{in(pkg, "TestG1_ASweepReleasesIsolatedNodesBesideAnUnfinishedChange")},
		},
		{
			name: "sweep-leaves-strays", ids: "G5", file: "reparent/sweep.go",
			rule:   "A follower that holds what its leader has not is repaired, although it says that it follows.",
			edits:  one(" && !strays(s, lead):", ":"),
			checks: []check{in(pkg, "TestASweepRepairsAFollowerThatHoldsWhatItsLeaderHasNot")},
		},
		{
			name: "sweep-points-at-once", ids: "G5", file: "reparent/sweep.go",
			rule:   "A sweep repairs a node with a tail of its own before it follows.",
			edits:  one("	if !behind || s.BelowFloor {", "	if !behind && s.BelowFloor {"),
			checks: []check{in(pkg, "TestASweepRepairsANodeWithATailOfItsOwnBeforeItFollows", "TestASweepDoesNotPointANodeAtALeaderThatItCannotFollow")},
		},
		{
			name: "unfit-counted-as-willing", ids: "G5", file: "reparent/contest.go",
			rule:   "A change does not begin on nodes that promise and can never follow.",
			edits:  one("!n.Truncates && n.Repair == nil && !rev.Selection()", "!n.Truncates && n.Repair == nil && n.ID == \"\" && !rev.Selection()"),
			checks: []check{in(pkg, "TestAChangeDoesNotBeginOnNodesThatCanNeverFollow")},
		},
		{
			name: "isolated-counted-as-willing", ids: "G5", file: "reparent/contest.go",
			rule:   "A change does not begin on nodes that are isolated and cannot follow.",
			edits:  one("if a.held(p.Node) || !n.Truncates", "if !n.Truncates"),
			checks: []check{in(pkg, "TestAnIsolatedNodeIsNoCandidate")},
		},
		{
			name: "isolated-candidate", ids: "G5", file: "reparent/contest.go",
			rule:   "An isolated node is no candidate.",
			edits:  one("n.Candidate != nil && !a.held(m.ID)", "n.Candidate != nil"),
			checks: []check{in(pkg, "TestAnIsolatedNodeIsNoCandidate")},
		},
		{
			name: "mode-not-stated", ids: "G1 G6", file: "reparent/guard.go",
			rule:   "A guard that has not read the record goes on without it only in a mode that is stated.",
			edits:  one("		if cfg.Mode != leadership.Full {\n", "		if cfg.Mode == \"\" {\n			cfg.Mode = leadership.Full\n		}\n		if cfg.Mode != leadership.Full {\n"),
			checks: []check{in(pkg, "TestG1_AGuardThatNeverReadTheRecordGoesOnWithoutItOnlyInAModeThatIsStated")},
		},
		{
			name: "wrong-mode-taken", ids: "G1 G6", file: "reparent/plan.go",
			rule:   "A guard that was told the wrong mode changes nothing.",
			edits:  one("if m := a.g.cfg.Mode; m != \"\" && m != a.rec.Mode {", "if m := a.g.cfg.Mode; false {"),
			checks: []check{in(pkg, "TestG1_AGuardThatNeverReadTheRecordGoesOnWithoutItOnlyInAModeThatIsStated")},
		},
		{
			name: "out-of-time-without-reason", ids: "G6", file: "reparent/revoke.go",
			rule:   "A revocation that runs out of time says what the nodes said.",
			edits:  one("					failed = errors.Join(failed, <-ended)\n", "					<-ended\n"),
			checks: []check{in(pkg, "TestAChangeThatRunsOutOfTimeSaysWhatTheNodesSaid")},
		},
		{
			name: "made-ready-while-held", ids: "G7", file: "reparent/attempt.go",
			rule:   "What nodes can do before clients are held is not done while they are.",
			edits:  one("		{StepPrepare, a.prepare},\n		{StepHold, a.hold},\n", "		{StepHold, a.hold},\n		{StepPrepare, a.prepare},\n"),
			checks: []check{in(pkg, "TestNodesAreMadeReadyBeforeClientsAreHeldAndNothingRestsOnIt")},
		},
		{
			name: "unreadiness-not-told", ids: "G6", file: "reparent/prepare.go",
			rule:   "A node that could not be made ready is in the report.",
			edits:  one("		if err != nil {\n", "		if err != nil && i < 0 {\n"),
			checks: []check{in(pkg, "TestNodesAreMadeReadyBeforeClientsAreHeldAndNothingRestsOnIt")},
		},
	}
}
