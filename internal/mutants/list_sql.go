package main

// sqlMutations are of the virtual sessions of database/sql.
func sqlMutations() []mutation {
	const pkg = "buffer/sqlbuffer"
	return []mutation{
		{
			name: "sql-statement-of-unknown-outcome-runs-again", ids: "G2 G9", file: "buffer/sqlbuffer/judge.go",
			rule:   "A statement that may have been executed is not sent again.",
			edits:  one("		if what == \"\" && ctx.Err() == nil {\n", "		if ctx.Err() == nil {\n"),
			checks: []check{in(pkg, "TestErrorsOfStatementsOutsideATransaction")},
		},
		{
			name: "sql-distrusted-driver-trusted", ids: "G9", file: "buffer/sqlbuffer/judge.go",
			rule:   "A bad connection proves nothing of a driver that reports it after it sent something.",
			edits:  one("		if b.node.DistrustBadConn {\n", "		if b.node.DistrustBadConn && err == nil {\n"),
			checks: []check{in(pkg, "TestErrorsOfStatementsOutsideATransaction", "TestErrorsOfCommit", "TestG9_.*")},
		},
		{
			name: "sql-commit-on-a-dead-term", ids: "G1 G9", file: "buffer/sqlbuffer/tx.go",
			rule:   "A transaction of a superseded leadership is not committed.",
			edits:  one("		if now, gone := x.c.c.superseded(x.b.to); gone {", "		if now, gone := x.c.c.superseded(x.b.to); gone && x.b == nil {"),
			checks: []check{in(pkg, "TestACommitOnASupersededLeadershipIsNotSent")},
		},
		{
			name: "sql-connection-that-refused-not-asked-again", ids: "G2 G7", file: "buffer/sqlbuffer/conn.go",
			rule:   "A connection whose server has only refused to lead is sent nothing, also when the lane serves.",
			edits:  one("	if !fresh && (c.b.asked && c.c.lane.Ready() || c.b.node.Check == nil) {\n", "	if !fresh && (c.c.lane.Ready() || c.b.node.Check == nil) {\n"),
			checks: []check{in(pkg, "TestAConnectionThatRefusesIsKeptAndAskedAgain")},
		},
		{
			name: "sql-aborted-commit-acknowledged", ids: "G2 G9", file: "buffer/sqlbuffer/tx.go",
			rule:   "An OK that came after the commit was aborted is none.",
			edits:  one("	if err == nil && !aborted {\n", "	if err == nil {\n"),
			checks: []check{in(pkg, "TestAnErrorOrOKOfACancelledCommitProvesNothing", "TestACancelledCommitIsUnknownWhetherItHappenedOrNot")},
		},
		{
			name: "sql-cause-of-a-context-taken-for-proof", ids: "G2 G9", file: "buffer/sqlbuffer/errors.go",
			rule:   "A driver that returns the cause with which its context ended proves nothing by what that says of itself.",
			edits:  one("	if end == nil {\n		return err, true\n", "	if end == nil || err != nil {\n		return err, true\n"),
			checks: []check{in(pkg, "TestG9_ADriverThatReturnsTheCauseOfItsContextProvesNothing", "TestG9_AStatementOfATransactionThatReturnsTheCauseOfAContextRefusesNothing")},
		},
		{
			name: "sql-cause-of-a-context-found-by-its-type", ids: "G2 G9", file: "buffer/sqlbuffer/errors.go",
			rule:   "The restart or refusal with which a context ended is not that of the unit which it ended.",
			edits:  one("	return &ended{end, why}\n", "	return why\n"),
			checks: []check{in(pkg, "TestG9_ACommitWhoseContextEndsWithAProofOfSomethingElseIsUnknown", "TestTheCauseWithWhichAWaitForThePoolEndsHoldsNobody")},
		},
		{
			name: "sql-unit-that-was-committed-runs-again", ids: "G2 G9", file: "buffer/sqlbuffer/intx.go",
			rule:   "A unit whose COMMIT was sent and not refused is not restarted, whatever error its function returns.",
			edits:  one("		if t.sent || !errors.As", "		if !errors.As"),
			checks: []check{in(pkg, "TestG9_AUnitThatCommittedByItselfIsNotRunAgain")},
		},
		{
			name: "sql-lane-told-of-another-services-refusal", ids: "G7", file: "buffer/sqlbuffer/intx.go",
			rule:   "A refusal that a unit met elsewhere does not hold the lane.",
			edits:  one("			t.Done(t.verdict)\n", "			t.Done(err)\n"),
			checks: []check{in(pkg, "TestAUnitThatMeetsTheRefusalOfAnotherServiceHoldsNobody")},
		},
		{
			name: "sql-pinned-session-replaced", ids: "G9", file: "buffer/sqlbuffer/tx.go",
			rule:   "A session that may have state is not replaced silently when a transaction on it could not be ended.",
			edits:  one("			x.c.gone = x.b\n", ""),
			checks: []check{in(pkg, "TestAPinnedSessionIsNotReplacedAfterATransactionThatCouldNotBeEnded")},
		},
		{
			name: "sql-unit-restarted-for-ever", ids: "G9", file: "buffer/sqlbuffer/intx.go",
			rule:   "A unit that fails under one leadership again and again is given up, with proof that it was not committed.",
			edits:  one("took >= c.cfg.Patience {", "took >= 3*c.cfg.Patience {"),
			checks: []check{in(pkg, "TestG9_AUnitThatBreaksEveryConnectionIsGivenUp")},
		},
	}
}
