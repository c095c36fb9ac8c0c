package main

// proposalMutations are of the values that cannot be made without the one
// before.
func proposalMutations() []mutation {
	const pkg = "leadership"
	return []mutation{
		{
			name: "revocation-without-discovery", ids: "G2 G3", file: "leadership/revocation.go",
			rule:   "A revocation is minted only when what could have been completed was read.",
			edits:  one("	if err := r.Discovered(); err != nil {\n		return nil, err\n	}\n	if err := r.resort()", "	if err := r.resort()"),
			checks: []check{in(pkg, "TestRevocationIsMintedOnlyAfterDiscovery")},
		},
		{
			name: "proposal-rebinds", ids: "G1", file: "leadership/revocation.go",
			rule:   "A term is bound to one candidate and one ruleset: a second proposal of it is refused.",
			edits:  one("if p := r.proposal; p != nil {", "if p := r.proposal; p != nil && p.marker.Leader == to {"),
			checks: []check{in(pkg, "TestATermCarriesOneProposal")},
		},
		{
			name: "proposal-from-a-stale-revocation", ids: "G3", file: "leadership/revocation.go",
			rule:   "A revocation that holds no more gives no proposal.",
			edits:  one("	if err := r.Ready(to); err != nil {\n		return nil, err\n	}\n	top, donors", "	top, donors"),
			checks: []check{in(pkg, "TestG3_NoProposalFromARevocationThatHoldsNoMore")},
		},
		{
			name: "installed-early", ids: "G2 G3", file: "leadership/proposal.go",
			rule:   "A leadership counts as installed only when its own marker is durable: the own-term rule.",
			edits:  one("		if !rules.Durable(l, have) {\n			return nil, &NotDurableError{", "		if !rules.Durable(l, have) && have == 0 {\n			return nil, &NotDurableError{"),
			checks: []check{in(pkg, "TestRulesetChangeMustBeDurableUnderBoth")},
		},
		{
			name: "installed-under-the-old-ruleset", ids: "G1 G2", file: "leadership/proposal.go",
			rule: "A change of ruleset is installed when its marker is durable under the old and the new.",
			edits: one("	for _, rules := range p.rules {\n		if !rules.Durable(l, have) {\n			return nil, &NotDurableError{",
				"	for _, rules := range p.rules[:1] {\n		if !rules.Durable(l, have) {\n			return nil, &NotDurableError{"),
			checks: []check{in(pkg, "TestRulesetChangeMustBeDurableUnderBoth")},
		},
		{
			name: "acceptance-of-another-term", ids: "G1 G2", file: "leadership/proposal.go",
			rule:   "An acceptance counts for the term and the leader it names.",
			edits:  one("if a.Term != p.marker.Term || a.Leader != p.marker.Leader {", "if a.Term.IsZero() {"),
			checks: []check{in(pkg, "TestRulesetChangeMustBeDurableUnderBoth")},
		},
		{
			name: "marker-forgets-rulesets", ids: "G1 G6", file: "leadership/revocation.go",
			rule:   "A marker names all rulesets in force, so that who sees it takes them all.",
			edits:  one("		if !rules.Ruleset.Equal(p.marker.Ruleset) {\n", "		if false {\n"),
			checks: []check{in(pkg, "TestMarkerInheritsTheRulesetOfTheSelectedLog")},
		},
		{
			name: "ruleset-not-inherited", ids: "G1 G6", file: "leadership/revocation.go",
			rule:   "A marker carries on the ruleset of the log that was selected.",
			edits:  one("				if r.inForce(rs) {\n					return rs.clone()\n				}\n", ""),
			checks: []check{in(pkg, "TestMarkerInheritsTheRulesetOfTheSelectedLog")},
		},
		{
			name: "ruleset-version-falls", ids: "G1 G10", file: "leadership/proposal.go",
			rule:   "A new ruleset has a version above every one in force.",
			edits:  one("if next.Version <= rules.Ruleset.Version {", "if next.Version == 0 && rules != nil {"),
			checks: []check{in(pkg, "TestRulesetChangeMustBeDurableUnderBoth")},
		},
	}
}
