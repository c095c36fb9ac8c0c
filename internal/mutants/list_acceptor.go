package main

// acceptorMutations are of the rules that every node keeps.
func acceptorMutations() []mutation {
	const pkg = "leadership/acceptor"
	return []mutation{
		{
			name: "volatile-promise", ids: "G4", file: "leadership/acceptor/change.go",
			rule:   "A promise is on disk before it is reported.",
			edits:  one("if err := a.store.Save(ctx, next); err != nil {", "if err := ctx.Err(); err != nil && a.store == nil {"),
			checks: []check{in(pkg, "TestG4_.*")},
		},
		{
			name: "promise-found-and-not-synced", ids: "G4", file: "leadership/acceptor/file.go",
			rule:   "What the process before may have renamed is synced before it is reported.",
			edits:  one("if err := durable.SyncDir(abs); err != nil {", "if err := durable.SyncDir(abs); err != nil && dir == \"\" {"),
			checks: []check{in(pkg, "TestG4_APromiseFoundAtTheStartIsSyncedBeforeItIsReported")},
		},
		{
			name: "promise-of-unknown-outcome-not-synced", ids: "G4", file: "leadership/acceptor/file.go",
			rule:   "What a Save may have written is synced before it is read.",
			edits:  one("		f.doubt.Raise()\n", ""),
			checks: []check{in(pkg, "TestG4_APromiseThatMayHaveBeenSavedIsSyncedBeforeItIsRead")},
		},
		{
			name: "promise-shown-before-the-disk", ids: "G4", file: "leadership/acceptor/change.go",
			rule:   "A promise is shown to nobody before it is on disk.",
			edits:  one("	if err := a.store.Save(ctx, next); err != nil {", "	a.publish(next)\n	if err := a.store.Save(ctx, next); err != nil {"),
			checks: []check{in(pkg, "TestG4_.*")},
		},
		{
			name: "gate-open-while-saving", ids: "G1 G4", file: "leadership/acceptor/change.go",
			rule:   "The gate of the old leadership closes before the new promise goes to disk.",
			edits:  one("		a.shut(v)\n", ""),
			checks: []check{in(pkg, "TestG4_TheGateClosesBeforeTheDiskAndThePromiseShowsAfter")},
		},
		{
			name: "promise-falls", ids: "G1 G4", file: "leadership/acceptor/ops.go",
			rule: "A promise only rises.",
			edits: []edit{
				{"	if t.Less(s.Promised) {\n		return &leadership.StaleTermError{Node: s.Node, Asked: t", "	if false {\n		return &leadership.StaleTermError{Node: s.Node, Asked: t"},
				{"	if s.Promised.Less(t) {\n", "	if s.Promised != t {\n"},
			},
			checks: []check{in(pkg, "TestAPromiseAboveIsRefusedEverywhere")},
		},
		{
			name: "same-term-recruit-unseats", ids: "G5", file: "leadership/acceptor/ops.go",
			rule:   "A late duplicate of a promise does not clear the source of its own term.",
			edits:  one("	if s.Promised.Less(t) {\n", "	if s.Promised.Compare(t) <= 0 {\n"),
			checks: []check{in(pkg, "TestASameTermRecruitDoesNotUnseat")},
		},
		{
			name: "completion-not-waited-for", ids: "G1 G2", file: "leadership/acceptor/change.go",
			rule:   "A promise waits for the completions under way: none is decided after it returned.",
			edits:  one("if err := v.gate.wait(ctx); err != nil {", "if err := ctx.Err(); err != nil {"),
			checks: []check{in(pkg, "TestG1_NoCompletionIsDecidedAfterAStepDownReturned")},
		},
		{
			name: "completion-not-counted", ids: "G1 G2", file: "leadership/acceptor/path.go",
			rule:   "Each completion is counted from before it is decided.",
			edits:  one("v.lead == t && v.gate.enter() {\n		return Completion{v.gate}, nil", "v.lead == t && v.gate != nil {\n		return Completion{}, nil"),
			checks: []check{in(pkg, "TestG1_NoCompletionIsDecidedAfterAStepDownReturned")},
		},
		{
			name: "confirm-dropped", ids: "G2", file: "leadership/acceptor/path.go",
			rule:   "An entry is acknowledged only if its leadership was followed until after the write.",
			edits:  one("if t.e != nil && a.firm.Load() == t.e {\n		return nil", "if t.e != nil {\n		return nil"),
			checks: []check{in(pkg, "TestG2_WhatWasAdmittedBeforeAPromiseIsNotConfirmedAfterIt"), in(pkg, "TestG2_NoAcknowledgedEntryIsMissedByAPromise")},
		},
		{
			name: "admit-without-term", ids: "G1 G2", file: "leadership/acceptor/path.go",
			rule:   "An entry is taken from the leader and the term that the node accepts, both.",
			edits:  one("e != nil && e.Leadership == l {", "e != nil && e.Leader == l.Leader {"),
			checks: []check{in(pkg, "TestFollowOpensTheGateForExactlyOneLeader")},
		},
		{
			name: "stream-after-the-gate", ids: "G2", file: "leadership/acceptor/path.go",
			rule:   "A stream admits only while the gate it was opened at is open.",
			edits:  one("if s.e != nil && s.a.open.Load() == s.e {", "if s.e != nil {"),
			checks: []check{in(pkg, "TestAStreamAdmitsOnlyWhileItsGateStaysOpen")},
		},
		{
			name: "follow-an-older-term", ids: "G1 G4", file: "leadership/acceptor/ops.go",
			rule: "A node does not follow a leader of a term below its promise.",
			edits: one("		if err := raise(s, l.Term); err != nil {\n			return err\n		}\n		if !s.Source.IsZero() && s.Source != l {\n			return &TwoLeadersError{Node: s.Node, Have: s.Source, Got: l}\n		}\n		if l.Leader == s.Node {",
				"		if s.Promised != l.Term {\n			s.Promised, s.Source = l.Term, leadership.Leadership{}\n		}\n		if l.Leader == s.Node {"),
			checks: []check{in(pkg, "TestAPromiseAboveIsRefusedEverywhere")},
		},
		{
			name: "two-leaders-of-one-term", ids: "G1", file: "leadership/acceptor/ops.go",
			rule: "A node follows one leader of a term.",
			edits: one("		if !s.Source.IsZero() && s.Source != l {\n			return &TwoLeadersError{Node: s.Node, Have: s.Source, Got: l}\n		}\n		if l.Leader == s.Node {",
				"		if l.Leader == s.Node {"),
			checks: []check{in(pkg, "TestFollowOpensTheGateForExactlyOneLeader")},
		},
		{
			name: "position-before-the-promise", ids: "G2", file: "leadership/acceptor/ops.go",
			rule: "A node reads its position after its promise stands.",
			edits: one("	err := a.change(ctx, t, func(s *State) error { return raise(s, t) })",
				"	if read != nil {\n		got, failed := read(ctx)\n		read = func(context.Context) (Reading, error) { return got, failed }\n	}\n	err := a.change(ctx, t, func(s *State) error { return raise(s, t) })"),
			checks: []check{in("reparent/reparenttest", "TestG2_APositionIsReadWhenThePromiseStands"), in(pkg, "TestG2_NoAcknowledgedEntryIsMissedByAPromise")},
		},
		{
			name: "read-outlives-its-promise", ids: "G2", file: "leadership/acceptor/ops.go",
			rule:   "A position that was read while a higher term came is void.",
			edits:  one("	if t.Less(after.Promised) {", "	if false {"),
			checks: []check{in(pkg, "TestAHigherTermDuringAReadVoidsIt")},
		},
		{
			name: "below-floor-not-said", ids: "G2", file: "leadership/acceptor/state.go",
			rule:   "A node whose log was cut back for a repair says so until it is back.",
			edits:  one("return o != leadership.Same && o != leadership.Ahead", "return o == leadership.Diverged"),
			checks: []check{in(pkg, "TestAFloorBarsALogUntilItIsBack")},
		},
		{
			name: "failed-save-forgotten", ids: "G4", file: "leadership/acceptor/change.go",
			rule:   "A save that failed is settled before anything else is reported.",
			edits:  one("	if !a.unsettled && next.equal(a.want) {", "	if next.equal(a.want) {"),
			checks: []check{in(pkg, "TestAFailedSaveLeavesTheGateShutUntilARetrySettlesIt", "TestG4_.*")},
		},
		{
			name: "lost-record-is-a-new-node", ids: "G4", file: "leadership/acceptor/acceptor.go",
			rule:   "A node that lost its record does not come back as if it had promised nothing.",
			edits:  one("		return nil, &NoRecordError{Node: id, Incarnation: incarnation}\n", "		rec = State{Node: id, Incarnation: incarnation}\n"),
			checks: []check{in(pkg, "TestG4_ALostOrTornRecordKeepsTheGateShut")},
		},
		{
			name: "foreign-record-opened", ids: "G4 G10", file: "leadership/acceptor/acceptor.go",
			rule:   "A record of another incarnation is not this node's.",
			edits:  one("if incarnation != Minted && rec.Incarnation != incarnation {", "if false {"),
			checks: []check{in(pkg, "TestOpenRefusesWhatIsNotItsRecord")},
		},
		{
			name: "promise-below-the-log", ids: "G4", file: "leadership/acceptor/acceptor.go",
			rule:   "A node's promise is at least the term of its log.",
			edits:  one("if rec.Promised.Less(opts.LogTerm) {", "if false {"),
			checks: []check{in(pkg, "TestOpenRaisesThePromiseToTheLog")},
		},
		{
			name: "short-reading-believed", ids: "G2", file: "leadership/acceptor/reading.go",
			rule:   "A reading below what the log is known to hold is no evidence.",
			edits:  one("if pos.Term.Less(h.known) || h.filled && pos.IsZero() {", "if false {"),
			checks: []check{in(pkg, "TestAReadingBelowWhatTheLogIsKnownToHoldIsNoEvidence")},
		},
		{
			name: "confirmed-entry-not-known", ids: "G2", file: "leadership/acceptor/path.go",
			rule:   "A log with a confirmed entry is not testified to be empty.",
			edits:  one("		a.filled.Store(true)\n		// Looked", "		// Looked"),
			checks: []check{in(pkg, "TestAReadingBelowWhatTheLogIsKnownToHoldIsNoEvidence")},
		},
		{
			name: "installed-marker-not-known", ids: "G2", file: "leadership/acceptor/reading.go",
			rule:   "A log with the marker of a term is not testified to end below that term.",
			edits:  one("if v.gate != nil && v.gate.marked.Load() {", "if false {"),
			checks: []check{in(pkg, "TestAReadingBelowWhatTheLogIsKnownToHoldIsNoEvidence")},
		},
		{
			name: "replaced-tail-still-claimed", ids: "G8", file: "leadership/acceptor/reading.go",
			rule:   "A log whose tail its new leader may be replacing is read for what it is.",
			edits:  one("	if v.open != nil && known.Less(v.open.Term) {", "	if false {"),
			checks: []check{in(pkg, "TestAReadingThatMayBeTrueIsTaken")},
		},
		{
			name: "caught-up-tail-still-claimed", ids: "G8", file: "leadership/acceptor/change.go",
			rule:   "A log whose tail was perhaps replaced under the promise before is read for what it is.",
			edits:  one("		if next.logged.Less(old.Promised) && old.Promised.Less(rec.Promised) {", "		if false {"),
			checks: []check{in(pkg, "TestAReadingThatMayBeTrueIsTaken")},
		},
		{
			name: "incarnation-not-minted", ids: "G4", file: "leadership/acceptor/acceptor.go",
			rule:   "Two storages do not get the same name.",
			edits:  one("		incarnation = rand.Text()\n", "		incarnation = (\"disk-1\" + rand.Text())[:6]\n"),
			checks: []check{in(pkg, "TestAMintedIncarnationIsOfOneStorageOnly")},
		},
		{
			name: "grant-without-marker", ids: "G2 G3", file: "leadership/acceptor/ops.go",
			rule:   "A node takes a grant only with the marker of its term in its log.",
			edits:  one("	if !installed() {", "	if !installed() && t.IsZero() {"),
			checks: []check{in(pkg, "TestGrantNeedsItsOwnInstalledMarker")},
		},
		{
			name: "grant-of-another-term", ids: "G1", file: "leadership/acceptor/ops.go",
			rule:   "A grant is of the leadership that was installed at this node.",
			edits:  one("case v.Source != leadership.Leadership{Leader: v.Node, Term: t}:", "case false:"),
			checks: []check{in(pkg, "TestGrantNeedsItsOwnInstalledMarker")},
		},
		{
			name: "grant-not-checked-again", ids: "G1", file: "leadership/acceptor/ops.go",
			rule:   "A higher term that came while the marker was looked for ends the grant.",
			edits:  one("if err := v.grantable(t); err != nil || v.lead == t {", "if err := error(nil); v.lead == t {"),
			checks: []check{in(pkg, "TestAHigherTermDuringTheCheckEndsAGrant")},
		},
		{
			name: "marker-of-a-lost-term", ids: "G2", file: "leadership/acceptor/ops.go",
			rule:   "A marker whose term was overtaken while it was written is not reported as installed.",
			edits:  one("	if v.gate.isShut() {", "	if false {"),
			checks: []check{in(pkg, "TestAHigherTermCancelsAMarkerWriteAndWaitsForIt")},
		},
	}
}
