package main

// survivorMutations take out the rules of a waiver that names whom to go on with.
func survivorMutations() []mutation {
	const (
		round = "leadership"
		guard = "reparent"
	)
	return []mutation{
		{
			name: "any-ruleset-is-excused", ids: "G1 G2", file: "leadership/survivors.go",
			rule:   "A ruleset that can be satisfied without the nodes that are gone is not excused by a waiver.",
			edits:  one("	_, ok := rules.Could(rules.leaders, rules.members.Minus(r.survivors.gone))\n	return !ok\n", "	return true\n"),
			checks: []check{in(round, "TestSurvivorsAreRefused"), in(guard, "TestALastResortIsRefusedWhereTheOrdinaryWayIsOpen")},
		},
		{
			name: "survivors-without-an-excuse", ids: "G1", file: "leadership/survivors.go",
			rule:   "Where no ruleset is beyond being satisfied, a waiver's ruleset is refused.",
			edits:  one("if !slices.ContainsFunc(r.rules, r.excused) {", "if len(r.rules) == 0 {"),
			checks: []check{in(round, "TestSurvivorsAreRefused"), in(guard, "TestALastResortIsRefusedWhereTheOrdinaryWayIsOpen")},
		},
		{
			name: "survivors-that-are-mute", ids: "G2", file: "leadership/survivors.go",
			rule:   "Every member that was not declared gone promises and is read before survivors go on.",
			edits:  one("mute != 0 {", "mute != 0 && r.term.IsZero() {"),
			checks: []check{in(round, "TestSurvivorsAreRefused"), in(guard, "TestALastResortWantsAllWhoAreNotGone")},
		},
		{
			name: "survivors-that-are-not-read", ids: "G2", file: "leadership/survivors.go",
			rule:   "A survivor's promise without its position does not do: it may hold more than the others.",
			edits:  one("s.gone | r.willing()&r.told", "s.gone | r.willing()"),
			checks: []check{in(round, "TestSurvivorsAreRefused")},
		},
		{
			name: "gone-and-answering", ids: "G1", file: "leadership/survivors.go",
			rule:   "Who answers is not gone, and no ruleset is replaced because of it.",
			edits:  one("back != 0 {", "back != 0 && r.term.IsZero() {"),
			checks: []check{in(guard, "TestALastResortIsRefusedWhereTheOrdinaryWayIsOpen")},
		},
		{
			name: "gone-and-going-on", ids: "G1 G10", file: "leadership/testimony.go",
			rule:   "Who was declared gone is no member of the ruleset to go on with.",
			edits:  one("if w.Ruleset.Has(id) {", "if w.Ruleset.Has(id) && id == \"\" {"),
			checks: []check{in(round, "TestSurvivorsAreRefused")},
		},
		{
			name: "strangers-among-survivors", ids: "G2", file: "leadership/survivors.go",
			rule:   "Only members in force are survivors.",
			edits:  one("rules.Ruleset.Has(n.ID) }) {", "rules.Ruleset.Has(n.ID) }) && n.ID == \"\" {"),
			checks: []check{in(round, "TestSurvivorsAreRefused")},
		},
		{
			name: "waived-ruleset-lifted-by-any-log", ids: "G1", file: "leadership/inforce.go",
			rule:   "A log alone does not put a ruleset out of force by a waiver: its attempt may have been given up.",
			edits:  one("if slices.ContainsFunc(r.initial, s.Marker.Ruleset.Equal) {", "if len(r.initial) >= 0 {"),
			checks: []check{in(round, "TestAWaivedRulesetIsOverOnlyForWhoKnowsTheNextFromTheRecord"), in(guard, "TestG1_ALastResortThatWasGivenUpLiftsNothing")},
		},
		{
			name: "waived-ruleset-comes-back", ids: "G5", file: "leadership/inforce.go",
			rule:   "A ruleset that was waived stays out of force, whichever log is heard after that.",
			edits:  one("	if slices.ContainsFunc(r.lifted, rs.Equal) {\n		return nil\n	}\n	for", "	for"),
			checks: []check{in(round, "TestAWaivedRulesetIsOverOnlyForWhoKnowsTheNextFromTheRecord")},
		},
		{
			name: "waived-ruleset-above-the-marker", ids: "G1", file: "leadership/inforce.go",
			rule:   "A marker puts nothing out of force that is not below its own ruleset, so something stays in force.",
			edits:  one("rs.Version >= m.Ruleset.Version || ", ""),
			checks: []check{in(round, "TestAWaivedRulesetIsOverOnlyForWhoKnowsTheNextFromTheRecord")},
		},
		{
			name: "waived-ruleset-not-in-the-marker", ids: "G5", file: "leadership/revocation.go",
			rule:   "The marker says which rulesets it took the place of.",
			edits:  one("	p.marker.Waived = r.waived()\n", ""),
			checks: []check{in(round, "TestSurvivorsGoOnUnderARulesetOfTheirOwn")},
		},
		{
			name: "lost-log-not-in-the-marker", ids: "G2", file: "leadership/revocation.go",
			rule:   "The marker says whose logs discovery went without.",
			edits:  one("	p.marker.Lost = r.without()\n", ""),
			checks: []check{in(round, "TestG2_ALogThatWasGivenUpAsLostAndIsBackIsNotDroppedForTheAttemptThatWentWithoutIt")},
		},
		{
			name: "lost-log-that-is-back-is-dropped", ids: "G2", file: "leadership/lost.go",
			rule:   "A log that an abandoned attempt went without, and that is back with more, is not dropped for that attempt's.",
			edits:  one("if !ok || !r.read.Has(l) {", "if !ok || r.read.Has(l) {"),
			checks: []check{in(round, "TestG2_ALogThatWasGivenUpAsLostAndIsBackIsNotDroppedForTheAttemptThatWentWithoutIt")},
		},
		{
			name: "lost-log-dropped-for-an-earlier-marker", ids: "G2", file: "leadership/lost.go",
			rule:   "Only a marker that is complete, or after which one is, shows that its attempt went on.",
			edits:  one("			if s.Marker.Term.Compare(went) <= 0 {\n", "			if !went.IsZero() {\n"),
			checks: []check{in(round, "TestAnAttemptThatWentOnIsNotHeldUpByTheLogThatItWentWithout")},
		},
		{
			name: "survivors-begin-blind", ids: "G1", file: "reparent/change.go",
			rule:   "Where a waiver replaces a ruleset nothing begins without the registry.",
			edits:  one("return c.unplanned() && c.survivors() == nil && ", "return c.unplanned() && "),
			checks: []check{in(guard, "TestALastResortNeedsTheRegistry")},
		},
		{
			name: "loss-begins-blind", ids: "G1", file: "reparent/change.go",
			rule:   "Where a waiver skips a part of discovery nothing begins without the registry.",
			edits:  one(" && (c.Waiver == nil || !c.Waiver.Loss || c.Force)", ""),
			checks: []check{in(guard, "TestLossGoesOnWithoutTheRegistryWhenForced")},
		},
		{
			name: "survivors-lead-unrecorded", ids: "G1", file: "reparent/steps.go",
			rule:   "Nobody leads under a ruleset that replaced another by a person's word before the record shows it.",
			edits:  one("isRule(err) || a.change.survivors() != nil || ", "isRule(err) || "),
			checks: []check{in(guard, "TestG1_ALastResortThatWasGivenUpLiftsNothing")},
		},
		{
			name: "loss-beside-an-unknown-ruleset", ids: "G1", file: "reparent/plan.go",
			rule:   "What lost nodes knew is not given up while the record says that the members may have changed.",
			edits:  one("a.change.Force || r.Drafted.IsZero() {", "a.change.Force || !r.Drafted.IsZero() {"),
			checks: []check{in(guard, "TestG1_LossIsRefusedWhileTheRecordMayNotShowTheMembers")},
		},
		{
			name: "draft-that-ends-with-its-intent", ids: "G1", file: "reparent/plan.go",
			rule:   "That the members may have changed is not forgotten when another intent takes the place of that change.",
			edits:  one("a.change.Force || r.Drafted.IsZero() {", "a.change.Force || r.Intent.Kind != leadership.KindRuleset {"),
			checks: []check{in(guard, "TestG1_LossIsRefusedAlsoWhenAnotherIntentHasEndedSince")},
		},
		{
			name: "draft-that-is-not-noted", ids: "G1", file: "leadership/transitions.go",
			rule:   "A change of the ruleset is noted as drafted when it begins.",
			edits:  one("	if i.Kind == KindRuleset {\n", "	if i.Kind == \"\" {\n"),
			checks: []check{in(round, "TestADraftedRulesetIsForgottenByActivationOnly")},
		},
		{
			name: "draft-begun-since-forgotten", ids: "G1", file: "leadership/transitions.go",
			rule:   "A leadership that is recorded late does not end what was drafted after it.",
			edits:  one("if !l.Term.Less(n.Drafted) {", "if !n.Drafted.IsZero() {"),
			checks: []check{in(round, "TestADraftedRulesetIsForgottenByActivationOnly")},
		},
		{
			name: "survivors-go-back-to-an-older-draft", ids: "G1", file: "leadership/survivors.go",
			rule:   "A last resort goes on from the newest draft or with one above it, never back to an older one.",
			edits:  one("if len(newest) == 1 && !r.excused(newest[0]) {\n		have := newest[0].Ruleset\n", "for _, rules := range r.rules {\n		have := rules.Ruleset\n"),
			checks: []check{in(round, "TestALastResortGoesBackToNoOlderDraft")},
		},
		{
			name: "survivors-go-on-with-one-of-two-drafts", ids: "G1", file: "leadership/survivors.go",
			rule:   "Of two drafts of one version a last resort goes on with none.",
			edits:  one("if len(newest) == 1 && !r.excused(newest[0]) {", "if len(newest) > 0 && !r.excused(newest[0]) {"),
			checks: []check{in(round, "TestALastResortGoesOnWithNoneOfTwoDraftsOfOneVersion")},
		},
		{
			name: "granted-leader-forgotten-for-an-announcement", ids: "G5", file: "leadership/transitions.go",
			rule:   "Who was granted while the registry was down is recorded unless another one is active.",
			edits:  one("case l.Term == r.Active.Term, !l.Term.Less(r.Fence):", "default:"),
			checks: []check{in(round, "TestWhatWasGrantedUnrecordedStandsUntilAnotherIsActive"), in(guard, "TestALeaderThatIsNotInTheRecordIsNotForgottenForARivalThatOnlyBegan")},
		},
		{
			name: "loss-beside-a-ruleset-drafted-meanwhile", ids: "G1", file: "reparent/steps.go",
			rule:   "That the members may have changed is asked again in the write that begins.",
			edits:  one("		if err := a.knowsMembers(r); err != nil {", "		if err := a.knowsMembers(a.rec); err != nil {"),
			checks: []check{in(guard, "TestG1_LossIsRefusedWhenTheMembersMayHaveChangedMeanwhile")},
		},
		{
			name: "survivors-lead-beside-who-came-back", ids: "G1", file: "reparent/attempt.go",
			rule:   "A last resort ends once who was declared gone answers, also after the proposal.",
			edits:  one("	if a.change.survivors() != nil {\n		var back", "	if a.g == nil {\n		var back"),
			checks: []check{in(guard, "TestG1_ALastResortEndsWhenWhoWasDeclaredGoneAnswers")},
		},
		{
			name: "survivors-after-a-proposal", ids: "G1", file: "leadership/witness.go",
			rule:   "Whom to go on with is not said once a candidate was proposed.",
			edits:  one("		if r.proposal != nil {\n			return &WaiverError", "		if r.proposal != nil && w.By == \"\" {\n			return &WaiverError"),
			checks: []check{in(round, "TestSurvivorsAreRefused")},
		},
		{
			name: "survivors-recorded-beside-who-came-back", ids: "G1", file: "reparent/steps.go",
			rule:   "The record does not name a last resort that ended because who was declared gone answered.",
			edits:  one("		return err // before the record", "		_ = err // before the record"),
			checks: []check{in(guard, "TestG1_ALastResortEndsWhenWhoWasDeclaredGoneAnswers")},
		},
		{
			name: "new-members-wait-for-the-dead", ids: "G5", file: "reparent/revoke.go",
			rule:   "Members that only a log tells of are asked while a dead member is still tried.",
			edits:  one("if waiting && mechanism == a.g.push {", "if waiting && mechanism == nil {"),
			checks: []check{in(guard, "TestNewMembersAreAskedWhileADeadMemberIsStillTried")},
		},
	}
}
