package leadership_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

var nodeIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func FuzzNodeID(f *testing.F) {
	for _, s := range []string{"n1", "db-3.eu-west_1", "", "-n", ".n", "n\n", "é", strings.Repeat("n", 63), strings.Repeat("n", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := NodeID(s).Validate()
		if want := nodeIDForm.MatchString(s) && !strings.HasSuffix(s, "\n"); (err == nil) != want {
			t.Fatalf("%q: %v", s, err)
		}
		if err != nil && (!isA[*NodeIDError](err) || len(err.Error()) > 400) {
			t.Fatalf("%T of %d bytes", err, len(err.Error()))
		}
	})
}

func FuzzParseLogPoint(f *testing.F) {
	for _, s := range []string{"0", "12", "12/1.a:1/7.c:9", "012", "+1", "12/0:1", "12/1.a:01", "12/1.a:13", "12/", "18446744073709551615", "18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseLogPoint(s)
		if err != nil {
			if !isA[*TextError](err) || p.Index != 0 || p.Eras != nil {
				t.Fatalf("%T, %v", err, p)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q is read as %q", s, p)
		}
		for i, e := range p.Eras {
			if e.First == 0 || e.First > p.Index || i > 0 && (e.First <= p.Eras[i-1].First || !p.Eras[i-1].Term.Less(e.Term)) {
				t.Fatalf("%q is no log: %v", s, p)
			}
		}
		if p.Compare(p) != Same {
			t.Fatalf("%q is not itself", s)
		}
	})
}

func FuzzTestimonyKind(f *testing.F) {
	for k := range Refused + 1 {
		f.Add(k.String())
	}
	for _, s := range []string{"", "unknown", "Promised", "promised "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k := TestimonyKind(99)
		if err := k.UnmarshalText([]byte(s)); err != nil {
			if !isA[*TextError](err) || k != 99 {
				t.Fatalf("%T left %v behind", err, k)
			}
			return
		}
		if text, err := k.MarshalText(); err != nil || string(text) != s || k > Refused {
			t.Fatalf("%q is read as %q", s, text)
		}
	})
}

// FuzzRulesetJSON: rulesets travel in records and markers. Whatever they hold,
// compiling them does not panic, and what compiles comes back the same.
func FuzzRulesetJSON(f *testing.F) {
	for _, p := range []Policy{Majority(), AtLeast(2), Zones(2), Weighted(3), Joint(All(), Any())} {
		rs, err := NewRuleset(p, benchMembers(3)...)
		if err != nil {
			f.Fatal(err)
		}
		b, err := json.Marshal(rs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"members":[{"id":"n1","weight":-1},{"id":"n1"}],"policy":"weighted"}`))
	f.Add([]byte(`{"version":1,"members":[{"id":"n1","weight":9223372036854775807}],"policy":"weighted(9223372036854775807)"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var rs, back Ruleset
		if json.Unmarshal(b, &rs) != nil {
			return
		}
		rules, err := rs.Compile(nil)
		if err != nil {
			return
		}
		if rules.Leaders() == 0 || !rules.Members().Covers(rules.Leaders()) {
			t.Fatalf("%s: leaders %v of %v", b, rules.Leaders(), rules.Members())
		}
		durable := false
		for l := range rules.Leaders().All() {
			durable = durable || rules.Durable(l, rules.Members())
			if rules.Durable(l, rules.Members().Without(l)) {
				t.Fatalf("%s: durable without the leader", b)
			}
		}
		text, err := json.Marshal(rs)
		if err != nil || !durable {
			t.Fatalf("%s: durable %v, %v", b, durable, err)
		}
		if err := json.Unmarshal(text, &back); err != nil || !back.Equal(rs) {
			t.Fatalf("%s comes back as %s, %v", b, text, err)
		}
	})
}

// FuzzTestimonyJSON: testimonies and acceptances travel between machines. What
// is read is written again as what it was.
func FuzzTestimonyJSON(f *testing.F) {
	rs, err := NewRuleset(Majority(), benchMembers(3)...)
	if err != nil {
		f.Fatal(err)
	}
	tm := Term{Num: 7, Proposer: "c1"}
	pos := Position{Term: tm, Point: LogPoint{Index: 12, Eras: []Era{{Term: tm, First: 3}}}}
	for _, v := range []any{
		Testimony{Node: "n1", Incarnation: "d", Term: tm, Kind: Demoted, Held: true, Read: &pos, Led: tm, LeaseLeft: time.Second, Mechanism: "fence",
			Markers: []Sighting{{Marker: Marker{Term: tm, Leader: "n1", Ruleset: rs, Over: []Ruleset{rs}}, Decided: true}}},
		Testimony{Node: "n1", Term: tm, Read: &Position{}},
		Acceptance{Node: "n2", Term: tm, Leader: "n1", Position: pos},
		Status{Node: "n2", Promised: tm, Source: Leadership{Leader: "n1", Term: tm}, Position: pos, Degraded: "full"},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again[Testimony](t, b)
		again[Acceptance](t, b)
		again[Status](t, b)
		again[Marker](t, b)
	})
}

// again reads b as a T, if it is one, and writes and reads it again.
func again[T any](t *testing.T, b []byte) {
	t.Helper()
	var v, back T
	if json.Unmarshal(b, &v) != nil {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%s is read and cannot be written: %v", b, err)
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%s is written as %s, which cannot be read: %v", b, text, err)
	}
	if twice, err := json.Marshal(back); err != nil || string(twice) != string(text) {
		t.Fatalf("%s is written as %s and then as %s, %v", b, text, twice, err)
	}
}

// FuzzRefusalFields: a refusal is written only if it is read as what it was, for
// what is read is taken as a proof.
func FuzzRefusalFields(f *testing.F) {
	f.Add(uint64(3), "c1", uint64(4), "c2", uint8(0), "n1", "step-down\r\nX: y", int64(time.Second))
	f.Add(uint64(0), "", uint64(0), "", uint8(1), "", "", int64(0))
	f.Add(uint64(0), "c", uint64(1)<<62, "C", uint8(2), "n 1", "\xff&=;", int64(-1))
	f.Fuzz(func(t *testing.T, num uint64, by string, until uint64, untilBy string, scope uint8, leader, reason string, retry int64) {
		r := Refusal{
			Term: Term{Num: num, Proposer: by}, Until: Term{Num: until, Proposer: untilBy}, Scope: Scope(scope),
			Leader: NodeID(leader), Reason: reason, RetryAfter: time.Duration(retry),
		}
		text, err := r.MarshalText()
		if err != nil {
			return
		}
		for _, c := range text {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q does not fit a header", text)
			}
		}
		var back Refusal
		r.RetryAfter = max(r.RetryAfter, 0)
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Fatalf("%+v comes back as %+v, %v", r, back, err)
		}
	})
}
