package mariadbnode_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func point(t testing.TB, s string) mariadbnode.Point {
	t.Helper()
	p, err := mariadbnode.ParsePoint(s)
	require.NoError(t, err, s)
	return p
}

func at(t testing.TB, term, s string) leadership.Position {
	t.Helper()
	tm, err := leadership.ParseTerm(term)
	require.NoError(t, err)
	return leadership.Position{Term: tm, Point: point(t, s)}
}

func TestStatesAreComparedPerDomainAndServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, a, b string
		want       leadership.Order
	}{
		{"the same", "0-1-8", "0-1-8", leadership.Same},
		{"more of one leader", "0-1-8", "0-1-7", leadership.Ahead},
		{"less", "0-1-7", "0-1-8,0-2-9", leadership.Behind},
		{"the old leader's own, hidden behind a higher number", "0-1-8", "0-1-7,0-2-9", leadership.Diverged},
		{"of another domain", "0-1-8", "0-1-8,1-1-1", leadership.Behind},
		{"two domains, each ahead in one", "0-1-8,1-1-2", "0-1-9,1-1-1", leadership.Diverged},
		{"errant in the middle", "0-1-7,0-2-8,0-3-10", "0-1-7,0-3-10", leadership.Ahead},
		{"a number given twice", "0-1-5,0-2-9", "0-1-8,0-2-9", leadership.Diverged},
		{"empty", "", "0-1-1", leadership.Behind},
		{"from a backup, without its history", "0-2-9", "0-1-7,0-2-9", leadership.Behind},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := point(t, c.a), point(t, c.b)
			require.Equal(t, c.want, a.Compare(b))
			back := c.want
			if back == leadership.Ahead || back == leadership.Behind {
				back = -back
			}
			require.Equal(t, back, b.Compare(a))
		})
	}
}

func TestAMarkerEndsWhatALogOfAnEarlierTermMayHold(t *testing.T) {
	t.Parallel()
	// n1 led, crashed with 0-1-30 unacknowledged, was truncated to 29, and led
	// again under term 3, whose marker is 0-1-30.
	leader := at(t, "3.c", "0-1-31/1.c:1:/3.c:1:0-1-29")
	ghost := at(t, "1.c", "0-1-30/1.c:1:")
	prefix := at(t, "1.c", "0-1-29/1.c:1:")
	require.True(t, leader.Extends(prefix))
	require.False(t, leader.Extends(ghost), "0-1-30 is another transaction here")
	require.Equal(t, leadership.Ahead, leader.Rank(ghost))
	// Nor does a log of a term that is not in the history.
	require.False(t, leader.Extends(at(t, "2.c", "0-1-29,0-2-30/1.c:1:/2.c:2:0-1-29")))
	require.True(t, leader.Extends(at(t, "3.c", "0-1-30/1.c:1:/3.c:1:0-1-29")))
	require.False(t, leader.Extends(at(t, "3.c", "0-1-30/1.c:1:/3.c:1:0-1-28")), "one term with two histories")
	require.False(t, prefix.Extends(leader))
	// Before the first marker, a log that was not ours.
	require.True(t, leader.Extends(leadership.Position{Point: point(t, "")}))
	require.False(t, leader.Extends(leadership.Position{Point: point(t, "0-9-1")}))
	// Where the history was cut off nothing is known.
	cut := at(t, "3.c", "0-1-31/*/3.c:1:0-1-29")
	require.False(t, cut.Extends(prefix))
	require.False(t, cut.Extends(leadership.Position{Point: point(t, "0-1-5")}))
	require.Equal(t, leadership.Diverged, point(t, "0-1-31/3.c:1:0-1-29").Compare(point(t, "0-1-31/3.c:1:0-1-28")))
}

func TestErrantTransactionsAreNamed(t *testing.T) {
	t.Parallel()
	old, lead := point(t, "0-1-8,1-3-4").State, point(t, "0-1-7,0-2-9").State
	require.Equal(t, "0-1-8,1-3-4", old.Errant(lead).String())
	require.Empty(t, lead.Errant(lead))
}

func TestWhatSomebodyWroteAtAFollowerIsNoPartOfTheLeadership(t *testing.T) {
	t.Parallel()
	// n1 leads under term 1; an administrator wrote 0-2-2 at n2.
	lead, errant := at(t, "1.c", "0-1-2/1.c:1:"), at(t, "1.c", "0-1-1,0-2-2/1.c:1:")
	require.Equal(t, leadership.Ahead, lead.Rank(errant))
	require.Equal(t, leadership.Behind, errant.Rank(lead))
	require.Equal(t, "0-2-2", errant.Point.(mariadbnode.Point).Errant().String())
	require.Empty(t, lead.Point.(mariadbnode.Point).Errant())
	require.False(t, lead.Extends(errant), "it cannot follow")
	// What the same server wrote when it led counts.
	before := at(t, "2.c", "0-1-4,0-2-3/1.c:2:/2.c:1:0-2-3")
	require.Empty(t, before.Point.(mariadbnode.Point).Errant())
	require.Equal(t, "0-2-5", at(t, "2.c", "0-1-4,0-2-5/1.c:2:/2.c:1:0-2-3").Point.(mariadbnode.Point).Errant().String())
	require.Equal(t, leadership.Same, at(t, "2.c", "0-1-4,0-2-5/1.c:2:/2.c:1:0-2-3").Rank(before))
}

func TestAPositionSurvivesItsText(t *testing.T) {
	t.Parallel()
	var c leadership.Catalog
	require.NoError(t, mariadbnode.RegisterPoint(&c))
	for _, s := range []string{"3.c@mariadb:0-1-31/1.c:1:/3.c:1:0-1-29", "0@mariadb:0-1-1", "1.c@mariadb:/1.c:1:", "9.c@mariadb:0-1-31,1-2-3/*/9.c:1:0-1-30"} {
		p, err := c.ParsePosition(s)
		require.NoError(t, err, s)
		require.Equal(t, s, p.String())
		// Without the codec it still compares as what it is.
		opaque, err := (*leadership.Catalog)(nil).ParsePosition(s)
		require.NoError(t, err)
		require.True(t, p.Extends(opaque), s)
	}
	for _, s := range []string{"0-1", "0-1-1,0-1-2", "0-1-01", "0-1-1/", "0-1-1/x", "0-1-1/1.c:1:/1.c:1:", "0-1-1/1.c:0-1-1", "0-1-1/1.c:01:", "0-1-1/0:", " 0-1-1", "0-2-1,0-1-1", "4294967296-1-1", "0-1-1/*/*"} {
		_, err := mariadbnode.ParsePoint(s)
		require.Error(t, err, s)
	}
}

func genState(t *rapid.T, label string) mariadbnode.State {
	var st mariadbnode.State
	for d := range uint32(2) {
		for s := range uint32(3) {
			if n := rapid.Uint64Range(0, 6).Draw(t, label); n > 0 {
				st = append(st, mariadbnode.GTID{Domain: d, Server: s + 1, Seq: n})
			}
		}
	}
	return st
}

func TestStatesFormAPartialOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := genState(t, "a"), genState(t, "b")
		require.True(t, a.Contains(a))
		if a.Contains(b) && b.Contains(a) {
			require.Equal(t, a, b)
		}
		m := a.Merge(b)
		require.Empty(t, a.Errant(m))
		require.Empty(t, b.Errant(m))
		if a.Contains(b) {
			require.Empty(t, b.Errant(a))
		}
		back, err := mariadbnode.ParseState(a.String())
		require.NoError(t, err)
		require.Equal(t, a, back)
		p, q := mariadbnode.Point{State: a}, mariadbnode.Point{State: b}
		switch p.Compare(q) {
		case leadership.Same, leadership.Diverged:
			require.Equal(t, p.Compare(q), q.Compare(p))
		default:
			require.Equal(t, -p.Compare(q), q.Compare(p))
		}
	})
}

// A log that grows under changing leaders contains each of its own prefixes,
// and nothing that forked from it.
func TestExtendsTellsPrefixesFromForks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type snap struct {
			pos  leadership.Position
			size int
		}
		var log []mariadbnode.GTID
		var eras []mariadbnode.Era
		var tm leadership.Term
		state := func(log []mariadbnode.GTID) mariadbnode.State {
			var st mariadbnode.State
			for _, g := range log {
				st = st.Merge(mariadbnode.State{g})
			}
			return st
		}
		here := func() leadership.Position {
			return leadership.Position{Term: tm, Point: mariadbnode.Point{State: state(log), Eras: append([]mariadbnode.Era(nil), eras...)}}
		}
		var snaps []snap
		var forks []leadership.Position
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			server := uint32(rapid.IntRange(1, 3).Draw(t, "server"))
			next := mariadbnode.GTID{Server: server, Seq: uint64(len(log) + 1)}
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // a new leader; perhaps what it lost lives on elsewhere
				if rapid.Bool().Draw(t, "fork") {
					p := here()
					p.Point = mariadbnode.Point{State: state(append(append([]mariadbnode.GTID(nil), log...), next)), Eras: append([]mariadbnode.Era(nil), eras...)}
					if !tm.IsZero() {
						forks = append(forks, p)
					}
				}
				tm = leadership.Term{Num: tm.Num + 1, Proposer: "c"}
				eras = append(eras, mariadbnode.Era{Term: tm, Server: server, Before: state(log)})
				log = append(log, next)
			default:
				if tm.IsZero() {
					continue
				}
				if n := len(log); n > 0 {
					next.Server = log[n-1].Server // of the leader
				}
				log = append(log, next)
			}
			snaps = append(snaps, snap{here(), len(log)})
		}
		end := here()
		for _, s := range snaps {
			if !end.Extends(s.pos) {
				t.Fatalf("%v does not extend its own prefix %v", end, s.pos)
			}
			if s.size < len(log) && s.pos.Extends(end) {
				t.Fatalf("%v extends what is longer, %v", s.pos, end)
			}
		}
		for _, f := range forks {
			if end.Extends(f) {
				t.Fatalf("%v passes for a prefix of %v", f, end)
			}
		}
	})
}

func FuzzParsePoint(f *testing.F) {
	for _, s := range []string{"", "0-1-22,0-2-30/7.c1:1:0-1-20/9.c2:2:0-2-25", "0-1-1/*/3.a:1:", "1-2-3/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := mariadbnode.ParsePoint(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Fatalf("%q became %q", s, p.String())
		}
		if p.Compare(p) != leadership.Same {
			t.Fatalf("%q is not itself", s)
		}
	})
}

func FuzzParseState(f *testing.F) {
	f.Add("0-1-2,0-2-3", "0-1-2")
	f.Fuzz(func(t *testing.T, a, b string) {
		s, err := mariadbnode.ParseState(a)
		if err != nil {
			return
		}
		if again, err := mariadbnode.ParseState(s.String()); err != nil || again.String() != s.String() {
			t.Fatalf("%q: %v", a, err)
		}
		o, err := mariadbnode.ParseState(b)
		if err != nil {
			return
		}
		m := s.Merge(o)
		if len(s.Errant(m)) > 0 || len(o.Errant(m)) > 0 {
			t.Fatalf("%v lacks of %v or %v", m, s, o)
		}
	})
}
