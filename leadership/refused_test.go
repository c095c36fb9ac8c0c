package leadership_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

// A server or a proxy of another version may send anything: what is not known
// exactly is not taken as proof that a request was not executed.
func TestARefusalThatIsNotUnderstoodIsNoProof(t *testing.T) {
	t.Parallel()
	good := Refusal{Term: term(3, "c"), Until: term(4, "c"), Scope: ScopeUnits, Leader: "n1", RetryAfter: time.Second}
	text, err := good.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown scope":   {"scope=units", "scope=some"},
		"no scope":           {"scope=units", ""},
		"a leader of no id":  {"leader=n1", "leader=n%2F1"},
		"a negative wait":    {"retry=1s", "retry=-1s"},
		"a wait of no unit":  {"retry=1s", "retry=1"},
		"two terms":          {"scope=units", "scope=units&term=3.c"},
		"a field of later":   {"scope=units", "scope=units&unless=x"},
		"a term of no text":  {"term=3.c", "term=3"},
		"an end of no text":  {"until=4.c", "until=x"},
		"a broken character": {"leader=n1", "leader=%zz"},
	} {
		if !strings.Contains(string(text), change[0]) {
			t.Fatalf("%s is not in %s", change[0], text)
		}
		r := Refusal{Reason: "as it was"}
		err := r.UnmarshalText([]byte(strings.Replace(string(text), change[0], change[1], 1)))
		wantAs[*TextError](t, err)
		if r != (Refusal{Reason: "as it was"}) {
			t.Errorf("%s: it was changed to %+v", name, r)
		}
	}
	for name, bad := range map[string]*Refusal{
		"nil":             nil,
		"a scope of none": {Term: term(3, "c"), Scope: ScopeUnits + 1},
		"a bad leader":    {Term: term(3, "c"), Leader: "n/1"},
		"a bad term":      {Term: term(3, "c d")},
		"a bad end":       {Until: Term{Num: 1}},
	} {
		b, err := bad.MarshalText()
		if wantAs[*TextError](t, err); b != nil {
			t.Errorf("%s was sent as %s", name, b)
		}
	}
	if (*Refusal)(nil).NotExecuted() {
		t.Error("no refusal proves nothing")
	}
}

func TestARecordThatNoTransitionsMakeIsRefused(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	fresh := must(Record{}.Create("c", Full, rs))
	lead := Leadership{Leader: "n0", Term: term(2, "c")}
	base := fresh
	base.Version, base.Fence, base.Active, base.Routed = 9, lead.Term, lead, lead
	if err := base.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		reason string
		change func(r *Record)
	}{
		"a mode of later":             {"unknown mode", func(r *Record) { r.Mode = "half" }},
		"no mode":                     {"unknown mode", func(r *Record) { r.Mode = "" }},
		"active above the fence":      {"active is above", func(r *Record) { r.Fence = term(1, "c") }},
		"routed above active":         {"routed is above", func(r *Record) { r.Active = Leadership{} }},
		"an intent above the fence":   {"intent is above", func(r *Record) { r.Intent.Term = term(3, "c") }},
		"a hold in the past":          {"HoldFor", func(r *Record) { r.Intent.HoldFor = -1 }},
		"a phase of later":            {"unknown phase", func(r *Record) { r.Intent.Phase = "resting" }},
		"a ruleset with a node twice": {"twice", func(r *Record) { r.Ruleset.Members = []Node{{ID: "n0"}, {ID: "n0"}} }},
	} {
		r := base
		c.change(&r)
		err := r.Validate()
		if e := wantAs[*TransitionError](t, err); !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%s: %v", name, e)
		}
		if !NotExecuted(err) {
			t.Errorf("%s: nothing was changed: %v", name, err)
		}
	}
}

func TestStepsThatARecordCannotTakeLeaveItAsItIs(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	r := must(Record{}.Create("c", Full, rs))
	r = must(r.Activate(established(t, term(5, "c"), "n0", rs)))
	isIntact := func(got Record, err error) error {
		t.Helper()
		if !got.Equal(r) {
			t.Errorf("with %v it became %+v", err, got)
		}
		return err
	}
	if _, err := (Record{}).Create("", Full, rs); err == nil {
		t.Error("a cluster without a name was made")
	} else {
		wantAs[*TransitionError](t, err)
	}
	if got := must(r.Activate(established(t, term(5, "c"), "n0", rs))); !got.Equal(r) {
		t.Errorf("activating again changed it to %+v", got)
	}
	wantAs[*TransitionError](t, isIntact(r.Activate(established(t, term(5, "c"), "n1", rs)))) // one term, two leaders
	wantAs[*SupersededError](t, isIntact(r.Activate(established(t, term(4, "c"), "n0", rs))))
	wantAs[*NodeIDError](t, isIntact(r.Hold(Isolation{Node: "n/1", Term: term(6, "c")})))
	wantAs[*TermError](t, isIntact(r.Hold(Isolation{Node: "n1"})))
	wantAs[*SupersededError](t, isIntact(r.Hold(Isolation{Node: "n1", Term: term(4, "c")})))
	wantAs[*NodeIDError](t, isIntact(r.Bar(Bar{Node: "n/1"})))
	if !r.Intent.Term.IsZero() {
		t.Fatal(r.Intent)
	}

	// A node is barred by its storage: another declaration of the same replaces
	// the first, and one of another storage stands beside it.
	at := term(5, "c")
	two := must(must(must(r.Bar(Bar{Node: "n1", Incarnation: "old", Term: at})).Bar(Bar{Node: "n1", Incarnation: "new", Term: at})).Bar(Bar{Node: "n1", Incarnation: "old", Term: at}))
	if len(two.Barred) != 2 || two.Barred[1].Incarnation != "old" || len(r.Barred) != 0 {
		t.Errorf("got %+v", two.Barred)
	}
}

// A proof that nobody made proves nothing, whatever is asked of it.
func TestProofsThatWereNotMintedSayNothing(t *testing.T) {
	t.Parallel()
	var v Revocation
	if !v.Term().IsZero() || v.LeaseLeft() != 0 {
		t.Errorf("a revocation of nothing is of %s, %s left", v.Term(), v.LeaseLeft())
	}
	wantIs(t, v.Ready("n0"), ErrNotMinted)
	_, err := v.Propose("n0", nil)
	wantIs(t, err, ErrNotMinted)
	var p Proposal
	if m := p.Marker(); !m.Term.IsZero() || p.Possible() {
		t.Errorf("a proposal of nothing is %+v, possible %v", m, p.Possible())
	}
	wantIs(t, p.Add(Acceptance{Node: "n0", Term: term(1, "c"), Leader: "n0"}), ErrNotMinted)
	if _, err := p.Position(t.Context(), "n0"); !errors.Is(err, ErrNotMinted) {
		t.Errorf("a position without a proposal: %v", err)
	}
	_, err = p.Installed()
	wantIs(t, err, ErrNotMinted)
}

func TestErrorsNameWhatTheyAreAboutAndWhatWouldHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		says []string
		not  bool // NotExecuted
	}{
		{&IncarnationError{Node: "n1", Want: "a", Got: "b"}, []string{"node n1", `"a"`, `"b"`, "another node"}, false},
		{&RouterTakenError{Router: "r1", Left: 3 * time.Second}, []string{"router r1", "3s", "another name"}, true},
		{&RouterLapsedError{Router: "r1"}, []string{"router r1", "lapsed"}, true},
		{&RouterLeaseError{Field: "TTL", Reason: "it is not positive"}, []string{"TTL", "not positive"}, true},
		{&NotQuietError{Term: term(2, "c"), Late: []RouterID{"r1", "r2"}, Err: ErrClosed}, []string{"2.c", "r1", "r2", ErrClosed.Error()}, true},
		{&StaleTermError{Node: "n1", Asked: term(2, "c"), Promised: term(3, "d")}, []string{"node n1", "2.c", "3.d", "newer attempt"}, true},
		{&StaleTermError{Node: "n1", Asked: term(2, "c"), Promised: term(2, "c")}, []string{"node n1", "2.c", "not above"}, true},
		{&ContradictionError{Node: "n1", Asked: term(3, "c"), Promised: term(2, "c"), Err: ErrClosed}, []string{"node n1", "3.c", "2.c", "ask it again", ErrClosed.Error()}, false},
	} {
		for _, s := range c.says {
			if !strings.Contains(c.err.Error(), s) {
				t.Errorf("%T does not say %q: %v", c.err, s, c.err)
			}
		}
		if NotExecuted(c.err) != c.not {
			t.Errorf("%T: not executed: %v", c.err, !c.not)
		}
	}
	wantIs(t, &NotQuietError{Err: ErrClosed}, ErrClosed)
	wantIs(t, &ContradictionError{Err: ErrClosed}, ErrClosed)
	wantIs(t, &ContradictionError{Err: ErrClosed}, ErrUnknownOutcome)
}

func TestGrantedNeedsAGrantAboveAllPromises(t *testing.T) {
	t.Parallel()
	rules, err := ruleset(t, 1, Majority(), ids(3)...).Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	view := func(s Status) View {
		return View{Rules: rules, Statuses: []Status{s}}
	}
	for _, c := range []struct {
		name, because string
		status        Status
		holds         bool
	}{
		{"silent", "did not answer", Status{Node: "n0", Leads: term(2, "c")}, false},
		{"no leader", "no grant", Status{Node: "n0", Reachable: true, Promised: term(2, "c")}, false},
		{"superseded", "promised 3.d", Status{Node: "n0", Reachable: true, Promised: term(3, "d"), Leads: term(2, "c")}, false},
		{"leading", "holds the grant", Status{Node: "n0", Reachable: true, Promised: term(2, "c"), Leads: term(2, "c")}, true},
	} {
		got := Granted().Check(view(c.status), "n0")
		if got.Holds != c.holds || !strings.Contains(got.Because, c.because) || got.Holds == (got.Mend != "") {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	stranger := Supported().Check(view(Status{Node: "x", Reachable: true, Leads: term(2, "c"), Promised: term(2, "c")}), "x")
	if stranger.Holds || !strings.Contains(stranger.Because, "not in the ruleset") {
		t.Errorf("a stranger: %+v", stranger)
	}
}
