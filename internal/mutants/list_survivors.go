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
			name: "survivors-begin-blind", ids: "G1", file: "reparent/change.go",
			rule:   "Where a waiver replaces a ruleset nothing begins without the registry.",
			edits:  one("return c.unplanned() && c.survivors() == nil }", "return c.unplanned() }"),
			checks: []check{in(guard, "TestALastResortNeedsTheRegistry")},
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
			edits:  one("i.Kind != leadership.KindRuleset || i.Phase == leadership.Cleared {", "i.Kind == leadership.KindRuleset || i.Phase == leadership.Cleared {"),
			checks: []check{in(guard, "TestG1_LossIsRefusedWhileTheRecordMayNotShowTheMembers")},
		},
	}
}
