package reparent

import (
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

// Calls of one guard may ask the registry at once, and an answer may be late.
func TestTheGuardRemembersTheRecordReadLast(t *testing.T) {
	t.Parallel()
	read := func(version, term uint64) leadership.Record {
		l := leadership.Leadership{Leader: "n1"}
		if term > 0 {
			l.Term = leadership.Term{Num: term, Proposer: "c"}
		}
		return leadership.Record{Version: version, Active: l}
	}
	for _, tc := range []struct {
		name         string
		first, other leadership.Record
		atOnce       bool
		want         leadership.Record
	}{
		{"the registry goes on", read(5, 2), read(7, 3), false, read(7, 3)},
		{"it was made anew", read(9, 2), read(3, 4), false, read(3, 4)},
		{"it was restored from a copy", read(9, 4), read(5, 2), false, read(5, 2)},
		{"it is empty", read(9, 4), read(0, 0), false, read(9, 4)},
		{"an older answer is late", read(7, 3), read(5, 2), true, read(7, 3)},
		{"an older answer of the same leadership is late", read(7, 3), read(6, 3), true, read(7, 3)},
		{"a newer answer overtook none", read(5, 2), read(7, 3), true, read(7, 3)},
		{"an answer of before it was made anew is late", read(3, 4), read(9, 2), true, read(3, 4)},
	} {
		g := &Guard{}
		early := g.asking()
		g.remember(tc.first, g.asking())
		asked := g.asking()
		if tc.atOnce {
			asked = early
		}
		g.remember(tc.other, asked)
		if !g.last.Equal(tc.want) {
			t.Errorf("%s: version %d under %s is remembered", tc.name, g.last.Version, g.last.Active)
		}
	}
}
