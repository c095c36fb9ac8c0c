package main

// revokeMutations are of the mechanisms that revoke and establish.
func revokeMutations() []mutation {
	const rev, est, call = "revoke", "establish", "internal/nodecall"
	return []mutation{
		{
			name: "isolated-before-it-is-recorded", ids: "G1 G5", file: "revoke/isolate.go",
			rule:   "An isolation is in the record before the node is isolated, so that somebody can release it.",
			edits:  one("return r.Hold(leadership.Isolation{Node: id, Term: t, By: i.by})", "_, err := r.Hold(leadership.Isolation{Node: id, Term: t, By: i.by})\n		return r, err"),
			checks: []check{in(rev, "TestTheHoldIsRecordedBeforeTheNodeIsIsolated")},
		},
		{
			name: "unconverted-node-released", ids: "G1", file: "revoke/isolate.go",
			rule:   "A node that did not promise stays isolated.",
			edits:  one("if _, err := rec.Release(t); err != nil {", "if _, err := rec.Release(t); err != nil && t.Term.IsZero() {"),
			checks: []check{in(rev, "TestAnUnconvertedNodeStaysIsolated")},
		},
		{
			name: "isolation-counts-as-a-promise", ids: "G1", file: "revoke/isolate.go",
			rule:   "An isolation is a held block: it ends when it is released.",
			edits:  one("Kind: leadership.Isolated, Held: true,", "Kind: leadership.Promised,"),
			checks: []check{in(rev, "TestTheHoldIsRecordedBeforeTheNodeIsIsolated", "TestSeveralNodesAreIsolatedEachWithItsHold", "Test.*")},
		},
		{
			name: "late-isolation-is-a-newer-attempt", ids: "G5", file: "revoke/isolate.go",
			rule:   "An isolation that is refused because the node was let go at its term ends no attempt.",
			edits:  one("refused(id, t, err); ok {", "refused(id, leadership.Term{}, err); ok {"),
			checks: []check{in(rev, "TestAnIsolationOfATermThatReleasedTheNodeIsRefusedAndEndsNoAttempt")},
		},
		{
			name: "lease-wait-dropped", ids: "G1", file: "revoke/lease.go",
			rule:   "A lease is reported as expired only after the wait.",
			edits:  one("if wait > 0 && !nodecall.Sleep(ctx, wait) {", "if wait < 0 && !nodecall.Sleep(ctx, wait) {"),
			checks: []check{in(rev, "TestALeaseIsReportedOnlyAfterTheWait")},
		},
		{
			name: "lease-wait-without-rate", ids: "G1", file: "revoke/lease.go",
			rule:   "The wait for a lease allows for clocks that run at different rates.",
			edits:  one("float64(left) * (1 + rho) / (1 - rho) * (1 + 1e-15)", "float64(left) * (1 + 1e-15)"),
			checks: []check{in(rev, "TestLeaseWaitCoversTheSameTimeOnASlowerClock")},
		},
		{
			name: "step-down-without-drain", ids: "G7", file: "revoke/stepdown.go",
			rule:   "A leader that could not drain is not stepped down.",
			edits:  one("		return s.failed(id, \"drain\", ask.Term, err, report)\n", "		_ = s.failed(id, \"drain\", ask.Term, err, report)\n"),
			checks: []check{in(rev, "TestALeaderThatCouldNotDrainIsNotSteppedDown")},
		},
		{
			name: "fence-during-the-drain", ids: "G7", file: "revoke/combine.go",
			rule:   "A stage that must succeed ends before the next begins: followers are not fenced during the drain.",
			edits:  one("if st.Must || st.Bound == 0 {", "if !st.Must && st.Bound == 0 {"),
			checks: []check{in(rev, "TestAStageThatMustSucceedIsWaitedForAndItsFailureIsTheEnd")},
		},
		{
			name: "failed-stage-goes-on", ids: "G7", file: "revoke/combine.go",
			rule:   "When a stage that must succeed has failed, no other begins.",
			edits:  one("if st.Must && errs[i] != nil {", "if false {"),
			checks: []check{in(rev, "TestAStageThatMustSucceedIsWaitedForAndItsFailureIsTheEnd")},
		},
		{
			name: "promise-for-another-term", ids: "G1 G3", file: "revoke/push.go",
			rule:   "An adapter's answer counts for the term it names.",
			edits:  one("	if t.Term != term {", "	t.Term = term\n	if t.Term != term {"),
			checks: []check{in(rev, "TestAnAdapterThatAnswersForAnotherNodeOrTermProvesNothing")},
		},
		{
			name: "promise-of-another-node", ids: "G1 G3", file: "revoke/push.go",
			rule:   "An adapter's answer counts for the node it names.",
			edits:  one("	if t.Node != id {", "	t.Node = id\n	if t.Node != id {"),
			checks: []check{in(rev, "TestAnAdapterThatAnswersForAnotherNodeOrTermProvesNothing")},
		},
		{
			name: "refusal-hides-a-lost-call", ids: "G9", file: "internal/nodecall/nodecall.go",
			rule:  "A refusal after a call whose answer was lost proves nothing about that call.",
			edits: one("				before = unknown\n", "				return err\n"),
			checks: []check{
				in(call, "TestARefusalThatNamesNoHigherTermIsNotTheLastWord"),
				in(rev, "TestG9_ARefusalAfterALostAnswerIsNoProof"), in(est, "TestG9_.*"),
			},
		},
		{
			name: "what-was-said-is-lost", ids: "G6", file: "internal/nodecall/nodecall.go",
			rule:   "A call that is given up says what the node said before.",
			edits:  one("			before := said\n", "			before, _ := error(nil), said\n"),
			checks: []check{in(call, "TestACallThatIsGivenUpSaysWhatTheNodeSaidBefore")},
		},
		{
			name: "refusal-at-the-term-is-final", ids: "G5", file: "internal/nodecall/nodecall.go",
			rule:   "Only a refusal that names a promise above the term ends the asking.",
			edits:  one("	if stale == nil || !t.Less(stale.Promised) {\n", "	if stale == nil {\n"),
			checks: []check{in(call, "TestARefusalThatNamesNoHigherTermIsNotTheLastWord"), in(rev, "TestANodeThatNamesTheAskedTermIsAskedAgain")},
		},
		{
			name: "refusal-at-the-term-is-proof", ids: "G9", file: "internal/nodecall/nodecall.go",
			rule:   "A refusal that names no promise above the term does not prove that nothing was executed.",
			edits:  one("	if stale == nil || t.Less(stale.Promised) {\n", "	if stale == nil || true {\n"),
			checks: []check{in(call, "TestARefusalThatNamesNoHigherTermIsNotTheLastWord")},
		},
		{
			name: "first-refusal-hides-the-highest", ids: "G5", file: "internal/nodecall/nodecall.go",
			rule:   "Of several refusals the one that names the highest promise counts.",
			edits:  one("(top == nil || top.Promised.Less(s.Promised))", "top == nil"),
			checks: []check{in(call, "TestARefusalThatNamesNoHigherTermIsNotTheLastWord")},
		},
		{
			name: "half-a-revocation-denied", ids: "G9", file: "revoke/revoke.go",
			rule:   "A mechanism of which a part succeeded does not report that nothing was executed.",
			edits:  one("		return nodecall.Partial{Err: err}\n	}\n	return err\n}\n\n", "		return err\n	}\n	return err\n}\n\n"),
			checks: []check{in(rev, "TestANodeThatPromisedMoreIsReportedAsRefusedWithThatTerm")},
		},
		{
			name: "candidate-not-level", ids: "G2", file: "establish/install.go",
			rule:   "A candidate holds the selected log before anything is installed.",
			edits:  one("if slices.Contains(p.Donors(), p.To()) || p.Selection().IsZero() {", "if slices.Contains(p.Donors(), p.To()) || len(p.Donors()) > 0 {"),
			checks: []check{in(est, "TestTheCandidateCatchesUpBeforeAnythingIsInstalled")},
		},
		{
			name: "follow-without-repair", ids: "G2", file: "establish/install.go",
			rule:   "A log that the selected one does not contain is repaired before it follows.",
			edits:  one("	if p.Selection().Extends(at) {", "	if p.Selection().Extends(at) || !at.IsZero() {"),
			checks: []check{in(est, "TestSource.*")},
		},
		{
			name: "install-half-done-denied", ids: "G9", file: "establish/install.go",
			rule:   "A refused install does not prove that nothing was installed.",
			edits:  one("		return nodecall.Partial{Err: err}\n", "		return err\n"),
			checks: []check{in(est, "TestG9_AnInstallThatIsRefusedDoesNotProveThatNothingWasInstalled")},
		},
		{
			name: "unready-candidate-chosen", ids: "G3", file: "establish/choose.go",
			rule:   "Only a node for which the round suffices is chosen.",
			edits:  one("	if err := c.Ready(id); err != nil {", "	if err := c.Ready(id); err != nil && id == \"\" {"),
			checks: []check{in(est, "TestChoose.*")},
		},
	}
}
