package main

// policyMutations are of the built-in durability policies.
func policyMutations() []mutation {
	const pkg = "leadership"
	return []mutation{
		{
			name: "policy-ignores-the-leader", ids: "G1 G2", file: "leadership/policies.go",
			rule:   "A set is durable only with the leader's own node in it.",
			edits:  one("return have.Has(l) && have.Len() >= int(k) }", "return have.Len() >= int(k) }"),
			checks: []check{in(pkg, "TestEachPolicyCountsAsItSays")},
		},
		{
			name: "half-is-a-majority", ids: "G1 G2", file: "leadership/policies.go",
			rule:   "A majority is more than half.",
			edits:  one("atLeastRule(members.Len()/2 + 1), nil", "atLeastRule((members.Len() + 1) / 2), nil"),
			checks: []check{in(pkg, "TestEachPolicyCountsAsItSays")},
		},
		{
			name: "half-the-weight-is-a-majority", ids: "G1 G2", file: "leadership/policies.go",
			rule:   "A weighted majority is more than half of the weight.",
			edits:  one("r.need = int32(total/2 + 1)", "r.need = int32((total + 1) / 2)"),
			checks: []check{in(pkg, "TestEachPolicyCountsAsItSays")},
		},
		{
			name: "joint-as-either-or", ids: "G1 G2 G6", file: "leadership/policies.go",
			rule:   "What is durable under a joint policy is durable under both.",
			edits:  one("j.p.Durable(l, have) && j.q.Durable(l, have)", "j.p.Durable(l, have) || j.q.Durable(l, have)"),
			checks: []check{in(pkg, "TestJointNeedsBoth")},
		},
		{
			name: "joint-search-as-either-or", ids: "G1 G2 G6", file: "leadership/policies.go",
			rule:   "The search for a leader that could complete agrees with the joint rule.",
			edits:  one("if _, ok := j.pf.find(leaders, have); !ok {\n		return 0, false", "if m, ok := j.pf.find(leaders, have); ok {\n		return m, true"),
			checks: []check{in(pkg, "TestRevokingSetsMeetEveryDurableSet")},
		},
		{
			name: "zones-count-twice", ids: "G1 G2", file: "leadership/policies.go",
			rule:   "A zone counts once, however many of its nodes have the entry.",
			edits:  one("		if have&z != 0 {\n			n++", "		if have&z != 0 {\n			n += (have & z).Len()"),
			checks: []check{in(pkg, "TestEachPolicyCountsAsItSays")},
		},
	}
}
