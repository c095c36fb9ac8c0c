package main

// mariadbMutations take out the rules of the nodes that are MariaDB servers.
func mariadbMutations() []mutation {
	const (
		pkg = "reparent/mariadbnode"
		dir = pkg + "/"
	)
	ms := []mutation{
		{
			name: "mariadb-promise-noted-after-read-only", ids: "G4", file: dir + "promise.go",
			rule: "The promise is written before read_only is asked for, which may never come.",
			edits: []edit{
				{"	if raised {\n		// Before read_only", "	if raised && !writes {\n		// Before read_only"},
				{"	if err := back.stands(t); err != nil {", "	if raised && writes {\n		if err := s.save(r); err != nil {\n			return leadership.Testimony{}, err\n		}\n		if err := s.ask(ctx, n.askRecord(&back)); err != nil {\n			return leadership.Testimony{}, err\n		}\n	}\n	if err := back.stands(t); err != nil {"},
			},
			checks: []check{in(pkg, "TestG9_ALeaderWithWaitingCommitsIsNotSteppedDownAndAnswersNobodyFalsely")},
		},
		{
			name: "mariadb-promise-not-read-back", ids: "G4", file: dir + "promise.go",
			rule:   "A promise is testified by what was read back.",
			edits:  one("	if err := back.stands(t); err != nil {", "	if err := back.stands(t); err != nil && t.IsZero() {"),
			checks: []check{in(pkg, "TestG4_APromiseThatIsNotThereIsNotTestified")},
		},
		{
			name: "mariadb-promise-in-the-binary-log", ids: "G4", file: dir + "session.go",
			rule:   "What a node notes is in no binary log, and replicated to nobody.",
			edits:  one("SET SESSION sql_log_bin=0, max_statement_time", "SET SESSION sql_log_bin=1, max_statement_time"),
			checks: []check{in(pkg, "TestG4_ThePromiseIsOutsideTheBinaryLogAndSurvivesACrash")},
		},
		{
			name: "mariadb-promise-lost-with-the-wait", ids: "G4", file: dir + "fence.go",
			rule:   "A message that failed takes what was left for later along: that is no wait that may be given up.",
			edits:  one("if failed == nil && wctx.Err() != nil", "if wctx.Err() != nil"),
			checks: []check{in(pkg, "TestG4_APromiseThatIsLostWithTheWaitForTheIOThreadIsNotTakenForWritten")},
		},
		{
			name: "mariadb-io-thread-goes-on", ids: "G1", file: dir + "fence.go",
			rule:   "A promise is reported when the IO thread is seen to be gone: until then it acknowledges.",
			edits:  one("	case !l.slave.ioRuns():\n", "	default:\n"),
			checks: []check{in(pkg, "TestAFenceEndsWithARestartWithoutSkipSlaveStart")},
		},
		{
			name: "mariadb-session-kept-in-the-binary-log", ids: "G2", file: dir + "session.go",
			rule:   "A session that failed is closed: it may be in the binary log, or in the middle of something.",
			edits:  one("	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })\n", "	_, _ = s.conn.ExecContext(context.Background(), \"DO RELEASE_ALL_LOCKS()\")\n	_ = driver.ErrBadConn\n"),
			checks: []check{in(pkg, "TestASessionThatFailedInTheBinaryLogIsNotUsedAgain")},
		},
		{
			name: "mariadb-turn-ended-for-an-earlier-term", ids: "G5", file: dir + "session.go",
			rule:   "The note of who has the turn counts once that has noted its term since: a lower call ends no higher one.",
			edits:  one("case h.wrote == h.conn && h.term.Less(t):", "case h.term.Less(t):"),
			checks: []check{in(pkg, "TestWhoHasTheTurnIsEvictedByAHigherTerm", "TestACallIsNotEndedForATermThatItsConnectionHadBefore")},
		},
		{
			name: "mariadb-turn-not-ended-by-a-higher-term", ids: "G1 G5", file: dir + "session.go",
			rule:   "A higher term ends the call of a lower one, with the statement that it executes.",
			edits:  one("case h.wrote == h.conn && h.term.Less(t):\n		return true", "case h.wrote == h.conn && h.term.Less(t):\n		return false"),
			checks: []check{in(pkg, "TestAHigherTermEndsTheCallOfALowerOneAtTheServer")},
		},
		{
			name: "mariadb-whoever-is-connected-is-killed", ids: "G5", file: dir + "session.go",
			rule:   "A connection is ended on condition that it still has the turn, for the term that was seen.",
			edits:  one("IF t = %s AND COALESCE(IS_USED_LOCK(%s), 0) = %d AND IS_USED_LOCK(%s) = %d THEN", "IF t = %s OR COALESCE(IS_USED_LOCK(%s), 0) = %d OR IS_USED_LOCK(%s) = %d THEN"),
			checks: []check{in(pkg, "TestWhoHasNotTheTurnAnyMoreIsNotEnded")},
		},
		{
			name: "mariadb-position-before-it-is-applied", ids: "G2", file: dir + "promise.go",
			rule:   "A promise tells a position once all that was received is applied.",
			edits:  one("	if l.settled() {\n", "	if l.settled() || len(l.state) > 0 {\n"),
			checks: []check{in(pkg, "TestAReplicaWithADeadApplierAcknowledges")},
		},
		{
			name: "mariadb-read-before-it-is-applied", ids: "G2", file: dir + "relay.go",
			rule:   "Read waits until all that was received is applied.",
			edits:  one("		case l.settled():\n", "		case l.settled() || len(l.state) > 0:\n"),
			checks: []check{in(pkg, "TestAStoppedApplierIsFencedWithoutLosingItsRelayLog")},
		},
		{
			name: "mariadb-logged-taken-for-applied", ids: "G2", file: dir + "live.go",
			rule:   "The binary log tells what is applied only while no SQL thread runs.",
			edits:  one("	if l.slave.sqlRuns() {\n		return applied{pos", "	if l.slave.sqlRuns() && l.now.IsZero() {\n		return applied{pos"),
			checks: []check{in(pkg, "TestG2_WhatIsInTheBinaryLogAndNotCommittedYetIsNotTakenForApplied", "TestG2_ARescueThatGoesOnIsWaitedFor")},
		},
		{
			name: "mariadb-emptied-position-believed", ids: "G1 G2", file: dir + "live.go",
			rule:   "What is applied is told by the binary log as well: a change of the source that was ended leaves gtid_slave_pos empty.",
			edits:  one("return applied{pos: l.slavePos, all: l.state}", "return applied{pos: l.slavePos, all: l.slavePos}"),
			checks: []check{in(pkg, "TestG1_APositionDoesNotDependOnWhatAChangeOfTheSourceHadBegun")},
		},
		{
			name: "mariadb-relay-log-not-named", ids: "G2", file: dir + "relay.go",
			rule:   "The SQL thread of a fenced server is started with its relay log named, which it else throws away.",
			edits:  one(`fmt.Sprintf("CHANGE MASTER TO RELAY_LOG_FILE=%s, RELAY_LOG_POS=%d, MASTER_USE_GTID=no", quote(todo.file), todo.pos)`, `"DO 1"`),
			checks: []check{in(pkg, "TestAPreparedTransactionInARelayLogIsRescued")},
		},
		{
			name: "mariadb-grant-without-a-look-at-the-settings", ids: "G3", file: dir + "install.go",
			rule:   "A grant reads the settings of Install back: commits must wait when clients come.",
			edits:  one("	if err := n.armed(set); err != nil {\n		return err\n", "	if err := n.armed(set); err != nil && t.IsZero() {\n		return err\n"),
			checks: []check{in(pkg, "TestTheStatusSaysONWhileCommitsWaitForNobody")},
		},
		{
			name: "mariadb-settings-of-install-not-read-back", ids: "G3", file: dir + "install.go",
			rule:   "An installation is confirmed when the settings that make commits wait are read back.",
			edits:  one("	if err := n.armed(set); err != nil {\n		return acc, err\n", "	if err := n.armed(set); err != nil && m.Term.IsZero() {\n		return acc, err\n"),
			checks: []check{in(pkg, "TestALeaderIsNotGrantedWithSettingsByWhichCommitsDoNotWait")},
		},
		{
			name: "mariadb-wait-that-ends-by-itself", ids: "G3", file: dir + "install.go",
			rule:   "A leader whose commits stop waiting after some time is not granted.",
			edits:  one("case set.timeout != maxTimeout:", "case set.timeout == \"\":"),
			checks: []check{in(pkg, "TestALeaderIsNotGrantedWithSettingsByWhichCommitsDoNotWait")},
		},
		{
			name: "mariadb-rows-seen-before-they-are-acknowledged", ids: "G3", file: dir + "install.go",
			rule:   "A leader that shows a change before a replica has it is not granted.",
			edits:  one("case !strings.EqualFold(set.point, \"AFTER_SYNC\"):", "case strings.EqualFold(set.point, \"\"):"),
			checks: []check{in(pkg, "TestALeaderIsNotGrantedWithSettingsByWhichCommitsDoNotWait")},
		},
		{
			name: "mariadb-grant-without-a-marker", ids: "G1 G3", file: dir + "install.go",
			rule:   "The marker is in the log before the grant.",
			edits:  one("	if m.Term != t {\n		return notReady", "	if t.Less(m.Term) {\n		return notReady"),
			checks: []check{in(pkg, "TestAServerWithoutItsMarkerIsNotGranted")},
		},
		{
			name: "mariadb-restarted-leader-granted-again", ids: "G1", file: dir + "install.go",
			rule:   "A server that was restarted is not granted the term that it led in.",
			edits:  one("	case r.Granted == t && r.Start != l.start:\n", "	case r.Granted == t && r.Start > l.start:\n"),
			checks: []check{in(pkg, "TestAServerThatWasRestartedIsNotGrantedTheSameTermAgain")},
		},
		{
			name: "mariadb-privileged-writer-found-late", ids: "G9", file: dir + "promise.go",
			rule:   "Who writes in spite of read_only is looked for before anything is touched.",
			edits:  one("!before.Promised.Less(t)); err != nil {", "!before.Promised.Less(t)); err != nil && t.IsZero() {"),
			checks: []check{in(pkg, "TestAPrivilegedWriterIsFoundBeforeAStepDown")},
		},
		{
			name: "mariadb-privileged-writer-that-comes-meanwhile", ids: "G1 G9", file: dir + "promise.go",
			rule:   "Who writes in spite of read_only is looked for again once the server is read-only.",
			edits:  one("if err := n.privileged(&c, p, true); err != nil {", "if err := n.privileged(&c, p, true); err != nil && t.IsZero() {"),
			checks: []check{in(pkg, "TestAPrivilegedWriterThatComesDuringAStepDownIsFound")},
		},
		{
			name: "mariadb-catching-up-acknowledges", ids: "G1", file: dir + "catchup.go",
			rule:   "Who catches up acknowledges nothing to its donor, which may lead under a term that was promised against.",
			edits:  one("	if err := s.semiSync(p, mine); err != nil {", "	if err := s.semiSync(p, true); err != nil {"),
			checks: []check{in(pkg, "TestWhoCatchesUpAcknowledgesNothing")},
		},
		{
			name: "mariadb-observer-acknowledges", ids: "G1", file: dir + "follow.go",
			rule:   "An observer acknowledges nothing, although the marker has it as a member: a leader takes anyone's word.",
			edits:  one("return !n.cfg.Observer && m.Ruleset.Has(n.cfg.ID)", "return m.Ruleset.Has(n.cfg.ID)"),
			checks: []check{in(pkg, "TestAnObserverAcknowledgesNothingAlthoughItIsAMember")},
		},
		{
			name: "mariadb-skipped-transactions-forgiven", ids: "G2", file: dir + "follow.go",
			rule: "A follower with the marker and not all that comes before it is no evidence, and remembers it.",
			edits: []edit{
				{"|| len(now.state.lacks(m.before)) > 0 || acks", "|| acks"},
				{"len(lacks) > 0 {\n		// It holds", "len(lacks) > 0 && l.Term.IsZero() {\n		// It holds"},
			},
			checks: []check{in(pkg, "TestAReplicaLeavesOutItsOwnTransactionsUnlessItsSwitchIsOn")},
		},
		{
			name: "mariadb-errant-tail-is-a-prefix", ids: "G2", file: dir + "point.go",
			rule:   "A log of an earlier term reaches to the next marker: what it holds beyond that belongs to nobody.",
			edits:  one("			end = e.Before\n", ""),
			checks: []check{in(pkg, "TestAMarkerEndsWhatALogOfAnEarlierTermMayHold", "TestExtendsTellsPrefixesFromForks")},
		},
		{
			name: "mariadb-errant-transactions-not-told", ids: "G2", file: dir + "status.go",
			rule:   "A server with transactions of its own says so.",
			edits:  one("	case len(errant) > 0:\n", "	case len(errant) > 0 && r.Node == \"\":\n"),
			checks: []check{in(pkg, "TestAnAdministratorsStatementOnAFollowerIsErrant")},
		},
		{
			name: "mariadb-copy-forgets-what-it-received", ids: "G2", file: dir + "repair.go",
			rule:   "A rebuilt server applies what it received before its source is forgotten.",
			edits:  one("	if err := s.settle(ctx); err != nil {\n		return err\n	}\n", ""),
			checks: []check{in(pkg, "TestG2_ACopyThatReplicatesIsRebuiltWithoutLosingWhatItAcknowledged")},
		},
		{
			name: "mariadb-copy-receives-while-it-is-read", ids: "G1 G2", file: dir + "repair.go",
			rule:   "A rebuilt server acknowledges nothing more before it is asked what it received.",
			edits:  one("	if err := s.stop(ctx); err != nil {\n		return err\n	}\n", ""),
			checks: []check{in(pkg, "TestACopyAcknowledgesNoMoreWhileWhatItReceivedIsApplied")},
		},
		{
			name: "mariadb-rebuilt-for-whoever-asks", ids: "G2", file: dir + "repair.go",
			rule:   "Nothing is discarded for a source that does not stand by the term.",
			edits:  one("	if err := n.stands(ctx, leadership.Leadership{Leader: from, Term: t}); err != nil {", "	if err := n.stands(ctx, leadership.Leadership{Leader: from, Term: t}); err != nil && t.IsZero() {"),
			checks: []check{in(pkg, "TestNothingIsDiscardedForASourceThatDoesNotStandByTheTerm")},
		},
	}
	return onServers("mariadb", ms)
}

// onServers marks mutations whose tests start servers.
func onServers(engine string, ms []mutation) []mutation {
	for i := range ms {
		ms[i].engine = engine
	}
	return ms
}
