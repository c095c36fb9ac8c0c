package main

// recordMutations are of the registry: the rules of its record, its stores, and
// what routers read in it.
func recordMutations() []mutation {
	const pkg = "leadership"
	conform := in("leadership/leadershiptest", "TestTheBuiltInRegistriesConform")
	return []mutation{
		{
			name: "fence-falls", ids: "G1 G5", file: "leadership/transitions.go",
			rule:   "The fence of the record never falls.",
			edits:  one("if i.Term.Compare(r.Fence) <= 0 {", "if i.Term == r.Fence {"),
			checks: []check{in(pkg, "TestRecordNeverGoesBack")},
		},
		{
			name: "recalled-record-believed", ids: "G5 G9", file: "leadership/registry.go",
			rule:   "What a record of the past refuses, or has done already, is asked of the newest.",
			edits:  one("if recalled && (err != nil || next.Equal(cur)) {", "if recalled && cur.Version == 0 {"),
			checks: []check{in(pkg, "TestG9_UpdateBelievesWhatIsRecalledAsFarAsASwapProvesIt")},
		},
		{
			name: "record-of-the-higher-version-remembered", ids: "G1", file: "reparent/remember.go",
			rule:   "Without the registry a guard goes on from the record read last, whose version may be lower.",
			edits:  one("	if asked < g.lastRead {", "	if r.Version < g.last.Version {\n		return\n	}\n	if asked < g.lastRead {"),
			checks: []check{in("reparent", "TestTheGuardRemembersTheRecordReadLast"), in("reparent", "TestG1_AnEmergencyWithoutTheRegistryRestsOnTheRecordReadLast")},
		},
		{
			name: "late-answer-remembered", ids: "G1", file: "reparent/remember.go",
			rule:   "An older answer that comes late does not take the place of a newer one.",
			edits:  one("	if asked < g.lastRead {", "	if asked > g.lastRead {"),
			checks: []check{in("reparent", "TestTheGuardRemembersTheRecordReadLast")},
		},
		{
			name: "two-bootstraps-begin", ids: "G1", file: "reparent/steps.go",
			rule:   "Of two first leaderships with different members only one begins, whatever both had read.",
			edits:  one("		if err := a.begunAlike(r); err != nil {", "		if err := a.begunAlike(a.rec); err != nil {"),
			checks: []check{in("reparent", "TestG1_TwoBootstrapsOfDisjointMembersDoNotBothBegin")},
		},
		{
			name: "another-clusters-record-read", ids: "G10", file: "reparent/plan.go",
			rule:   "A guard does not go on from the record of another cluster.",
			edits:  one("	if err := a.g.owns(rec); err != nil {", "	if err := a.g.owns(a.rec); err != nil {"),
			checks: []check{in("reparent", "TestG10_TheRecordOfAnotherClusterIsNothingToGoOnFrom")},
		},
		{
			name: "another-clusters-record-written", ids: "G10", file: "reparent/steps.go",
			rule: "A guard writes nothing over the record of another cluster.",
			edits: []edit{
				{"		if err := a.g.owns(r); err != nil {", "		if err := a.g.owns(a.rec); err != nil {"},
				{"	if err := g.owns(r); err != nil {", "	if err := g.owns(leadership.Record{}); err != nil {"},
			},
			checks: []check{in("reparent", "TestG10_NothingIsWrittenOverTheRecordOfAnotherCluster")},
		},
		{
			name: "ruleset-versions-used-up", ids: "G10", file: "reparent/plan.go",
			rule:   "A person gives no version that leaves no room for the changes after it.",
			edits:  one("if rs.Version <= leadership.MaxTermNum {", "if rs.Version <= 1<<64-1 {"),
			checks: []check{in("reparent", "TestG10_AVersionThatUsesUpTheNumbersIsRefused")},
		},
		{
			name: "intent-ignored", ids: "G5", file: "leadership/transitions.go",
			rule:   "Of two planned changes the second is told that the first is under way.",
			edits:  one("if r.Intent.Phase != Cleared && !force {", "if false {"),
			checks: []check{in(pkg, "TestG6_ShortcutNeedsTheFenceFirst")},
		},
		{
			name: "activation-below-the-fence", ids: "G1 G5", file: "leadership/transitions.go",
			rule:   "A coordinator that was overtaken activates nobody.",
			edits:  one("	case l.Term.Less(r.Fence):\n		return r, &SupersededError{Term: l.Term, By: r.Fence}\n	case r.Mode", "	case r.Mode"),
			checks: []check{in(pkg, "TestRecordNeverGoesBack")},
		},
		{
			name: "shortcut-without-the-fence", ids: "G1 G6", file: "leadership/transitions.go",
			rule:   "In shortcut mode only an attempt that began in the registry is activated.",
			edits:  one("case r.Mode == Shortcut && r.Fence != l.Term:", "case false:"),
			checks: []check{in(pkg, "TestG6_ShortcutNeedsTheFenceFirst")},
		},
		{
			name: "route-to-who-is-not-active", ids: "G1", file: "leadership/transitions.go",
			rule:   "Clients are routed to the active leadership only.",
			edits:  one("case r.Active != l || l.IsZero():", "case l.IsZero():"),
			checks: []check{in(pkg, "TestG6_ShortcutNeedsTheFenceFirst")},
		},
		{
			name: "unconverted-isolation-released", ids: "G1", file: "leadership/transitions.go",
			rule:   "An isolated node is released only when it has promised for good.",
			edits:  one("if !t.Kind.stable() || t.Held {", "if false {"),
			checks: []check{in(pkg, "TestReleaseNeedsAPromiseOfTheIsolatingTerm")},
		},
		{
			name: "released-by-an-older-promise", ids: "G1", file: "leadership/transitions.go",
			rule:   "An isolated node is released only for a promise of the term that isolated it, or of a later one.",
			edits:  one("if h.Node == t.Node && t.Term.Less(h.Term) {", "if false {"),
			checks: []check{in(pkg, "TestReleaseNeedsAPromiseOfTheIsolatingTerm")},
		},
		{
			name: "stale-isolation-recorded", ids: "G1 G5", file: "leadership/transitions.go",
			rule:   "A coordinator that was overtaken holds nobody isolated.",
			edits:  one("	if h.Term.Less(r.Fence) {", "	if false {"),
			checks: []check{in(pkg, "TestReleaseNeedsAPromiseOfTheIsolatingTerm")},
		},
		{
			name: "memory-swap-without-base", ids: "G5", file: "leadership/registry_memory.go",
			rule:   "A registry in memory swaps only what was read.",
			edits:  one("if m.rec.Version != base {", "if false {"),
			checks: []check{conform},
		},
		{
			name: "file-swap-without-base", ids: "G5", file: "leadership/registry_file.go",
			rule:   "A registry in a file swaps only what was read.",
			edits:  one("if cur.Version != base {", "if false {"),
			checks: []check{conform},
		},
		{
			name: "file-swap-without-lock", ids: "G5", file: "internal/durable/lock_unix.go",
			rule:   "Processes that share a registry file write one after the other.",
			edits:  one("		return false, nil\n", "		return true, nil\n"),
			checks: []check{in(pkg, "TestAFileRegistryWaitsForTheProcessThatWrites")},
		},
		{
			name: "file-not-synced", ids: "G4", file: "internal/durable/durable.go",
			rule:   "A file is on disk before it takes the place of the old one.",
			edits:  one("		err = w.Sync()\n", "		err = nil\n"),
			checks: []check{in("internal/durable", "TestReplaceRenamesNothingThatWasNotSynced")},
		},
		{
			name: "directory-not-synced", ids: "G4", file: "internal/durable/durable.go",
			rule:   "The name of a file that was replaced is on disk before the write is reported.",
			edits:  one("if err := SyncDir(filepath.Dir(path)); err != nil {", "if err := error(nil); filepath.Dir(path) == \"\" {"),
			checks: []check{in("internal/durable", "TestReplaceThatCannotSyncTheDirectoryIsOfUnknownOutcome")},
		},
		{
			name: "registry-found-and-not-synced", ids: "G4", file: "leadership/registry_file.go",
			rule:   "What a process that died may have renamed is synced before it is read.",
			edits:  one("if err := durable.SyncDir(filepath.Dir(f.path)); err != nil {", "if err := durable.SyncDir(filepath.Dir(f.path)); err != nil && path == \"\" {"),
			checks: []check{in(pkg, "TestG4_ARegistryFileIsSyncedBeforeItIsOpened")},
		},
		{
			name: "record-of-unknown-outcome-not-synced", ids: "G4", file: "leadership/lock_file.go",
			rule:   "A Swap of unknown outcome is not settled by reading what a power cut may take back.",
			edits:  one("		f.doubt.Raise()\n", ""),
			checks: []check{in(pkg, "TestG4_WhatMayHaveBeenWrittenIsSyncedBeforeItIsRead")},
		},
		{
			name: "doubt-settled-without-an-fsync", ids: "G4", file: "internal/durable/doubt.go",
			rule:   "What a failed replace left in doubt is settled by an fsync that succeeded.",
			edits:  one("	if err := SyncDir(dir); err != nil {\n		return err\n	}\n", ""),
			checks: []check{in("internal/durable", "TestADoubtIsSettledByAnFsyncAndByNothingElse")},
		},
		{
			name: "directory-only-opened", ids: "G4", file: "internal/durable/durable.go",
			rule:   "A directory is synced, not only looked at.",
			edits:  one("errors.Join(d.Sync(), d.Close())", "d.Close()"),
			checks: []check{in("internal/durable", "TestSyncDirSyncs")},
		},
		{
			name: "torn-file-accepted", ids: "G4", file: "internal/durable/durable.go",
			rule:   "A torn file is not read as a record.",
			edits:  one("if string(sum) != fmt.Sprintf(\"%08x\", crc32.ChecksumIEEE(body)) {", "if len(sum) != len(fmt.Sprintf(\"%08x\", crc32.ChecksumIEEE(body))) {"),
			checks: []check{in("internal/durable", "TestUnframe.*")},
		},
		{
			name: "failed-swap-said-not-executed", ids: "G9", file: "leadership/registry.go",
			rule:   "A registry write of unknown outcome is not denied by what is refused after it.",
			edits:  one("unknown, inFlight, base = err, true, cur.Version", "unknown, inFlight, base = nil, false, cur.Version"),
			checks: []check{in(pkg, "TestG9_UpdateDoesNotDenyAWriteItCannotRuleOut")},
		},
		{
			name: "one-of-many-proves", ids: "G9", file: "leadership/errors.go",
			rule:   "Joined errors prove that nothing was executed only when each does.",
			edits:  one("return len(errs) > 0 && !slices.ContainsFunc(errs, func(e error) bool { return !NotExecuted(e) })", "return slices.ContainsFunc(errs, NotExecuted)"),
			checks: []check{in(pkg, "TestNotExecutedFollowsWrappedErrors")},
		},
		{
			name: "late-hold-lowers-the-term", ids: "G1 G5", file: "leadership/transitions.go",
			rule:   "An isolation of a lower term does not take the place of one of a higher term.",
			edits:  one("if o.Node == h.Node && h.Term.Less(o.Term) {", "if false {"),
			checks: []check{in(pkg, "TestWhatALateCoordinatorWritesTakesNoNewerWordBack")},
		},
		{
			name: "late-bar-lowers-the-term", ids: "G2", file: "leadership/transitions.go",
			rule:   "A node stays barred by the highest term that it was declared gone at.",
			edits:  one("o.Incarnation == b.Incarnation && b.Term.Less(o.Term) {", "o.Incarnation == b.Incarnation && false {"),
			checks: []check{in(pkg, "TestWhatALateCoordinatorWritesTakesNoNewerWordBack")},
		},
		{
			name: "bar-of-no-term", ids: "G2 G10", file: "leadership/transitions.go",
			rule:   "A node is not barred in a way that bars nothing.",
			edits:  one("		return r, err // it would bar nothing\n", "		_ = err\n"),
			checks: []check{in(pkg, "TestWhatALateCoordinatorWritesTakesNoNewerWordBack")},
		},
		{
			name: "nil-error-proves", ids: "G9", file: "leadership/errors.go",
			rule:   "A nil pointer of an error proves nothing, whatever its method says.",
			edits:  one("	if nils.Is(err) {\n", "	if err == nil || false && nils.Is(err) {\n"),
			checks: []check{in(pkg, "TestNotExecutedFollowsWrappedErrors")},
		},
		{
			name: "nil-registry-is-used", ids: "G10", file: "leadership/registry.go",
			rule:   "A registry that is not there is refused with an error.",
			edits:  one("	case nils.Is(reg):\n", "	case reg == nil || false && nils.Is(reg):\n"),
			checks: []check{in(pkg, "TestG10_NothingPanicsWhateverItIsGiven")},
		},
		{
			name: "hold-for-ever", ids: "G5", file: "leadership/decide.go",
			rule:   "A router holds for a change no longer than HoldFor, then it probes.",
			edits:  one("case announced && since < r.Intent.HoldFor:", "case announced:"),
			checks: []check{in(pkg, "TestDecideHoldsNoLongerThanItMay")},
		},
		{
			name: "refusal-ends-a-hold", ids: "G7", file: "leadership/decide.go",
			rule:   "A refusal that tells of the leadership to come does not end a hold: only the record, or that leader's answer, does.",
			edits:  one("case announced && since < r.Intent.HoldFor:", "case announced && since < r.Intent.HoldFor && refused.Less(r.Intent.Term):"),
			checks: []check{in(pkg, "TestDecideHoldsNoLongerThanItMay")},
		},
		{
			name: "refusal-forgotten", ids: "G7", file: "leadership/decide.go",
			rule:   "A router that was refused for a later term sends nothing but probes to an older leader.",
			edits:  one("case announced, to.Term.Less(refused):", "case announced:"),
			checks: []check{in(pkg, "TestDecideHoldsNoLongerThanItMay")},
		},
		{
			name: "announcement-ignored", ids: "G7", file: "leadership/decide.go",
			rule:   "Routers hold while a change is announced as holding.",
			edits:  one("announced := r.Intent.Phase == Holding && r.Routed.Term.Less(r.Intent.Term)", "announced := false"),
			checks: []check{in(pkg, "TestDecideHoldsNoLongerThanItMay")},
		},
	}
}
