package main

// oneCallMutations are of changes in which the leader and its successor do their
// part in one call each.
func oneCallMutations() []mutation {
	const pkg, relay, guard = "reparent/handover", "reparent/handover/relay.go", "reparent/retire.go"
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
			name: "relay-counted-twice", ids: "G5", file: relay,
			rule:   "The same relay again changes nothing.",
			edits:  one("err := c.Take(r.Release); err != nil || again {", "err := c.Take(r.Release); err != nil || again && len(r.Heard) == 0 {"),
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
			edits:  one("a.answers(id) && !slices.Contains(gone, id)", "!slices.Contains(gone, id)"),
			checks: []check{in("reparent", "TestLeaderAndSuccessorDoTheirPartInOneCallEach")},
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
