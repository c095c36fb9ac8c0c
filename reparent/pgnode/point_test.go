package pgnode_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
	"pgregory.net/rapid"
)

func era(tli uint32, begin pgnode.LSN, t uint64) pgnode.Era {
	e := pgnode.Era{Timeline: tli, Begin: begin}
	if t > 0 {
		e.Term = term(t)
	}
	return e
}

func point(lsn pgnode.LSN, es ...pgnode.Era) pgnode.Point {
	return pgnode.Point{System: 7, LSN: lsn, Eras: es}
}

func TestALogContainsAnotherExactlyWhenItsHistoryLeavesThatOnesTimelineAtOrAfterItsEnd(t *testing.T) {
	t.Parallel()
	one, two := era(1, 0, 0), era(2, 400, 2)
	for _, tc := range []struct {
		name string
		p, q pgnode.Point
		want bool
	}{
		{"itself", point(500, one), point(500, one), true},
		{"a shorter one of its timeline", point(500, one), point(300, one), true},
		{"a longer one of its timeline", point(300, one), point(500, one), false},
		{"its ancestor before the fork", point(410, one, two), point(399, one), true},
		{"its ancestor at the fork", point(410, one, two), point(400, one), true},
		{"a diverged one, whose LSN is the lower", point(900, one, two), point(401, one), false},
		{"a diverged one, whose LSN is the higher", point(410, one, two), point(900, one), false},
		{"a later timeline that holds nothing yet", point(400, one), point(400, one, two), true},
		{"a later timeline that holds something", point(500, one), point(410, one, two), false},
		{"a timeline of the same number and place, of another term", point(900, one, era(2, 400, 3)), point(410, one, two), false},
		{"a timeline of the same number and term at another place", point(900, one, era(2, 300, 2)), point(410, one, two), false},
		{"one made by hand, although both have it", point(900, one, two, era(3, 600, 0)), point(700, one, two, era(3, 600, 0)), false},
		{"what lies before one made by hand", point(900, one, two, era(3, 600, 0)), point(600, one, two), true},
		{"timelines older than the first leadership", point(900, one, era(2, 400, 0), era(3, 500, 1)), point(450, one, era(2, 400, 0)), true},
		{"another cluster's", point(500, one), pgnode.Point{System: 8, LSN: 300, Eras: []pgnode.Era{one}}, false},
		{"no log at all", point(500, one), pgnode.Point{System: 7}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, tc.p.Contains(tc.q))
			require.Equal(t, tc.want, leadership.Position{Term: term(9), Point: tc.p}.Extends(leadership.Position{Point: tc.q}))
		})
	}
	require.Equal(t, leadership.Diverged, point(410, one, two).Compare(point(900, one)))
	require.Equal(t, leadership.Ahead, point(410, one, two).Compare(point(400, one)))
	require.Equal(t, leadership.Behind, point(400, one).Compare(point(410, one, two)))
	require.Equal(t, leadership.Same, point(400, one).Compare(point(400, one)))
	require.Equal(t, leadership.Diverged, point(400, one).Compare(leadership.LogPoint{Index: 1}))
}

// drawPoint draws a place in one of the logs that a cluster can have: each
// leadership promotes at some place of an earlier log and writes on.
func drawTree(t *rapid.T) []pgnode.Point {
	logs := []pgnode.Point{point(pgnode.LSN(rapid.IntRange(1, 50).Draw(t, "first")), era(1, 0, 0))}
	for n := range rapid.IntRange(0, 6).Draw(t, "promotions") {
		from := rapid.SampledFrom(logs).Draw(t, "from")
		last := from.Eras[len(from.Eras)-1]
		fork := pgnode.LSN(rapid.IntRange(int(last.Begin), int(from.LSN)).Draw(t, "fork"))
		es := append([]pgnode.Era{}, from.Eras...)
		es = append(es, era(last.Timeline+1, fork, uint64(n+1)))
		logs = append(logs, point(fork+pgnode.LSN(rapid.IntRange(0, 40).Draw(t, "more")), es...))
	}
	return logs
}

// bytesOf names every byte of a log by who wrote it.
func bytesOf(p pgnode.Point) []string {
	var out []string
	for i, e := range p.Eras {
		end := p.LSN
		if i+1 < len(p.Eras) {
			end = p.Eras[i+1].Begin
		}
		for at := e.Begin; at < end; at++ {
			out = append(out, fmt.Sprintf("%d@%s", at, e.Term))
		}
	}
	return out
}

func TestG2_ContainsIsBeingAPrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		logs := drawTree(t)
		p, q := rapid.SampledFrom(logs).Draw(t, "p"), rapid.SampledFrom(logs).Draw(t, "q")
		a, b := bytesOf(p), bytesOf(q)
		prefix := len(b) <= len(a)
		for i := range b {
			prefix = prefix && a[i] == b[i]
		}
		if got := p.Contains(q); got != prefix {
			t.Fatalf("%s contains %s: %v, a prefix: %v", p, q, got, prefix)
		}
		back, err := pgnode.ParsePoint(p.String())
		if err != nil || back.String() != p.String() {
			t.Fatalf("%s came back as %s, %v", p, back, err)
		}
	})
}

func TestAPointOfAPositionSurvivesItsText(t *testing.T) {
	t.Parallel()
	var c leadership.Catalog
	require.NoError(t, pgnode.RegisterPoint(&c))
	pos := leadership.Position{Term: term(2), Point: point(0x1_0000_00AB, era(1, 0, 0), era(2, 0x400, 2))}
	back, err := c.ParsePosition(pos.String())
	require.NoError(t, err)
	require.Equal(t, leadership.Same, back.Rank(pos))
	for _, bad := range []string{"", "7", "7,0/0", "7,0/0,0:0/0:0", "7,0/0,1:0/1:0", "7,0/0,1:0/0:0,1:0/0:0", "7,0/0,2:0/0:5.a,3:0/0:4.a",
		"7,0/0,1:0/0:0,2:0/5:0,3:0/4:0", "07,0/0,1:0/0:0", "7,0/0A,1:0/0:0", "7,0/a,1:0/0:0"} {
		_, err := pgnode.ParsePoint(bad)
		var te *leadership.TextError
		require.ErrorAs(t, err, &te, bad)
	}
}

func FuzzParsePoint(f *testing.F) {
	f.Add("7,0/5000148,1:0/0:0,2:0/4B258:7.c1-x")
	f.Add("7,0/0,1:0/0:0")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := pgnode.ParsePoint(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Fatalf("%q came back as %q", s, p)
		}
		if !p.Contains(p) && p.Eras[len(p.Eras)-1].Begin < p.LSN && !p.Eras[len(p.Eras)-1].Term.IsZero() {
			t.Fatalf("%s does not contain itself", s)
		}
		if o := p.Compare(p); o != leadership.Same && o != leadership.Diverged {
			t.Fatalf("%s is %s itself", s, o)
		}
	})
}
