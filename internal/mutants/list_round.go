package main

// roundMutations are of what a coordinator concludes from testimony.
func roundMutations() []mutation {
	const pkg = "leadership"
	return []mutation{
		{
			name: "reached-set-is-durable", ids: "G1 G3", file: "leadership/round.go",
			rule:   "A leadership is revoked when no durable set is left without a blocked node, not when the blocked nodes are a durable set.",
			edits:  one("rules.Could(leaders.Minus(leased), rules.members.Minus(reached)); ok {", "rules.Could(leaders.Minus(leased), reached); !ok {"),
			checks: []check{in(pkg, "TestReachedSetThatIsDurableDoesNotRevoke")},
		},
		{
			name: "one-ruleset-in-force", ids: "G1 G6", file: "leadership/round.go",
			rule: "A revocation holds under every ruleset in force.",
			edits: one("	reached = reached.Minus(leased)\n	for _, rules := range r.rules {",
				"	reached = reached.Minus(leased)\n	for _, rules := range r.rules[len(r.rules)-1:] {"),
			checks: []check{in(pkg, "TestRoundAgreesWithBruteForce")},
		},
		{
			name: "read-before-block", ids: "G2", file: "leadership/witness.go",
			rule:   "A position counts only when it was read after the node's block, or after all is revoked.",
			edits:  one("if !own && r.Revoked() != nil {", "if false {"),
			checks: []check{in(pkg, "TestReadBeforeBlockIsNotDiscovery")},
		},
		{
			name: "ruleset-that-was-never-activated-decides", ids: "G1 G2 G6", file: "leadership/inforce.go",
			rule:   "With a known leader, the ruleset of its record stays in force beside one that became durable and was never activated.",
			edits:  one("if s.Decided && r.pinned {", "if s.Decided && r.pinned && r.term.IsZero() {"),
			checks: []check{in(pkg, "TestG6_ARulesetThatWasNeverActivatedTakesNoOtherOutOfForce")},
		},
		{
			name: "ruleset-before-the-activated-in-force", ids: "G5", file: "leadership/inforce.go",
			rule:   "With a known leader, the ruleset of its record takes those before it out of force once a node knows it to be complete.",
			edits:  one("		return r.decide(rs)\n	}\n	if slices", "		return nil\n	}\n	if slices"),
			checks: []check{in(pkg, "TestG6_ARulesetThatWasNeverActivatedTakesNoOtherOutOfForce")},
		},
		{
			name: "waived-ruleset-forgotten-by-an-old-start", ids: "G1", file: "leadership/inforce.go",
			rule:   "What a marker that may have been given up waived is in force for whoever starts from an older ruleset.",
			edits:  one("		if err := r.retain(s.Marker.Waived); err != nil {\n			return err\n		}\n", ""),
			checks: []check{in(pkg, "TestG1_WhatAMarkerThatMayBeGivenUpWaivedStaysInForceForAnOldStart"), in("reparent", "TestG1_WhoStartsFromAnOldRulesetHeedsWhatAGivenUpLastResortWouldHaveReplaced")},
		},
		{
			name: "waived-ruleset-kept-below-the-record", ids: "G5", file: "leadership/inforce.go",
			rule:   "What was waived below a ruleset that has been in force since stands in nobody's way.",
			edits:  one("if slices.ContainsFunc(r.initial, func(own Ruleset) bool { return rs.Version < own.Version }) {\n			continue", "if len(r.initial) == 0 {\n			continue"),
			checks: []check{in(pkg, "TestG5_WhatWasWaivedBelowTheRecordsRulesetStaysOut")},
		},
		{
			name: "complete-marker-above-the-known-leader", ids: "G1", file: "leadership/inforce.go",
			rule:   "A marker that is complete above the known leader's term means that nobody is known to lead.",
			edits:  one("if r.known != nil && r.known.Term.Less(m.Term) {", "if false {"),
			checks: []check{in(pkg, "TestACompleteMarkerAboveTheKnownLeaderMeansThatNobodyIsKnown")},
		},
		{
			name: "position-without-a-place-read", ids: "G2", file: "leadership/round.go",
			rule:   "A position that has a term and no place in the log is no read.",
			edits:  one("if t.Read != nil && t.Read.Point == nil && !t.Read.Term.IsZero() {", "if false {"),
			checks: []check{in(pkg, "TestAPositionWithoutAPlaceIsNoRead")},
		},
		{
			name: "second-leader-of-the-known-term", ids: "G1", file: "leadership/round.go",
			rule:   "When another node led under the term of the known leader, nobody is known to lead.",
			edits:  one("t.Led == r.known.Term && t.Node != r.known.Leader)", "false)"),
			checks: []check{in(pkg, "TestAGrantOfTheKnownTermAtAnotherNodeMeansThatNobodyIsKnown")},
		},
		{
			name: "marker-above-the-term-ignored", ids: "G5", file: "leadership/round.go",
			rule:   "A marker above the round's term ends the attempt, also before a position was read.",
			edits:  one("newest := MaxTerm(t.Term, t.Led, t.accepted())", "newest := MaxTerm(t.Term, t.Led, Testimony{Read: t.Read}.accepted())"),
			checks: []check{in(pkg, "TestAMarkerAboveTheTermSupersedesTheRound")},
		},
		{
			name: "joiner-not-admitted", ids: "G5", file: "leadership/round.go",
			rule:   "What a node promised before a marker showed that it is a member counts from then on.",
			edits:  one("	r.admit()\n", ""),
			checks: []check{in(pkg, "TestWhatAJoinerPromisedCountsOnceAMarkerShowsThatItIsAMember")},
		},
		{
			name: "void-read-stays", ids: "G2", file: "leadership/witness.go",
			rule:   "A read that relied on a revocation is void when the revocation is.",
			edits:  one("		r.read &= r.own\n", "		_ = r.own\n"),
			checks: []check{in(pkg, "TestReadThatReliedOnRevocationIsVoidWithIt")},
		},
		{
			name: "longest-log", ids: "G2", file: "leadership/position.go",
			rule:   "Logs are ranked by the term of their last entry before their length.",
			edits:  one("p.Term.Compare(q.Term); c != 0 {", "p.Term.Compare(q.Term); c != 0 && (p.Point == nil || q.Point == nil) {"),
			checks: []check{in(pkg, "TestSelectionIsByAcceptedTermThenLength", "TestPositionsTellTheTruthAboutLogs")},
		},
		{
			name: "diverged-is-same", ids: "G2", file: "leadership/position.go",
			rule:   "Logs that diverged within one term stop the round.",
			edits:  one("	if len(clash) > 0 {\n", "	if len(clash) > len(ps) {\n"),
			checks: []check{in(pkg, "TestDivergedLogsOfOneTermStopTheRound")},
		},
		{
			name: "tie-without-proposer", ids: "G1", file: "leadership/term.go",
			rule:   "Terms of one number are ordered by their proposers: two coordinators never share a term.",
			edits:  one("return strings.Compare(t.Proposer, u.Proposer)", "return 0"),
			checks: []check{in(pkg, "TestEqualNumbersAreOrderedByProposer")},
		},
		{
			name: "floor-ignored", ids: "G2", file: "leadership/witness.go",
			rule:   "A node below its floor is blocked, and is no evidence of what was completed.",
			edits:  one("	w := &r.seen[m]\n	if !t.Kind.outside() {", "	w := &r.seen[m]\n	t.BelowFloor = false\n	if !t.Kind.outside() {"),
			checks: []check{in(pkg, "TestNodeBelowItsFloorIsBlockedButNoEvidence")},
		},
		{
			name: "incarnation-change-ignored", ids: "G1 G2", file: "leadership/witness.go",
			rule:   "What a node said before its storage was replaced does not count.",
			edits:  one("case w.heard && w.incarnation != t.Incarnation:", "case false:"),
			checks: []check{in(pkg, "TestProposeSelectsFromTheReadsThatCountByThen")},
		},
		{
			name: "incarnation-comes-back", ids: "G1 G2", file: "leadership/witness.go",
			rule:   "An incarnation that another one replaced in this round is not believed again.",
			edits:  one("case slices.Contains(w.past, t.Incarnation):", "case len(w.past) > 64 && slices.Contains(w.past, t.Incarnation):"),
			checks: []check{in(pkg, "TestHeldBlocksRevokeButTakeNoPart")},
		},
		{
			name: "markers-ignored", ids: "G1 G6", file: "leadership/round.go",
			rule:   "The rulesets of markers that nodes hold are in force for the round that sees them.",
			edits:  one("err := r.sight(t.Markers)", "err := r.sight(nil)"),
			checks: []check{in(pkg, "TestDraftBesideADecidedRulesetIsDeadInEitherOrder")},
		},
		{
			name: "draft-replaces-the-old", ids: "G1", file: "leadership/inforce.go",
			rule:   "A ruleset replaces older ones only when its marker is known to be complete.",
			edits:  one("		if s.Decided {\n", "		if s.Decided || !s.Decided {\n"),
			checks: []check{in(pkg, "TestUndecidedRulesetDoesNotReplaceTheOld")},
		},
		{
			name: "stale-leader-stays-known", ids: "G1 G6", file: "leadership/round.go",
			rule:   "A record's leader is the only one to revoke no longer when a node led a later term.",
			edits:  one("if r.known != nil && (r.known.Term.Less(t.Led) ||", "if r.known != nil && (false ||"),
			checks: []check{in(pkg, "TestKnownLeaderIsEnoughOnlyWhileItIsKnown")},
		},
		{
			name: "lease-blocks-a-follower", ids: "G1", file: "leadership/witness.go",
			rule:   "An expired lease blocks a leader, and nobody's acknowledgements as a follower.",
			edits:  one("	if k == LeaseExpired {", "	if false {"),
			checks: []check{in(pkg, "TestExpiredLeaseBlocksALeaderAndNoFollower")},
		},
		{
			name: "held-node-takes-part", ids: "G1", file: "leadership/round.go",
			rule:   "A node that is only held by somebody's isolation has promised nothing and takes no part.",
			edits:  one("if r.seen[m].kind.stable() && !r.seen[m].held {", "if r.seen[m].kind != Statement {"),
			checks: []check{in(pkg, "TestHeldBlocksRevokeButTakeNoPart")},
		},
		{
			name: "ineligible-candidate", ids: "G10", file: "leadership/survivors.go",
			rule:   "Only an eligible member of every ruleset in force is established.",
			edits:  one("		if !rules.leaders.Has(m) {\n			return &IneligibleError{Node: to", "		if false {\n			return &IneligibleError{Node: to"),
			checks: []check{in(pkg, "TestG10_BadRoundsAndTermsAreRefused")},
		},
		{
			name: "candidate-without-support", ids: "G3 G5", file: "leadership/survivors.go",
			rule:   "A candidate is proposed only when its marker can become durable on the nodes that promised.",
			edits:  one("if have := willing & rules.members; !rules.Durable(m, have) {", "if have := willing & rules.members; have == 0 {"),
			checks: []check{in(pkg, "TestHeldBlocksRevokeButTakeNoPart")},
		},
		{
			name: "superseded-round-goes-on", ids: "G1 G5", file: "leadership/round.go",
			rule:   "A round that heard of a higher term proves nothing any more.",
			edits:  one("case r.superseded.Num != 0 && r.term.Less(r.superseded):", "case false:"),
			checks: []check{in(pkg, "TestG3_NoProposalFromARevocationThatHoldsNoMore")},
		},
		{
			name: "higher-log-ignored", ids: "G1 G2", file: "leadership/round.go",
			rule:   "A log of a higher term than the round's supersedes it.",
			edits:  one("case t.Kind == Refused, r.term.Less(newest):", "case t.Kind == Refused:"),
			checks: []check{in(pkg, "TestALogAboveTheTermSupersedesTheRound")},
		},
		{
			name: "testimony-of-an-older-term", ids: "G1 G3", file: "leadership/round.go",
			rule:   "A promise of an older term is no testimony for a later one.",
			edits:  one("case t.Term.Less(r.term):", "case false:"),
			checks: []check{in(pkg, "TestALogAboveTheTermSupersedesTheRound")},
		},
		{
			name: "certified-by-a-mechanism", ids: "G3", file: "leadership/round.go",
			rule:   "That a node is gone is certified by a waiver, by a person and with a reason, and by nothing else.",
			edits:  one("case t.Kind == Certified:\n		return", "case false:\n		return"),
			checks: []check{in(pkg, "TestWaiverBlocksAndOnlyLossSkipsDiscovery")},
		},
		{
			name: "waiver-without-loss", ids: "G2", file: "leadership/witness.go",
			rule:   "A waiver skips discovery only when it says that requests may be lost.",
			edits:  one("	if w.Loss {\n", "	if w.By != \"\" {\n"),
			checks: []check{in(pkg, "TestWaiverBlocksAndOnlyLossSkipsDiscovery")},
		},
		{
			name: "loss-of-what-the-living-hold", ids: "G2", file: "leadership/round.go",
			rule:   "Loss skips discovery only once every member that is not gone was read.",
			edits:  one("w.kind != Certified && !w.belowFloor && !w.barred {\n				return 0\n", "w.kind != Certified && !w.belowFloor && !w.barred {\n				return r.loss\n"),
			checks: []check{in(pkg, "TestLossSkipsDiscoveryOnlyOnceAllWhoAreNotGoneWereRead")},
		},
		{
			name: "loss-beside-a-void-read", ids: "G2", file: "leadership/round.go",
			rule:   "A read that was void afterwards lets nothing be lost.",
			edits:  one("r.read | r.forgone(r.read)", "r.read | r.forgone(r.told)"),
			checks: []check{in(pkg, "TestLossSkipsDiscoveryOnlyOnceAllWhoAreNotGoneWereRead")},
		},
		{
			name: "barred-node-testifies", ids: "G2", file: "leadership/round.go",
			rule:   "The position of a node that was declared gone counts only after it followed a later leader.",
			edits:  one("t.Read, t.Markers = nil, nil\n", "_ = why\n"),
			checks: []check{in(pkg, "TestG10_BadRoundsAndTermsAreRefused")},
		},
	}
}
