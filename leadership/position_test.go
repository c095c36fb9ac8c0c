package leadership_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// history draws logs as leaders write them: each term begins as a copy of a
// prefix of some older log and only appends. Every prefix of each is a log.
func history(t *rapid.T) [][]uint64 {
	logs := [][]uint64{{}}
	for tm := uint64(1); tm <= 4; tm++ {
		base := rapid.SampledFrom(logs).Draw(t, "base")
		log := slices.Clone(base)
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			log = append(log, tm)
			logs = append(logs, slices.Clone(log))
		}
	}
	return logs
}

// What Rank and Extends say of positions is what the logs themselves say.
func TestPositionsTellTheTruthAboutLogs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		logs := history(t)
		pick := rapid.SampledFrom(logs)
		a, b, c := pick.Draw(t, "a"), pick.Draw(t, "b"), pick.Draw(t, "c")
		pa, pb, pc := *at(a...), *at(b...), *at(c...)
		prefix := len(b) <= len(a) && slices.Equal(a[:len(b)], b)
		if got := pa.Extends(pb); got != prefix {
			t.Fatalf("%v extends %v: %v", a, b, got)
		}
		want := Same
		switch last := func(l []uint64) uint64 {
			if len(l) == 0 {
				return 0
			}
			return l[len(l)-1]
		}; {
		case last(a) != last(b):
			want = Behind
			if last(a) > last(b) {
				want = Ahead
			}
		case len(a) != len(b):
			want = Behind
			if len(a) > len(b) {
				want = Ahead
			}
		}
		if got := pa.Rank(pb); got != want || pb.Rank(pa) != -want {
			t.Fatalf("rank of %v to %v: %s and %s, want %s", a, b, got, pb.Rank(pa), want)
		}
		if pa.Rank(pb) <= Same && pb.Rank(pc) <= Same && pa.Rank(pc) > Same {
			t.Fatalf("rank is no order on %v, %v, %v", a, b, c)
		}
		for _, p := range []Position{pa, pb} {
			text, err := p.MarshalText()
			var back Position
			if err != nil || back.UnmarshalText(text) != nil || back.Rank(p) != Same || !back.Extends(p) || back.String() != p.String() {
				t.Fatalf("%s comes back as %s", p, back)
			}
		}
	})
}

func TestPointsOfOtherKindsAreOpaque(t *testing.T) {
	t.Parallel()
	var a, b Position
	for _, c := range []struct {
		p    *Position
		text string
	}{{&a, "7.c@gtid:0-1-5@"}, {&b, "7.c@gtid:0-1-6@"}} {
		if err := c.p.UnmarshalText([]byte(c.text)); err != nil || c.p.String() != c.text {
			t.Fatalf("%q is read as %q, %v", c.text, c.p, err)
		}
	}
	if a.Rank(a) != Same || a.Rank(b) != Diverged || a.Extends(b) || !a.Extends(a) || (*at(7)).Rank(a) != Diverged {
		t.Error("an opaque point equals itself only")
	}
}

func FuzzParseTerm(f *testing.F) {
	for _, s := range []string{"0", "7.c1-x4q", "01.c", "0.c", "4611686018427387904.c", "1.", ".c", "1.C"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tm, err := ParseTerm(s)
		if err != nil {
			if !isA[*TermError](err) || len(err.Error()) > 600 {
				t.Fatalf("%T of %d bytes", err, len(err.Error()))
			}
			return
		}
		if tm.String() != s || !tm.IsZero() && tm.Validate() != nil {
			t.Fatalf("%q is read as %q", s, tm)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"empty", "7.c@log:12", "7.c@log:12/1.a:1/7.c:9", "7.c@", "7.c@gtid:a@", "0@log:0", "7.c@log:007", "7.c@GT ID:x", "7.c@gtid:\xff", "7.c@:x", "0@", "1.0@log:1/1.1:1", "7.c@log:3/1.a:4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := (*Catalog)(nil).ParsePosition(s)
		if err != nil {
			if !isA[*TextError](err) {
				t.Fatalf("%T", err)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q is read as %q", s, p)
		}
		var q Position
		if b, err := json.Marshal(p); err != nil || json.Unmarshal(b, &q) != nil || q.String() != s {
			t.Fatalf("%q comes out of JSON as %q", s, q)
		}
		if p.Rank(q) != Same || p.Point != nil && !p.Extends(q) && !p.IsZero() {
			t.Fatalf("%q is not itself", s)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{"majority", "at-least(2)", "weighted", "weighted(3)", "zones(2)", "joint(any,joint(all,majority))", "joint(,)", "joint(joint(joint("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := (*Catalog)(nil).ParsePolicy(s)
		if err != nil {
			return
		}
		if p.Spec() != s {
			t.Fatalf("%q is read as %q", s, p.Spec())
		}
		_, _ = Ruleset{Version: 1, Members: benchMembers(3), Policy: s}.Compile(nil)
	})
}

func FuzzRefusal(f *testing.F) {
	for _, s := range []string{"", "scope=all&term=0&until=0", "leader=n1&reason=a%26b&retry=1s&scope=units&term=3.c&until=4.c", "scope=all&term=0&until=0&retry=-1s", "scope=all&scope=units&term=0&until=0", "scope=all&term=0&until=0&some=new", "scope=all&scope=all&term=0&until=0&some=new"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var r, back Refusal
		if err := r.UnmarshalText([]byte(s)); err != nil {
			if r != (Refusal{}) || NotExecuted(err) {
				t.Fatal("what is no refusal left something behind, or passes for a proof")
			}
			return
		}
		// Each field once, and none that a later version may mean something by.
		fields, err := url.ParseQuery(s)
		for k, v := range fields {
			if !slices.Contains([]string{"term", "until", "scope", "leader", "reason", "retry"}, k) || len(v) != 1 {
				t.Fatalf("%q is taken for a refusal with %s=%q, %v", s, k, v, err)
			}
		}
		text, err := r.MarshalText()
		if err != nil || back.UnmarshalText(text) != nil || back != r {
			t.Fatalf("%+v comes back as %+v", r, back)
		}
	})
}
