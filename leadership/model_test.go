package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// model is a round as one would check it by hand: sets of names, and every
// subset looked at.
type model struct {
	rules   []*Rules
	blocked Set // by a promise or by isolation
	leased  Set // as leaders only
	stable  Set
	own     Set // read after its own block
	relied  Set // read because revocation held
	floor   Set // below its floor
}

// can lists the sets with which some leader could do what the test excludes.
func (m *model) can(reached, leased Set) bool {
	for _, rules := range m.rules {
		for l := range rules.Leaders().All() {
			for d := Set(0); d <= rules.Members(); d++ {
				if rules.Members().Covers(d) && rules.Durable(l, d) && d&reached == 0 && !leased.Has(l) {
					return true
				}
			}
		}
	}
	return false
}

func (m *model) settle() {
	if m.can(m.blocked, m.leased) {
		m.relied = 0
	}
}

// ready is whether somebody could be established if the nodes of more promised
// and were read.
func (m *model) ready(more Set) bool {
	if m.can(m.blocked|more, m.leased&^more) || m.can(m.own|m.relied|more, 0) {
		return false
	}
	for l := range ((m.stable | more) & (m.own | m.relied | more) &^ m.floor).All() {
		ok := true
		for _, rules := range m.rules {
			ok = ok && rules.Leaders().Has(l) && rules.Durable(l, (m.stable|more)&rules.Members())
		}
		if ok {
			return true
		}
	}
	return false
}

// A round that is told random things agrees with the model on both tests, on
// who is ready, and on the smallest sets that are missing.
func TestRoundAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := drawRules(t)
		n := first.Members().Len()
		names := ids(n)
		if _, err := (*Catalog)(nil).ParsePolicy(first.Ruleset.Policy); err != nil {
			t.Skip("the round must be able to read it")
		}
		r, err := NewRound(RoundConfig{Term: term(9, "c"), Rulesets: []Ruleset{first.Ruleset}})
		if err != nil {
			t.Fatal(err)
		}
		m := &model{rules: []*Rules{first}}
		second := first.Ruleset
		second.Version, second.Policy = 2, AtLeast(rapid.IntRange(1, n).Draw(t, "second")).Spec()
		compiled, err := second.Compile(nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if got, want := r.Revoked() == nil, !m.can(m.blocked, m.leased); got != want {
					t.Fatalf("revoked %v, want %v", got, want)
				}
				if got, want := r.Discovered() == nil, !m.can(m.own|m.relied, 0); got != want {
					t.Fatalf("discovered %v, want %v", got, want)
				}
				anyone := false
				for _, id := range names {
					anyone = anyone || r.Ready(id) == nil
				}
				missing := r.Missing()
				if anyone != m.ready(0) || anyone != (missing == nil) {
					t.Fatalf("ready %v, want %v, missing %v", anyone, m.ready(0), missing)
				}
				if anyone {
					return
				}
				least, count := n+1, 0
				for s := Set(1); s < 1<<n; s++ {
					if m.ready(s) {
						if s.Len() < least {
							least, count = s.Len(), 0
						}
						if s.Len() == least {
							count++
						}
					}
				}
				if least > n {
					return // nothing would help: all who may lead are below their floor
				}
				for _, one := range missing {
					s := must(first.Cohort().Set(one...))
					if len(one) != least || !m.ready(s) {
						t.Fatalf("missing %v, the smallest have %d", missing, least)
					}
				}
				if len(missing) != min(count, 8) {
					t.Fatalf("missing %v, there are %d of %d", missing, count, least)
				}
			},
			"promise": func(t *rapid.T) {
				id := rapid.SampledFrom(names).Draw(t, "node")
				p := promise(r, id, nil)
				w := Member(slices.Index(names, id))
				m.blocked, m.stable, m.leased = m.blocked.With(w), m.stable.With(w), m.leased.Without(w)
				if rapid.Bool().Draw(t, "read") {
					p.Read = at(1)
					m.read(w, rapid.IntRange(0, 4).Draw(t, "floor") == 0, &p)
				}
				if err := r.Add(p); err != nil {
					t.Fatal(err)
				}
			},
			"isolate": func(t *rapid.T) {
				w := Member(rapid.IntRange(0, n-1).Draw(t, "node"))
				m.blocked, m.leased = m.blocked.With(w), m.leased.Without(w)
				if err := r.Add(Testimony{Node: names[w], Term: r.Term(), Kind: Isolated}); err != nil {
					t.Fatal(err)
				}
			},
			"lease": func(t *rapid.T) {
				w := Member(rapid.IntRange(0, n-1).Draw(t, "node"))
				if !m.blocked.Has(w) {
					m.leased = m.leased.With(w)
				}
				if err := r.Add(Testimony{Node: names[w], Term: r.Term(), Kind: LeaseExpired}); err != nil {
					t.Fatal(err)
				}
			},
			"read": func(t *rapid.T) {
				w := Member(rapid.IntRange(0, n-1).Draw(t, "node"))
				s := Testimony{Node: names[w], Term: r.Term(), Read: at(1)}
				counts := m.blocked.Has(w) || !m.can(m.blocked, m.leased)
				if counts {
					m.read(w, false, &s)
				}
				if err := r.Add(s); (err == nil) != counts {
					t.Fatalf("read of %s: %v, want it to count: %v", names[w], err, counts)
				}
			},
			"ruleset": func(t *rapid.T) {
				decided := rapid.Bool().Draw(t, "decided")
				s := Testimony{Node: names[0], Term: r.Term(), Markers: []Sighting{{Marker: Marker{Ruleset: second}, Decided: decided}}}
				if decided {
					m.rules = []*Rules{compiled}
				} else if len(m.rules) == 1 && m.rules[0] == first {
					m.rules = append(m.rules, compiled)
				}
				m.settle()
				if err := r.Add(s); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func (m *model) read(w Member, below bool, t *Testimony) {
	t.BelowFloor = below
	m.own, m.relied, m.floor = m.own.Without(w), m.relied.Without(w), m.floor.Without(w)
	switch {
	case below:
		m.floor = m.floor.With(w)
	case m.blocked.Has(w):
		m.own = m.own.With(w)
	default:
		m.relied = m.relied.With(w)
	}
}
