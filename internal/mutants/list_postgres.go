package main

// postgresMutations take out the rules of the nodes that are PostgreSQL servers.
func postgresMutations() []mutation {
	const (
		pkg = "reparent/pgnode"
		dir = pkg + "/"
	)
	ms := []mutation{
		{
			name: "postgres-step-down-with-an-open-gate", ids: "G1", file: dir + "shut.go",
			rule:   "The gate is closed before a step-down is reported.",
			edits:  one("	if _, err := o.gate(false); err != nil {\n		return err\n	}\n	// They take", "	// They take"),
			checks: []check{in(pkg, "TestAStepDownInOrderLeavesAPrimaryThatCompletesNothing")},
		},
		{
			name: "postgres-senders-that-still-answer", ids: "G1 G2", file: dir + "shut.go",
			rule: "A step-down waits until every process that sends the log has taken in that it answers for nobody.",
			edits: []edit{
				{"	if err := o.unanswered(s); err != nil {\n		return err\n	}\n", ""},
				// One that hears nothing reports no place either, and is mostly found by that.
				{"		return enough && have == all, nil\n", "		return enough, nil\n"},
			},
			checks: []check{part(in(pkg, "TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting"), "a_process_that_answers")},
		},
		{
			name: "postgres-step-down-beside-workers", ids: "G1", file: dir + "shut.go",
			rule: "A server in which something writes that is no session is stopped.",
			edits: []edit{
				{"	if a := alien(kinds); len(a) > 0 {", "	if a := alien(kinds); len(a) > len(kinds) {"},
				// The worker of a subscription is found by that as well.
				{"	if r[0] != \"0\" {\n		return state{}, errStop(\"it subscribes", "	if r[0] == \"\" {\n		return state{}, errStop(\"it subscribes"},
			},
			checks: []check{part(in(pkg, "TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting"), "a_worker_that")},
		},
		{
			name: "postgres-step-down-with-a-subscription", ids: "G1", file: dir + "shut.go",
			rule:   "A server that subscribes to another cluster's changes is stopped: their worker may come at any moment.",
			edits:  one("	if r[0] != \"0\" {\n		return state{}, errStop(\"it subscribes", "	if r[0] == \"\" {\n		return state{}, errStop(\"it subscribes"),
			checks: []check{part(in(pkg, "TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting"), "a_subscription")},
		},
		{
			name: "postgres-last-position-before-the-end", ids: "G2", file: dir + "shut.go",
			rule:   "The position of a step-down is read when all that was completed is settled on disk.",
			edits:  one("SELECT pg_logical_emit_message(true, 'tenure', ''); COMMIT", "COMMIT"),
			checks: []check{in(pkg, "TestTheLastPositionOfALeaderHasWhatWasCompletedWithoutTheDisk")},
		},
		{
			name: "postgres-shut-server-goes-on", ids: "G1 G2", file: dir + "server.go",
			rule:   "A server that stepped down is stopped before it is anything else.",
			edits:  one("	if o.own.Shut != nil {\n", "	if o.own.Shut != nil && o.own.System == 0 {\n"),
			checks: []check{in(pkg, "TestAStepDownInOrderLeavesAPrimaryThatCompletesNothing")},
		},
		{
			name: "postgres-leader-comes-back-as-one", ids: "G1", file: dir + "install.go",
			rule:   "A leader that is started anew is a standby, whoever starts it.",
			edits:  one("	if err := o.standby(); err != nil {\n		return st, err\n	}\n", ""),
			checks: []check{in(pkg, "TestAFenceOutlivesARestartAndAnEndedReceiverIsNone")},
		},
		{
			name: "postgres-commit-not-seen-to-wait", ids: "G3", file: dir + "install.go",
			rule:   "Standbys are named once a commit was seen to wait: until then commits may wait for nobody.",
			edits:  one("	if r[0] == nobody && names != \"\" {\n", "	if r[0] == nobody && names == \"\" {\n"),
			checks: []check{in(pkg, "TestG3_AServerWhoseCommitsDoNotWaitYetIsNotInstalled")},
		},
		{
			name: "postgres-names-without-the-term", ids: "G1", file: dir + "names.go",
			rule:   "A standby acknowledges under a name with the term in it, which counts in no other.",
			edits:  one("	suffix := \"_t\" + t.String()\n", "	suffix := \"_t\" + t.Proposer\n"),
			checks: []check{in(pkg, "TestNoTwoNodesAcknowledgeUnderOneName")},
		},
		{
			name: "postgres-told-to-promote-and-not-noted", ids: "G1 G4", file: dir + "install.go",
			rule:   "That a server was told to promote is on disk before it is told, so that a higher promise stops it.",
			edits:  one("own.Granted, own.Started, own.Told = leadership.Term{}, \"\", true\n", "own.Granted, own.Started, own.Told = leadership.Term{}, \"\", false\n"),
			checks: []check{in(pkg, "TestAServerThatWasToldToPromoteIsStoppedByAHigherPromise")},
		},
		{
			name: "postgres-promotion-that-ends-in-a-stop", ids: "G1 G5", file: dir + "server.go",
			rule:   "A server that promotes while it is stopped is a standby all the same when it is started.",
			edits:  one("	// A promotion that ended meanwhile has removed it.\n	if err := o.standby(); err != nil {\n		return err\n	}\n", ""),
			checks: []check{in(pkg, "TestAServerThatWasToldToPromoteIsStoppedByAHigherPromise")},
		},
		{
			name: "postgres-timelines-of-one-term", ids: "G2", file: dir + "install.go",
			rule:   "No server begins a second timeline of one term.",
			edits:  one("if err == nil && !st.point.term().Less(l.Term) {", "if err == nil && l.Term.Less(st.point.term()) {"),
			checks: []check{in(pkg, "TestAServerThatRestartsBetweenItsMarkerAndItsGrantNeedsANewTerm")},
		},
		{
			name: "postgres-gate-open-before-a-commit", ids: "G1 G9", file: dir + "install.go",
			rule:   "A grant opens the gate when a commit got through.",
			edits:  one("	if !st.last.Decided {\n", "	if st.last.Decided {\n"),
			checks: []check{in(pkg, "TestAPromotedServerWaitsForItsStandbysBeforeItTakesAClient")},
		},
		{
			name: "postgres-grant-by-a-cancelled-wait", ids: "G1 G9", file: dir + "install.go",
			rule:   "A commit whose wait was cancelled is none that got through.",
			edits:  one("	if s.unreplicated() {\n", "	if s.unreplicated() && t.IsZero() {\n"),
			checks: []check{in(pkg, "TestAGrantWhoseCommitWasNotWaitedForIsNone")},
		},
		{
			name: "postgres-receiver-not-waited-for", ids: "G1", file: dir + "server.go",
			rule:   "A promise is reported when the walreceiver is gone: until then it flushes and acknowledges.",
			edits:  one("	if err == nil || o.ctx.Err() != nil {\n		return s, err\n	}\n	return o.restarted(s)\n", "	_ = err\n	return s, nil\n"),
			checks: []check{in(pkg, "TestAPromiseEndsAReceiverThatDoesNotHearIt")},
		},
		{
			name: "postgres-sessions-of-earlier-operations", ids: "G1", file: dir + "server.go",
			rule:   "The sessions of earlier operations are ended before a promise is reported: what they were told would land after it.",
			edits:  one("	if err := o.alone(s); err != nil {\n		return o.demoted(StopFast, StopImmediate, StopKill)\n	}\n", ""),
			checks: []check{in(pkg, "TestG1_AStatementOfAnOperationThatIsOverDoesNotLandAfterAPromise")},
		},
		{
			name: "postgres-fence-that-was-not-noted", ids: "G1 G4", file: dir + "node.go",
			rule:   "A promise of which it could not be put on disk that it was carried out is not reported.",
			edits:  one("	o.own = before\n	return errors.Join(failed, err)\n", "	o.own = before\n	_ = errors.Join\n	return err\n"),
			checks: []check{in(pkg, "TestWhatCouldNotBeNotedIsDoneAgain")},
		},
		{
			name: "postgres-controller-believed", ids: "G1", file: dir + "server.go",
			rule:   "A server that answers has not ended, whatever its Controller says.",
			edits:  one("	case err == nil || errors.As(err, &answer):\n		return errors.New(", "	case o.ctx == nil && errors.As(err, &answer):\n		return errors.New("),
			checks: []check{in(pkg, "TestAControllerIsNotBelievedWhileTheServerAnswers")},
		},
		{
			name: "postgres-log-that-is-not-replayed", ids: "G2", file: dir + "read.go",
			rule: "A log ends where the startup process says that it found no more, and not where nothing happens.",
			edits: []edit{
				{"		if st.idle() && looked && st.replay == at {", "		if looked && st.replay == at {"},
				{"		at, looked = st.replay, st.idle()\n", "		at, looked = st.replay, true\n"},
			},
			checks: []check{in(pkg, "TestWhatAStandbyAcknowledgedSurvivesItsRestartWhileTheLeaderIsDead")},
		},
		{
			name: "postgres-diverged-log-attached", ids: "G1 G2", file: dir + "follow.go",
			rule:   "A node whose log is no part of its leader's is not attached: it would acknowledge what it never received.",
			edits:  one("	if !theirs.point.Contains(st.point) {\n		return &NotAncestorError", "	if !theirs.point.Contains(st.point) && l.Term.IsZero() {\n		return &NotAncestorError"),
			checks: []check{in(pkg, "TestAnOldLeaderWithATailIsNotAttachedBeforeItIsRewound")},
		},
		{
			name: "postgres-cancelled-wait-is-a-success", ids: "G9", file: dir + "sql.go",
			rule:   "A commit whose wait for standbys was cancelled is no success.",
			edits:  one("	case err == nil && !waited:\n", "	case err == nil && !waited && c == nil:\n"),
			checks: []check{part(in(pkg, "TestG9_ServersThatAnswerForCommitsThatNoStandbyHas"), "a_cancelled_wait")},
		},
		{
			name: "postgres-lost-answer-was-never-sent", ids: "G9", file: dir + "sql.go",
			rule:   "A statement that was handed over and not answered may have been executed, whatever the driver says.",
			edits:  one("	case errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err), c.Conn.Conn().IsClosed():\n", "	case c == nil:\n"),
			checks: []check{part(in(pkg, "TestG9_ServersThatAnswerForCommitsThatNoStandbyHas"), "a_lost_reply")},
		},
		{
			name: "postgres-commit-cancelled-with-its-context", ids: "G9", file: dir + "sql.go",
			rule:   "A commit on its way is never cancelled: that shows a row that no standby has.",
			edits:  one("		if up.Load() {\n", "		if up.Load() && network == \"\" {\n"),
			checks: []check{part(in(pkg, "TestG9_ServersThatAnswerForCommitsThatNoStandbyHas"), "a_client_that_goes_away")},
		},
	}
	return onServers("postgres", ms)
}

// part is the check with those subtests alone that the pattern matches: others start
// servers, too.
func part(c check, pattern string) check {
	c.run += "/" + pattern
	return c
}
