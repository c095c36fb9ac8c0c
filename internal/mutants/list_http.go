package main

// httpMutations are of the proxy: which requests it sends twice, and what it
// says of those it does not.
func httpMutations() []mutation {
	const pkg = "buffer/httpbuffer"
	proof := in(pkg, "TestG9_.*")
	return []mutation{
		{
			name: "http-lost-try-denied", ids: "G9", file: "buffer/httpbuffer/transport.go",
			rule:   "A request of which a try was lost is not said to be not executed.",
			edits:  one("if c.lost && leadership.NotExecuted(err) {", "if false {"),
			checks: []check{proof},
		},
		{
			name: "http-body-cut-short", ids: "G9", file: "buffer/httpbuffer/transport.go",
			rule:   "A request whose body is gone is not sent again.",
			edits:  one("if c.rec == nil || c.rec.replayable() {", "if c.rec != nil || c.rec == nil {"),
			checks: []check{proof},
		},
		{
			name: "http-any-answer-is-a-refusal", ids: "G9", file: "buffer/httpbuffer/refusal.go",
			rule:   "Only an answer 503 of a gate is a refusal.",
			edits:  one("resp.StatusCode != http.StatusServiceUnavailable || len(vs) != 1", "len(vs) != 1"),
			checks: []check{proof},
		},
		{
			name: "http-refusal-behind-an-answer", ids: "G9", file: "buffer/httpbuffer/refusal.go",
			rule:   "A refusal that came through a handler which serves is an answer.",
			edits:  one(" || len(resp.Header[LeaderHeader]) > 0 {", " {"),
			checks: []check{proof, in(pkg, "Test.*")},
		},
		{
			name: "http-broken-connection-said-not-sent", ids: "G9", file: "buffer/httpbuffer/transport.go",
			rule:   "What got a connection may have been sent.",
			edits:  one("case conns == 0 && w.asked.Load():", "case w.asked.Load():"),
			checks: []check{proof},
		},
		{
			name: "http-post-sent-again", ids: "G2 G9", file: "buffer/httpbuffer/options.go",
			rule:   "A POST is not idempotent.",
			edits:  one("case \"\", http.MethodGet, http.MethodHead,", "case \"\", http.MethodPost, http.MethodGet, http.MethodHead,"),
			checks: []check{proof},
		},
		{
			name: "http-handler-takes-any-term", ids: "G1", file: "buffer/httpbuffer/handler.go",
			rule:   "A leader answers only what is meant for its own term.",
			edits:  one("			if asked != cur.Term {", "			if cur.Term.Less(asked) {"),
			checks: []check{in(pkg, "TestTheHandlerTakesWhatIsMeantForItsLeadership")},
		},
		{
			name: "http-strangers-headers-passed-on", ids: "G9", file: "buffer/httpbuffer/proxy.go",
			rule:   "A client cannot pass off its own headers as the proxy's.",
			edits:  one("	strip(pr.Out.Header)\n", ""),
			checks: []check{in(pkg, "TestG9_TenureHeadersOfStrangersAreNotPassedOn")},
		},
		{
			name: "http-proxy-calls-lost-refused", ids: "G9", file: "buffer/httpbuffer/proxy.go",
			rule:   "A proxy answers 503 only when the request was not executed.",
			edits:  one("	if !leadership.NotExecuted(err) {", "	if err == nil {"),
			checks: []check{in(pkg, "TestG9_TheProxySaysWhatTheErrorProves")},
		},
		{
			name: "http-late-bytes-dropped", ids: "G9", file: "buffer/httpbuffer/body.go",
			rule:   "What a reader left behind takes of a body is the next try's, answered or not.",
			edits:  one("	taken := r.final && a != nil && !a.over\n", "	taken := r.final\n"),
			checks: []check{in(pkg, "TestG9_WhatAReaderLeftBehindTakesAfterTheAnswerIsNotLost")},
		},
		{
			name: "http-body-opened-while-it-is-taken", ids: "G9", file: "buffer/httpbuffer/body.go",
			rule:   "A body of which more is being taken than can be kept is gone.",
			edits:  one("return !r.beyond && (!r.reading || len(r.buf) < r.limit)", "return !r.beyond"),
			checks: []check{in(pkg, "TestG9_ABodyThatIsBeingTakenIsNotHadAnew")},
		},
		{
			name: "http-kept-bytes-withheld", ids: "G7", file: "buffer/httpbuffer/body.go",
			rule:   "What is kept of a body is sent without waiting for more of it.",
			edits:  one("for r.reading && a.off == len(r.buf) && !a.over && !r.ending {", "for r.reading && !a.over && !r.ending {"),
			checks: []check{in(pkg, "TestG7_WhatIsKeptIsSentWhileAReaderLeftBehindWaitsForMore", "TestG7_AConversationThatWasHeldGoesOn")},
		},
		{
			name: "http-audit-refuses-for-the-leader", ids: "G9", file: "buffer/httpbuffer/proxy.go",
			rule:   "A request that the leader answered is not said to be not executed, whatever ModifyResponse says.",
			edits:  one("	if leadership.NotExecuted(err) {\n		// The leader", "	if false {\n		// The leader"),
			checks: []check{in(pkg, "TestG9_AnAnswerThatCannotBePassedOnWasExecuted", "TestG9_AHandlerOfErrorsIsNotToldThatAnAnsweredRequestWasNotExecuted")},
		},
		{
			name: "http-cause-taken-for-proof", ids: "G9", file: "buffer/httpbuffer/transport.go",
			rule:   "The cause of a request's context is about another call.",
			edits:  one("	if speaks(context.Cause(ctx)) || refuses(err) {", "	if refuses(err) {"),
			checks: []check{in(pkg, "TestG9_TheCauseOfAContextIsNoProof")},
		},
		{
			name: "http-cause-taken-for-a-refusal", ids: "G9", file: "buffer/httpbuffer/transport.go",
			rule:   "An error of a base is not the leader's refusal.",
			edits:  one("	if speaks(context.Cause(ctx)) || refuses(err) {", "	if false {"),
			checks: []check{in(pkg, "TestG9_TheCauseOfAContextIsNoRefusalOfALeaderThatWasNotReached")},
		},
		{
			name: "http-answer-disowned", ids: "G9", file: "buffer/httpbuffer/answer.go",
			rule:   "No error of the body of an answer says that the request was not executed.",
			edits:  one("		err = mute(err)\n", ""),
			checks: []check{in(pkg, "TestG9_TheCauseOfAContextIsNoProof")},
		},
	}
}
