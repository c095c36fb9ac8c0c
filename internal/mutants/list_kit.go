package main

// kitMutations are of the checks of the simulation: one that is blind lets
// everything pass.
func kitMutations() []mutation {
	const pkg = "reparent/reparenttest"
	fires := in(pkg, "TestEachInvariantFiresAndItsNearMissDoesNot")
	lives := in(pkg, "TestEachLivenessCheckFiresAndItsNearMissDoesNot")
	return []mutation{
		{
			name: "observers-look-like-members", ids: "G2", file: pkg + "/invariants_completions.go",
			rule:   "I20: a copy at one who is no member is not mistaken for one of too few members.",
			edits:  one("if m < 0 && have&(1<<n) != 0 {", "if m < -1 && have&(1<<n) != 0 {"),
			checks: []check{in(pkg, "TestI20_AnObserverMakesNothingDurable"), fires},
		},
		{
			name: "too-few-copies-pass", ids: "G2", file: pkg + "/invariants_completions.go",
			rule:   "I22: what is completed is on enough members.",
			edits:  one("		if r.durable(k.index, have) {", "		if r.durable(k.index, have) || have != 0 {"),
			checks: []check{fires},
		},
		{
			name: "copies-counted-under-the-old-ruleset", ids: "G2", file: pkg + "/invariants_completions.go",
			rule:   "I22: behind its own marker a leader goes by its own ruleset.",
			edits:  one("		must = must[:1]\n", "		must = must[1:]\n"),
			checks: []check{fires},
		},
		{
			name: "any-log-is-a-selected-one", ids: "G2", file: pkg + "/invariants_installs.go",
			rule:   "I13: a leader is installed with a log that somebody reported to its attempt.",
			edits:  one("	if !reported {", "	if !reported && len(heard) == 0 {"),
			checks: []check{fires},
		},
		{
			name: "no-leader-is-no-failure", ids: "G5", file: pkg + "/world.go",
			rule:   "L1: when all faults are over a leader can be established.",
			edits:  one("	case rep.Err != nil:\n		return \"\", &Violation", "	case rep.Err != nil && rep.To != \"\":\n		return \"\", &Violation"),
			checks: []check{lives},
		},
		{
			name: "leader-without-requests-is-no-failure", ids: "G5", file: pkg + "/world.go",
			rule:   "L1: a leader that was established takes requests.",
			edits:  one("			werr = w.append(context.Background(), p, rep.To)\n", "			_ = w.append(context.Background(), p, rep.To)\n"),
			checks: []check{lives},
		},
		{
			name: "unasked-change-is-no-failure", ids: "G5", file: pkg + "/invariants_liveness.go",
			rule:   "L2: when nobody asks, the leader does not change.",
			edits:  one("	case len(w.grants) != before &&", "	case len(w.grants) < before &&"),
			checks: []check{lives},
		},
		{
			name: "straggler-is-no-failure", ids: "G5", file: pkg + "/invariants_liveness.go",
			rule:   "L3: every node follows after a few sweeps.",
			edits:  one("		if n.Err != nil && w.mayFollow(n.Node) {", "		if n.Err != nil && !w.mayFollow(n.Node) {"),
			checks: []check{lives},
		},
		{
			name: "two-handlers-in-one-step", ids: "G5", file: pkg + "/modelqueue.go",
			rule:   "Of two handlers of a simulated node that one event lets go on, the one that had to wait takes a step of its own.",
			edits:  one("	if err := n.h.proc.Yield(ctx, \"turn\"); err != nil {", "	if err := ctx.Err(); err != nil {"),
			checks: []check{in(pkg, "TestTwoHandlersThatOneWriteLetsGoOnDoSoInTwoSteps")},
		},
		{
			name: "wait-that-ended-goes-on", ids: "G5", file: pkg + "/host.go",
			rule:   "What comes to a simulated node at the instant at which its wait ends comes too late.",
			edits:  one("	return ok && !time.Now().Before(until)\n", "	return ok && time.Now().After(until)\n"),
			checks: []check{in(pkg, "TestAWaitThatEndsAsWhatItWaitsForComesHasEnded")},
		},
		{
			name: "two-sleepers-in-one-step", ids: "G5", file: pkg + "/modelpromise.go",
			rule:   "Two handlers of a simulated node that slept to one instant go on in a step of their own each.",
			edits:  one("	if err := n.h.proc.Yield(ctx, \"applied\"); err != nil {", "	if err := ctx.Err(); err != nil {"),
			checks: []check{in(pkg, "TestTwoHandlersThatSleepToOneInstantGoOnInTwoSteps")},
		},
		{
			name: "senders-look-while-it-completes", ids: "G5", file: pkg + "/modellog.go",
			rule:   "A simulated leader has completed what it may by itself when its senders look.",
			edits:  one("	n.complete(l) // before a sender looks, and not meanwhile\n	n.push(l)\n", "	n.push(l)\n	n.complete(l)\n"),
			checks: []check{in(pkg, "TestALeaderThatCompletesAloneHasDoneSoWhenItTellsFollowers")},
		},
		{
			name: "false-proof-of-who-was-given-a-baton", ids: "G9", file: pkg + "/invariants_batons.go",
			rule:   "G9: a leader that steps down for one baton does not prove to who brings another that it leads on.",
			edits:  one("declined := err != nil && leadership", "declined := err == nil && leadership"),
			checks: []check{in(pkg, "TestG9_ALeaderThatIsGivingUpProvesToNobodyThatItLeadsOn")},
		},
		{
			name: "crash-tried-at-one-moment-only", ids: "G5", file: "internal/stepsim/step.go",
			rule:   "A search leaves out no crash but one that comes to the same as an earlier one.",
			edits:  one("(!s.sparse || s.touched&p.bit() != 0 || p.work.Load() != 0)", "(!s.sparse || p.work.Load() != 0)"),
			checks: []check{in("internal/stepsim", "TestTheSearchWithStatesReachesTheSameEndsInFewerRuns")},
		},
	}
}
