package main

// oneCallMutations are of changes in which the leader and its successor do their
// part in one call each.
func oneCallMutations() []mutation {
	const pkg, relay, guard = "reparent/handover", "reparent/handover/relay.go", "reparent/retire.go"
	const incoming, kv = "reparent/handover/incoming.go", "examples/kv"
	return []mutation{
		{
			name: "retired-without-a-drain", ids: "G7 G9", file: relay,
			rule:   "A leader that could not drain does not step down.",
			edits:  one("	d, err := n.Drain(ctx, r.Term, r.Drain)\n	if err != nil {\n", "	d, err := n.Drain(ctx, r.Term, r.Drain)\n	if err != nil && r.Drain < 0 {\n"),
			checks: []check{in(pkg, "TestALeaderThatCannotDrainDoesNotStepDown")},
		},
		{
			name: "retired-for-nobody", ids: "G8", file: relay,
			rule:   "A leader whose caller has gone while it drained does not step down.",
			edits:  one("	if ctx.Err() != nil {\n", "	if ctx.Err() != nil && r.Drain < 0 {\n"),
			checks: []check{in(pkg, "TestG8_NobodyRetiresForACallerThatHasGone")},
		},
		{
			name: "retirement-not-executed-after-the-drain", ids: "G9", file: relay,
			rule:   "What fails after a drain is no proof that nothing was done.",
			edits:  one("return Retired{Drained: &d}, nodecall.Partial{Err: err}", "return Retired{Drained: &d}, err"),
			checks: []check{in(pkg, "TestG9_WhatFailsAfterADrainProvesNothingOfTheWhole")},
		},
		{
			name: "candidate-told-what-it-said", ids: "G2 G3", file: relay,
			rule:   "A candidate testifies itself, and takes nobody's word for it.",
			edits:  one("		case t.Node == b.To:\n", "		case t.Node == \"\":\n"),
			checks: []check{in(pkg, "TestG10_ARelayThatSaysTooMuchIsRefusedAndNothingOfItTaken")},
		},
		{
			name: "relay-of-another-term", ids: "G1 G3", file: relay,
			rule:   "What is relayed is of the term of the release.",
			edits:  one("		case t.Term != b.Term || t.Kind == leadership.Refused:\n", "		case t.Kind == leadership.Refused:\n"),
			checks: []check{in(pkg, "TestG10_ARelayThatSaysTooMuchIsRefusedAndNothingOfItTaken")},
		},
		{
			name: "relay-counted-twice", ids: "G5", file: incoming,
			rule:   "The same relay again changes nothing.",
			edits:  one("	if c.release != nil {\n		return nil\n", "	if c.release != nil && len(heard) == 0 {\n		return nil\n"),
			checks: []check{in(pkg, "TestTheSameRelayAgainChangesNothing")},
		},
		{
			name: "relay-of-what-the-candidate-said", ids: "G5", file: relay,
			rule:   "A relay leaves out what the candidate has said.",
			edits:  one("		return t.Node == b.To || t.Node == b.From ||", "		return t.Node == b.From ||"),
			checks: []check{in(pkg, "TestARelayHasWhatOthersSaidAndNothingElse")},
		},
		{
			name: "taken-over-in-shortcut-mode", ids: "G1 G6", file: guard,
			rule:   "In mode Shortcut no successor takes over by itself.",
			edits:  one("a.rec.Mode == leadership.Full &&", "a.rec.Mode != \"\" &&"),
			checks: []check{in("reparent", "TestG6_InShortcutModeTheSuccessorDoesNotTakeOverByItself")},
		},
		{
			name: "not-started-although-a-spare-was-asked", ids: "G9", file: "reparent/run.go",
			rule:   "A change for which a spare was asked to promise was begun.",
			edits:  one("	if a.spared {\n", "	if a.spared && err == nil {\n"),
			checks: []check{in("reparent", "TestG9_ALeaderThatDoesNotRetireLeadsOnOnlyWithProof")},
		},
		{
			name: "retirement-of-another", ids: "G1 G3", file: guard,
			rule:   "A leader that retires testifies for itself and for the term it was asked.",
			edits:  one("	if t.Node != a.from || t.Term != a.term {\n", "	if t.Node == \"\" {\n"),
			checks: []check{in("reparent", "TestG9_ALeaderThatDoesNotRetireLeadsOnOnlyWithProof")},
		},
		{
			name: "retirement-contradiction-believed", ids: "G9", file: guard,
			rule:   "A leader that refuses to retire for a promise that is not above the term proves nothing.",
			edits:  one("	if err = nodecall.Judge(a.term, err); err != nil {\n", "	if err != nil {\n"),
			checks: []check{in("reparent", "TestG9_ALeaderThatDoesNotRetireLeadsOnOnlyWithProof")},
		},
		{
			name: "taken-over-on-too-little", ids: "G7", file: guard,
			rule:   "A successor is not asked to take over on what cannot be enough.",
			edits:  one("		if a.supposing(said, a.change.To) == nil {\n", "		if len(said) > 0 {\n"),
			checks: []check{in("reparent", "TestLeaderAndSuccessorDoTheirPartInOneCallEach")},
		},
		{
			name: "spares-that-the-leader-needs", ids: "G7", file: guard,
			rule:   "Nobody promises early whom the leader needs for what is in flight.",
			edits:  one("		if a.doesWithout(rules, append(ids, id)) {\n", "		if len(rules) > 0 {\n"),
			checks: []check{in("reparent", "TestLeaderAndSuccessorDoTheirPartInOneCallEach")},
		},
		{
			name: "spares-that-are-down-counted", ids: "G7", file: guard,
			rule:   "Who does not answer does not complete what is in flight.",
			edits:  one("a.supports(id) && !slices.Contains(gone, id)", "!slices.Contains(gone, id)"),
			checks: []check{in("reparent", "TestLeaderAndSuccessorDoTheirPartInOneCallEach")},
		},
		{
			name: "spares-that-left-the-leader-counted", ids: "G7", file: guard,
			rule:   "Who has promised above the leader's term does not complete what is in flight.",
			edits:  one("s.Reachable && !led.Less(s.Promised)", "s.Reachable"),
			checks: []check{in("reparent", "TestG7_ASpareIsNotTakenFromALeaderThatOthersHaveLeft")},
		},
		{
			name: "spares-that-do-not-help", ids: "G7", file: guard,
			rule:   "Nobody promises early who does not help to prove.",
			edits:  one("for i := 0; i < len(ids); {", "for i := 0; i < 0; {"),
			checks: []check{in("reparent", "TestNobodyIsASpareWhoDoesNotHelp")},
		},
		{
			name: "undo-of-a-newer-attempt", ids: "G5 G9", file: "reparent/run.go",
			rule:   "An undo leaves alone whom a newer attempt made the leader, also when no node told of it.",
			edits:  one("!c.undoes.Less(r.Fence) || !led && !under {", "!c.undoes.Less(r.Fence) || led || under || r.Version > 0 {"),
			checks: []check{in("reparent", "TestG5_AnUndoLeavesTheLeaderOfANewerAttemptAlone")},
		},
		{
			name: "undo-not-made-for-an-abandoned-attempt", ids: "G5", file: "reparent/run.go",
			rule:   "A newer attempt that was abandoned, and under which nobody led, keeps nobody from an undo.",
			edits:  one("!c.undoes.Less(r.Fence) || !led && !under {", "!c.undoes.Less(r.Fence) || r.Version == 0 && (led || under) {"),
			checks: []check{in("reparent", "TestG5_AnUndoIsMadeAlthoughANewerAttemptWasAbandoned")},
		},
		{
			name: "release-counted-before-what-was-heard", ids: "G1 G2", file: incoming,
			rule:   "What may have been read before the step-down counts as if it was.",
			edits:  one("slices.Concat(heard, []leadership.Testimony{r.StepDown}, c.early)", "slices.Concat([]leadership.Testimony{r.StepDown}, heard, c.early)"),
			checks: []check{in(pkg, "TestG2_WhatMayHaveBeenReadBeforeTheStepDownCountsAsIfItWas")},
		},
		{
			name: "take-over-judged-by-what-came-later", ids: "G5", file: guard,
			rule:   "A take-over is judged by what the successor was told.",
			edits:  one("	}, told.Revocation)\n", "	}, a.round.Revocation)\n"),
			checks: []check{in("reparent", "TestG5_ATakeOverIsJudgedByWhatTheSuccessorWasTold")},
		},
		{
			name: "limit-of-the-revocation-ends-a-relay", ids: "G5", file: guard,
			rule:   "A leader that has retired when time runs out is followed by the ordinary way.",
			edits:  one("			waiting = false // the ordinary", "			return nil, context.Cause(ctx) // the ordinary"),
			checks: []check{in("reparent", "TestALeaderThatRetiredAtTheLimitIsFollowedByTheOrdinaryWay")},
		},
		{
			name: "successor-waits-for-nobody", ids: "G7", file: "examples/kv/takeover.go",
			rule:   "A successor that was told all waits for nothing more.",
			edits:  one("		case told, errors.As(", "		case errors.As("),
			checks: []check{in(kv, "TestASuccessorThatWasToldTooLittleSaysSoAtOnce")},
		},
		{
			name: "newer-attempt-lost-on-the-wire", ids: "G5", file: "examples/kv/errors.go",
			rule:   "An outcome that is unknown still tells of a newer attempt.",
			edits:  one("		if !w.Promised.IsZero() {\n", "		if w.Promised.IsZero() {\n"),
			checks: []check{in(kv, "TestG5_AnUnknownOutcomeStillTellsOfANewerAttempt")},
		},
		{
			name: "simulated-successor-waits-for-nobody", ids: "G7", file: "reparent/reparenttest/modeltakeover.go",
			rule:   "A simulated successor that was told all waits for nothing more.",
			edits:  one("			return told || !errors.As(", "			return told && n == nil || !errors.As("),
			checks: []check{in("reparent", "TestASuccessorThatWasToldTooLittleIsNotWaitedFor")},
		},
		{
			name: "follower-named-a-straggler", ids: "G9", file: "reparent/attempt.go",
			rule:   "Who follows the new leader is no straggler, whether the coordinator heard its promise or not.",
			edits:  one("		if !a.granted && !heard || a.granted", "		if !heard || a.granted"),
			checks: []check{in("reparent", "TestG9_WhoFollowsTheSuccessorIsNoStraggler")},
		},
		{
			name: "drained-again-after-it-retired", ids: "G7", file: "reparent/revoke.go",
			rule:   "A leader that has retired is not drained again.",
			edits:  one("	case a.retired != nil:\n", "	case a.retired != nil && a.from == \"\":\n"),
			checks: []check{in("reparent", "TestLeaderAndSuccessorDoTheirPartInOneCallEach", "TestASpareThatDoesNotAnswerIsNotWaitedForLong")},
		},
		{
			name: "others-heard-of-the-successor", ids: "G5", file: guard,
			rule:   "What others said counts as the coordinator heard it.",
			edits:  one("		if !own[t.Node] || t.Kind == leadership.Refused {\n", "		if len(own) > 0 || t.Kind == leadership.Refused {\n"),
			checks: []check{in("reparent", "TestG5_ASuccessorIsNotAskedWhatOthersSaid")},
		},
		{
			name: "successor-not-asked-again", ids: "G5", file: guard,
			rule:   "A successor whose answer is lost is asked again.",
			edits:  one("		case ctx.Err() == nil:\n", "		case ctx.Err() == nil && to.HandOver == nil:\n"),
			checks: []check{in("reparent", "TestG5_ASuccessorWhoseAnswerIsLostIsAskedAgain")},
		},
		{
			name: "take-over-forgotten-for-who-gave-up", ids: "G5 G7", file: guard,
			rule:   "Whether a take-over was begun is found out although the caller gave up.",
			edits:  one("		case to.HandOver != nil:\n", "		case to.HandOver == nil:\n"),
			checks: []check{in("reparent", "TestG5_ATakeOverWhoseMarkerIsDurableIsFinishedForACallerThatGaveUp")},
		},
		{
			name: "behind-and-not-brought-level", ids: "G7", file: guard,
			rule:   "A successor that is not known to have what the leader had is brought level first.",
			edits:  one("	return ok && also && to.Extends(from)\n", "	return ok && also && (to.Extends(from) || from.Extends(to))\n"),
			checks: []check{in("reparent", "TestASuccessorThatIsKnownToBeLevelIsNotBroughtLevel")},
		},
	}
}
