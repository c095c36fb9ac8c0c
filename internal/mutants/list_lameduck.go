package main

// lameduckMutations are of the gate: its counting, its phases, its refusals.
func lameduckMutations() []mutation {
	const pkg = "lameduck"
	inter := func(scenario string) check {
		return check{pkg: pkg, run: "^TestEveryInterleavingOfEntriesDrainAndResumeIsSafe$/^" + scenario + "$"}
	}
	return []mutation{
		{
			name: "gate-admits-after-close", ids: "G1 G7", file: "lameduck/cell.go",
			rule:   "A single is admitted only if its cell was open when it was counted.",
			edits:  one("enterSlow        = flagNoSingles | flagStepped | half", "enterSlow        = flagStepped | half"),
			checks: []check{in(pkg, "TestADrainPassesItsPhasesInOrderAndReportsThem")},
		},
		{
			name: "guess-of-a-cell-not-checked", ids: "G1 G7", file: "lameduck/cell.go",
			rule:   "A cell that takes itself for empty and open enters by a step that fails if it is not.",
			edits:  one("	return c.word.CompareAndSwap(flagLive, flagLive|activeOne)\n", "	return c.word.Add(activeOne) != 0\n"),
			checks: []check{in(pkg, "TestACellThatSeveralShareStaysExactAndClosesWithItsGate")},
		},
		{
			name: "entry-not-checked-again", ids: "G1 G7", file: "lameduck/cell.go",
			rule:   "An entry is counted by one step that also sees whether it may enter.",
			edits:  one("		if c.word.CompareAndSwap(w, w+one) {\n			return w, true\n		}\n", "		c.word.Add(one)\n		return w, true\n"),
			checks: []check{inter("two_singles,_one_cell")},
		},
		{
			name: "phase-read-before-the-decrement", ids: "G7 G8", file: "lameduck/cell.go",
			rule: "Who leaves reads the phase with its own exit, not before: the last exit wakes the drainer.",
			edits: one("	if c.step != nil {\n		c.step(\"sub\", 0)\n	}\n	if w := c.word.Add(^(activeOne - 1)); w",
				"	early := c.word.Load() & phaseFlags\n	if c.step != nil {\n		c.step(\"sub\", early)\n	}\n	if w := c.word.Add(^(activeOne-1))&^phaseFlags | early; w"),
			checks: []check{inter("single_and_idle_unit")},
		},
		{
			name: "last-exit-wakes-nobody", ids: "G8", file: "lameduck/cell.go",
			rule:   "The last exit wakes the drainer.",
			edits:  one("	if w&mask == 0 {\n		c.gate.signal()", "	if w&mask == mask {\n		c.gate.signal()"),
			checks: []check{in(pkg, "TestCommitDuringDrainIsNeverRefusedAndTheDrainEndsWithIt")},
		},
		{
			name: "exit-twice-counts-twice", ids: "G1 G8", file: "lameduck/cell.go",
			rule:   "No misuse makes a count negative.",
			edits:  one("		c.word.Add(activeOne)\n", "		_ = w\n"),
			checks: []check{in(pkg, "TestExitTwiceIsANoOp")},
		},
		{
			name: "seal-over-a-running-request", ids: "G1", file: "lameduck/cell.go",
			rule:   "A cell is sealed only when no request of it runs.",
			edits:  one("		if w&activeMask != 0 {\n			return false\n		}\n		if w&flagSealed", "		if w&flagSealed"),
			checks: []check{inter("single_and_idle_unit")},
		},
		{
			name: "commit-refused", ids: "G7", file: "lameduck/cell.go",
			rule:   "A continuation of an admitted unit is not refused while the gate drains.",
			edits:  one("		return activeOne, activeMask, flagSealed\n", "		return activeOne, activeMask, flagSealed | flagNoSingles\n"),
			checks: []check{in(pkg, "TestADrainPassesItsPhasesInOrderAndReportsThem")},
		},
		{
			name: "unit-lives-into-the-next-leadership", ids: "G1", file: "lameduck/token.go",
			rule:   "A unit that was admitted in one leadership does not go on in the next.",
			edits:  one("stale := c.epoch.Load()&epochMask != t.ref.epoch()", "stale := false"),
			checks: []check{in(pkg, "TestAUnitAdmittedInOneLeadershipDoesNotLiveOnInTheNext")},
		},
		{
			name: "cut-unit-said-not-committed", ids: "G9", file: "lameduck/token.go",
			rule:   "A unit that was cut while a request of it ran has an unknown outcome.",
			edits:  one("		return r.cut\n", "		return r.restart\n"),
			checks: []check{in(pkg, "TestAUnitCutWhileItRunsHasAnUnknownOutcome")},
		},
		{
			name: "cause-of-a-cut-is-a-refusal", ids: "G9", file: "lameduck/errors.go",
			rule:   "The cause with which a drain cancels a context is no proof: what ran with it may have had its effect.",
			edits:  one("func (e *CancelledError) NotExecuted() bool { return false }", "func (e *CancelledError) Unwrap() error { return e.Refusal }"),
			checks: []check{in(pkg, "TestG9_TheCauseOfACancelledContextProvesNothing"), in("buffer", "TestG9_ARequestCutByAGateInFrontIsNotTakenForRefusedByTheLeader")},
		},
		{
			name: "cause-of-an-ended-unit-is-a-proof", ids: "G9", file: "lameduck/context.go",
			rule:   "That a unit was ended while idle is proven by Continue, not by the context, which others share.",
			edits:  one("		return x.cell.gate.lastRefusal().ended\n", "		return x.cell.gate.lastRefusal().restart\n"),
			checks: []check{in(pkg, "TestG9_TheCauseOfACancelledContextProvesNothing")},
		},
		{
			name: "owner-kept-after-exit", ids: "G8", file: "lameduck/token.go",
			rule:   "A gate in which nothing is in flight keeps nobody's request reachable.",
			edits:  one("				s.info.Store(nil)\n", ""),
			checks: []check{in(pkg, "TestAGateKeepsNoOwnerOfWhatHasExited")},
		},
		{
			name: "resume-after-the-end", ids: "G1", file: "lameduck/term.go",
			rule:   "A drain that has ended is not undone: the leader may have stepped down.",
			edits:  one("	if g.own.phase.Ended() {\n		unlock()\n		return ErrTooLate", "	if false {\n		unlock()\n		return ErrTooLate"),
			checks: []check{in(pkg, "TestADrainOfAChildExpiresUnderAParentThatIsDrainedToo")},
		},
		{
			name: "drain-does-not-expire", ids: "G5", file: "lameduck/term.go",
			rule:   "A drain that nobody follows up undoes itself.",
			edits:  one("	if p.Expire <= 0 {", "	if p.Expire <= 1<<62 {"),
			checks: []check{in(pkg, "TestADrainExpiresAtTheNodeByItself")},
		},
		{
			name: "sealed-gate-reopens-by-expiry", ids: "G1", file: "lameduck/term.go",
			rule:   "A gate that was sealed does not open because its drain would have expired.",
			edits:  one("		g.own.sealed = term\n		g.own.disarm()\n", "		g.own.sealed = term\n"),
			checks: []check{in(pkg, "TestASealedGateOpensOnlyForAHigherTerm")},
		},
		{
			name: "sealed-gate-opens-for-a-lower-term", ids: "G1", file: "lameduck/term.go",
			rule:   "A sealed gate opens only for the term that sealed it, or a higher one.",
			edits:  one("	if !served.Less(term) || term.Less(g.own.sealed) {\n		err :=", "	if !served.Less(term) {\n		err :="),
			checks: []check{in(pkg, "TestASealedGateOpensOnlyForAHigherTerm")},
		},
		{
			name: "served-term-falls", ids: "G1", file: "lameduck/term.go",
			rule:   "A gate serves no term at or below one that it served.",
			edits:  one("	if !served.Less(term) || term.Less(g.own.sealed) {\n		err :=", "	if term.Less(g.own.sealed) {\n		err :="),
			checks: []check{in(pkg, "TestG10_BadInputIsRefusedBeforeAnythingIsTouched")},
		},
		{
			name: "expiry-of-a-serving-gate-left", ids: "G5", file: "lameduck/drain.go",
			rule:   "A new drain does not end by the expiry of an older one.",
			edits:  one("	g.own.disarm()\n", ""),
			checks: []check{in(pkg, "TestADrainIsNotEndedByTheExpiryOfAnOlderOne")},
		},
		{
			name: "any-503-is-proof", ids: "G9", file: "lameduck/httpproof.go",
			rule:   "Only an answer 503 with one well-formed refusal proves that nothing was executed.",
			edits:  one("if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {", "if resp == nil {"),
			checks: []check{in(pkg, "TestG9_OnlyA503WithOneWellFormedRefusalProvesNonExecution")},
		},
		{
			name: "drain-broken-off-stays-shut", ids: "G5 G8", file: "lameduck/drain.go",
			rule:   "A drain whose context ended serves again, unless it was to be held.",
			edits:  one("		done = g.reopen()\n", ""),
			checks: []check{in(pkg, "TestADrainWhoseContextEndsServesAgainUnlessHeld")},
		},
		{
			name: "refusals-without-the-next-term", ids: "G7", file: "lameduck/view.go",
			rule:   "A sealed gate refuses until the term that sealed it.",
			edits:  one("	all.Until = leadership.MaxTerm(all.Until, t)\n", "	_ = t\n"),
			checks: []check{in(pkg, "TestASealedGateOpensOnlyForAHigherTerm")},
		},
	}
}
