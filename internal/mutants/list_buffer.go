package main

// bufferMutations are of a lane: what it holds, in which order, for how long,
// and what it sends again.
func bufferMutations() []mutation {
	const pkg = "buffer"
	return []mutation{
		{
			name: "replay-of-unknown-outcomes", ids: "G2 G9", file: "buffer/wait.go",
			rule:   "What may have been executed is sent again only if it is idempotent.",
			edits:  one("if c.class == MaybeExecuted && c.req.Idempotent && c.ctx.Err() == nil {", "if c.class == MaybeExecuted && c.ctx.Err() == nil {"),
			checks: []check{in(pkg, "TestG9_WhatMayHaveExecutedIsNeverRunAgain")},
		},
		{
			name: "lost-try-forgotten", ids: "G9", file: "buffer/wait.go",
			rule:   "That a try may have been executed is not forgotten when a later one was not.",
			edits:  one("		c.unknown, harmless = true, true\n", "		harmless = true\n"),
			checks: []check{in(pkg, "TestG9_LostTryOfAnIdempotentRequestIsNotForgotten")},
		},
		{
			name: "last-try-proves-for-the-lost-one", ids: "G9", file: "buffer/cause.go",
			rule:   "A final error that proves its own try proves nothing of an earlier one.",
			edits:  one("	if (c.unknown || c.class == MaybeExecuted) && ", "	if c.class == MaybeExecuted && "),
			checks: []check{in(pkg, "TestG9_FinalErrorOfALaterTryProvesNothingOfTheLostOne")},
		},
		{
			name: "cause-taken-for-proof", ids: "G9", file: "buffer/cause.go",
			rule:   "What the cause of a request's context proves is no proof about the request.",
			edits:  one("	case !c.proven(err):\n", "	case !leadership.NotExecuted(err):\n"),
			checks: []check{in(pkg, "TestG9_ProofInTheCauseOfARequestsContextIsNoneOfTheRequest")},
		},
		{
			name: "refusal-in-the-cause-obeyed", ids: "G9", file: "buffer/cause.go",
			rule:   "A refusal in the cause of a request's context is not the leader's.",
			edits:  one("	case class == Refused:\n		return NotSentYet", "	case class > Refused:\n		return NotSentYet"),
			checks: []check{in(pkg, "TestG9_WhatTheRequestFunctionProvesItselfStaysProvenWhateverTheCause")},
		},
		{
			name: "probe-refused-by-the-cause", ids: "G9", file: "buffer/probe.go",
			rule:   "A probe that ends with its request is not refused by what ended that.",
			edits:  one("class = l.b.judge(ctx, err)", "class = l.b.classify(err)"),
			checks: []check{in(pkg, "TestOwnProbeThatEndsWithItsRequestIsNotRefusedByTheCause")},
		},
		{
			name: "unknown-said-not-executed", ids: "G9", file: "buffer/errors.go",
			rule:   "NotExecuted is proof: it is false for what may have been executed.",
			edits:  one("return !w.Unknown }", "return w != nil }"),
			checks: []check{in(pkg, "TestG9_LostTryOfAnIdempotentRequestIsNotForgotten")},
		},
		{
			name: "network-error-called-an-answer", ids: "G9", file: "buffer/classify.go",
			rule:   "A request that the network cut off may have been executed.",
			edits:  one("errors.As(err, &ne):", "errors.As(err, &ne) && ne == nil:"),
			checks: []check{in(pkg, "TestG9_ErrorsAreClassifiedByWhatTheyProve")},
		},
		{
			name: "probe-at-another-ones-address", ids: "G7", file: "buffer/hold.go",
			rule:   "The address that a change announced is that of its own leader, under its own term.",
			edits:  one("i.Term == r.Active.Term && i.To == r.Active.Leader {", "!r.Active.IsZero() {"),
			checks: []check{in(pkg, "TestProbeOfALeaderThatIsNotRoutedYetGoesToWhereItWasAnnounced")},
		},
		{
			name: "put-back-at-the-tail", ids: "G7", file: "buffer/place.go",
			rule:   "A request that was refused goes back to its own place in the line.",
			edits:  one("	if fresh {\n		l.seq++", "	if fresh || tried != nil {\n		l.seq++"),
			checks: []check{in(pkg, "TestPutBackGoesToItsExactPlaceWithItsOriginalAge")},
		},
		{
			name: "put-back-with-a-new-age", ids: "G7", file: "buffer/place.go",
			rule:   "A request that was refused keeps its age.",
			edits:  one("	w.verdict = undecided\n", "	w.verdict, w.arrived = undecided, now\n"),
			checks: []check{in(pkg, "TestPutBackGoesToItsExactPlaceWithItsOriginalAge")},
		},
		{
			name: "age-not-enforced-while-flushing", ids: "G7 G8", file: "buffer/hold.go",
			rule: "A request is held no longer than MaxAge, also during a flush.",
			edits: []edit{
				{"h != nil && now-h.arrived >= cfg.MaxAge;", "h != nil && !l.flushing && now-h.arrived >= cfg.MaxAge;"},
				{"	next = min(next, l.q.oldest().arrived+l.b.cfg.MaxAge)\n", "	if !l.flushing {\n		next = min(next, l.q.oldest().arrived+l.b.cfg.MaxAge)\n	}\n"},
			},
			checks: []check{in(pkg, "TestAgeIsEnforcedWhileFlushing")},
		},
		{
			name: "outage-reset-by-a-new-term", ids: "G7 G8", file: "buffer/hold.go",
			rule:   "An outage lasts from the first hold until a leader answers, whatever terms come.",
			edits:  one("		l.flushing = false\n		if l.refused.Compare(to.Term) <= 0 {", "		l.flushing, l.outageOn = false, false\n		if l.refused.Compare(to.Term) <= 0 {"),
			checks: []check{in(pkg, "TestOutageCapCountsFromTheFirstHoldWhateverTheTerms")},
		},
		{
			name: "counted-entry-not-checked-again", ids: "G7", file: "buffer/counted.go",
			rule:   "A counted request enters by one step that also sees whether the gate is open.",
			edits:  one("	if g.word.Add(gateOne)&gateClosed == 0 {", "	if g.word.Add(gateOne) != 0 {"),
			checks: []check{in(pkg, "TestEveryInterleavingOfTurnsAndQuiescedIsSafe")},
		},
		{
			name: "quiesced-too-early", ids: "G7", file: "buffer/counted.go",
			rule:   "A lane is quiet when the last request of an older term is over.",
			edits:  one("		if fenced && busy == 0 {", "		if fenced {"),
			checks: []check{in(pkg, "TestQuiescedIsNotSpuriousWhenTheHoldIsGivenUp")},
		},
		{
			name: "quiesced-while-serving", ids: "G7", file: "buffer/counted.go",
			rule:   "A lane is quiet only while nothing can enter at an older term.",
			edits:  one("		if fenced && busy == 0 {", "		if busy == 0 {"),
			checks: []check{in(pkg, "TestQuiescedWaitsForAnAnnouncementThatIsNotSeenYet")},
		},
		{
			name: "counted-singles-pass", ids: "G7", file: "buffer/hold.go",
			rule:   "In front of a server that cannot refuse, an announced change holds singles too.",
			edits:  one("	if l.b.cfg.Counted {\n		mode = HoldAll", "	if l.b.cfg.Counted && mode == HoldAll {\n		mode = HoldAll"),
			checks: []check{in(pkg, "TestCountedLaneHoldsSinglesAsSoonAsAChangeIsAnnounced")},
		},
		{
			name: "hold-after-close", ids: "G8", file: "buffer/place.go",
			rule:   "Nothing is held once Close has returned.",
			edits:  one("	case l.mode == Closed:\n		return failClosed\n	case c.ended", "	case c.ended"),
			checks: []check{in(pkg, "TestCloseFailsAllHeldInEveryState")},
		},
		{
			name: "refusal-at-the-served-term-holds-for-ever", ids: "G7", file: "buffer/place.go",
			rule:   "A refusal at the served term is probed after a while: no later leader may come.",
			edits:  one("		l.nextProbe = now + d\n", "		l.nextProbe = never - d\n"),
			checks: []check{in(pkg, "TestRefusalAtTheServedTermIsProbedAfterRetryAfter")},
		},
		{
			name: "observations-out-of-order", ids: "G7", file: "buffer/lane.go",
			rule:   "An older record never replaces a newer one.",
			edits:  one("	if rec.Version > l.rec.Version {", "	if rec.Version > 0 {"),
			checks: []check{in(pkg, "TestObservationsMayBeLostDoubledOrReordered")},
		},
		{
			name: "failure-of-an-older-term-holds", ids: "G7", file: "buffer/place.go",
			rule:   "A failure of an older leadership says nothing about the one of now.",
			edits:  one("	if c.v.lead.Term.Less(l.cur.Term) {\n		return 0", "	if false {\n		return 0"),
			checks: []check{in(pkg, "TestLaneAgreesWithASequentialQueue")},
		},
		{
			name: "refusal-from-before-the-resume-holds", ids: "G7", file: "buffer/place.go",
			rule:   "A refusal that was under way while the same term resumed starts no hold.",
			edits:  one("		if c.v.epoch >= l.resumed {", "		if true {"),
			checks: []check{in(pkg, "TestRefusalThatWasUnderWayWhileTheSameTermResumedStartsNoHold")},
		},
		{
			name: "old-success-clears-a-refusal", ids: "G7", file: "buffer/wait.go",
			rule:   "The success of an older leader says nothing about the one of now.",
			edits:  one("	} else if v.lead.Term.Less(l.cur.Term) {\n		return", "	} else if v == nil {\n		return"),
			checks: []check{in(pkg, "TestSuccessOfAnOlderLeaderEndsNoOutageOfTheOneOfNow")},
		},
		{
			name: "caps-not-shared", ids: "G8", file: "buffer/share.go",
			rule:   "What all lanes hold together is capped.",
			edits:  one("		if old > limit-n {\n", "		if old > limit-n && n < 0 {\n"),
			checks: []check{in(pkg, "TestBytesAreCappedPerLaneAndOverall", "TestOverflow.*", "TestGuaranteesHoldWhateverOtherLanesDo")},
		},
		{
			name: "turn-of-the-cancelled-runs", ids: "G9", file: "buffer/wait.go",
			rule:   "A request whose context has ended never runs: its turn goes to the next.",
			edits:  one("	if c.ctx.Err() != nil {\n		l.giveBack(c.w)", "	if c.ctx == nil {\n		l.giveBack(c.w)"),
			checks: []check{in(pkg, "TestG9_TurnOfACancelledRequestIsGivenBackAndItNeverRuns")},
		},
		{
			name: "nobody-watches-the-timer", ids: "G7 G8", file: "buffer/hold.go",
			rule:   "While requests wait, one of them watches the lane's timer.",
			edits:  one("!l.passing && l.driver.Load() != nil\n", "!l.passing\n"),
			checks: []check{in(pkg, "TestMaxAgeIsKeptWhenWhoWatchedTheTimerGaveWay")},
		},
		{
			name: "who-comes-back-taken-for-new", ids: "G7", file: "buffer/place.go",
			rule:   "A request that comes back may be the first to grow too old.",
			edits:  one("idle := fresh && tried == nil", "idle := tried == nil"),
			checks: []check{in(pkg, "TestMaxAgeIsKeptOfARequestThatComesBackBehindALaterOne")},
		},
		{
			name: "timer-stays-too-late", ids: "G7", file: "buffer/hold.go",
			rule:   "The lane's timer is never set for later than what is due next.",
			edits:  one("	if l.armed == 0 || next < l.armed {", "	if l.armed == 0 {"),
			checks: []check{in(pkg, "TestG9_OwnProbeStandsInForTheRequestAndItsNilReleasesTheFlush")},
		},
		{
			name: "hung-probe-answers-for-the-next", ids: "G7", file: "buffer/wait.go",
			rule:   "The answer to a probe is about what was known when that one was sent.",
			edits:  one("	l.answered(v.seen, v.knew)\n", "	l.answered(l.announced, l.refused)\n"),
			checks: []check{in(pkg, "TestProbeThatHungEndsNoAnnouncementThatCameAfterIt")},
		},
		{
			name: "greatest-duration-overflows", ids: "G7 G8 G10", file: "buffer/config.go",
			rule:   "A duration that New accepts is never one that has passed long ago.",
			edits:  one("		*d = min(*d, longest)\n", "		*d = max(*d, 0)\n"),
			checks: []check{in(pkg, "TestG10_GreatestDurationsAreWaitedForLikeAnyOther")},
		},
		{
			name: "endless-hold-outlasts-max-age", ids: "G7 G8", file: "buffer/hold.go",
			rule:   "A request is held no longer than MaxAge, however long a change may hold.",
			edits:  one("now + min(max(d.Wait, minBackoff), longest)", "now + max(d.Wait, minBackoff)"),
			checks: []check{in(pkg, "TestMaxAgeIsKeptWhateverHoldForAnnounces")},
		},
		{
			name: "two-probes-at-once", ids: "G7", file: "buffer/hold.go",
			rule:   "One request at a time tries a leader that may not be one.",
			edits:  one("if l.probe != nil && now < l.probeAt+l.b.cfg.ProbeTimeout {", "if l.probe != nil && now < l.probeAt {"),
			checks: []check{in(pkg, "TestOneProbeAtATime")},
		},
	}
}

// barrierMutations are of the agreement by which routers say that they are
// quiet.
func barrierMutations() []mutation {
	const pkg, lead = "buffer", "leadership"
	return []mutation{
		{
			name: "ack-while-busy", ids: "G7", file: "buffer/barrier.go",
			rule:   "A router acks a change when all its lanes are quiet.",
			edits:  one("	for _, l := range m.lanes {\n		if err := l.Quiesced(ctx, t); err != nil {\n", "	for _, l := range m.lanes[:0] {\n		if err := l.Quiesced(ctx, t); err != nil {\n"),
			checks: []check{in(pkg, "TestARouterAcksAChangeWhenTheLastOlderRequestIsOver", "TestARouterIsQuietWhenAllItsLanesAre")},
		},
		{
			name: "lanes-outlive-the-lease", ids: "G7", file: "buffer/barrier.go",
			rule:   "A router's lanes hold before its lease has lapsed.",
			edits:  one("			m.suspend(failed)\n", "			_ = failed\n"),
			checks: []check{in(pkg, "TestLanesHoldBeforeTheLeaseHasLapsedAndGoOnWhenItIsBack")},
		},
		{
			name: "lease-counted-from-the-reply", ids: "G7", file: "buffer/barrier.go",
			rule:   "A lease counts from when it was asked for.",
			edits:  one("	m.until = r.began.Add(m.lease.Usable())", "	m.until = time.Now().Add(m.lease.Usable())"),
			checks: []check{in(pkg, "TestALeaseCountsFromWhenItWasAskedFor")},
		},
		{
			name: "lanes-pass-before-a-record-is-loaded", ids: "G7", file: "buffer/barrier.go",
			rule:   "Lanes pass only by a record that was loaded under the lease.",
			edits:  one("call, load = !m.passes, true", "call, load = !m.passes, true\n				m.resume(leadership.Record{})"),
			checks: []check{in(pkg, "TestLanesHoldFromJoinUntilARecordWasLoadedUnderTheLease")},
		},
		{
			name: "late-router-called-quiet", ids: "G7", file: "leadership/roll.go",
			rule:   "A router that has acked nothing and has its lease is late.",
			edits:  one("		case left > 0:\n			rc.Late = append(rc.Late, s.Router)", "		case left > 0 && s.Acked.IsZero() && s.TTL < 0:\n			rc.Late = append(rc.Late, s.Router)"),
			checks: []check{in(lead, "TestG7_.*")},
		},
		{
			name: "lapsed-router-forgotten-at-once", ids: "G7", file: "leadership/roll.go",
			rule:   "A router that lost its lease is named for a while: nobody knows what it had in flight.",
			edits:  one("		case left > -keepLapsed:\n			rc.Lapsed = append(rc.Lapsed, s.Router)\n", ""),
			checks: []check{in(lead, "TestG7_.*")},
		},
		{
			name: "lapsed-router-acks", ids: "G7", file: "leadership/roll.go",
			rule:   "Who has no lease acks nothing.",
			edits:  one("if !ok || r.Seats[i].Session != l.Session || w.left(r.Seats[i], now) <= 0 {", "if !ok || r.Seats[i].Session != l.Session {"),
			checks: []check{in(lead, "TestG7_OnlyTheSessionThatHasTheLeaseAcks")},
		},
		{
			name: "ack-of-another-session", ids: "G7", file: "leadership/roll.go",
			rule:   "A session acks for itself, not for another of the same name.",
			edits:  one("if !ok || r.Seats[i].Session != l.Session || w.left(r.Seats[i], now) <= 0 {", "if !ok || w.left(r.Seats[i], now) <= 0 {"),
			checks: []check{in(lead, "TestG7_OnlyTheSessionThatHasTheLeaseAcks")},
		},
	}
}
