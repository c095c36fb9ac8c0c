package reparenttest

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// scopes are explored at every run of the tests; those that take longer when
// TENURE_EXPLORE says for how long at most each.
func scopes() (short, long []Scope) {
	two, three := leadership.AtLeast(2), leadership.AtLeast(3)
	planned := []reparent.Change{reparent.Planned("n2")}
	rivals := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}
	short = []Scope{
		{Delays: 2},
		{Crash: 1},
		{Drop: 1},
		{Changes: planned, Delays: 2},
		{Changes: planned, Drop: 1},
		{Writes: 1, Delays: 1},
		{Changes: rivals, Delays: 1},
		{Nodes: 4, Policy: two, Delays: 1},
		{Nodes: 4, Policy: three, Delays: 1},
		{Mode: leadership.Shortcut, Delays: 1},
	}
	long = []Scope{
		{Delays: AllOrders},
		{Delays: 3},
		{Changes: planned, Crash: 1},
		{Changes: planned, Delays: AllOrders},
		{Crash: 1, Delays: 1},
		{Torn: 1, Delays: 1},
		{Writes: 1, Crash: 1},
		{Writes: 1, Delays: 2},
		{Changes: rivals, Delays: 2},
		{Changes: rivals, Crash: 1},
		{Nodes: 4, Policy: two, Crash: 1},
		{Nodes: 4, Policy: three, Crash: 1},
		{Mode: leadership.Shortcut, Crash: 1},
	}
	return short, long
}

func TestEveryScheduleOfSmallScopes(t *testing.T) {
	t.Parallel()
	short, long := scopes()
	var most time.Duration
	if s := os.Getenv("TENURE_EXPLORE"); s != "" {
		var err error
		if most, err = time.ParseDuration(s); err != nil {
			t.Fatalf("TENURE_EXPLORE=%q: %v", s, err)
		}
		short = append(short, long...)
	}
	for _, s := range short {
		t.Run(strings.ReplaceAll(s.String(), " ", "_"), func(t *testing.T) {
			s.Within = most
			got := Explore(t, LogStore(), s)
			if !got.Complete && most == 0 {
				t.Errorf("not all of it: %+v", got)
			}
			if got.Healed == 0 {
				t.Error("no schedule was healed")
			}
		})
	}
}
