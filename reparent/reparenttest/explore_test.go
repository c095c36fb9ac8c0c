package reparenttest

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// scopes are explored at every run of the tests; usual ones unless they are to
// be short; those that take longer when TENURE_EXPLORE says for how long at most
// each.
func scopes() (short, usual, long []Scope) {
	two, three := leadership.AtLeast(2), leadership.AtLeast(3)
	planned := []reparent.Change{reparent.Planned("n2")}
	led := []reparent.Change{ledByLeader("n2")}
	rivals := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}
	short = []Scope{
		{Delays: 2},
		{Crash: 1},
		{Drop: 1},
		{Changes: planned, Delays: 2},
		{Changes: planned, Drop: 1},
		{Writes: 1, Delays: 1},
		{Changes: rivals, Delays: 1},
		{Changes: led, Delays: 1},
		{Changes: led, Drop: 1},
		{Nodes: 4, Policy: two, Delays: 1},
		{Nodes: 4, Policy: three, Delays: 1},
		{Mode: leadership.Shortcut, Delays: 1},
	}
	usual = []Scope{
		{Delays: 3},
		{Changes: planned, Crash: 1},
		{Changes: rivals, Crash: 1},
		{Changes: rivals, Delays: 2},
		{Changes: led, Crash: 1},
		{Changes: led, Delays: 2},
		{Changes: led, Crash: 1, Delays: 1},
		{Changes: led, Writes: 1, Delays: 1},
		{Changes: []reparent.Change{ledByLeader("n2"), reparent.Emergency()}, Delays: 1},
		{Writes: 1, Crash: 1},
		{Writes: 1, Delays: 2},
		{Nodes: 4, Policy: two, Crash: 1},
		{Nodes: 4, Policy: three, Crash: 1},
		{Mode: leadership.Shortcut, Crash: 1},
	}
	long = []Scope{
		{Delays: AllOrders},
		{Changes: planned, Delays: AllOrders},
		{Mode: leadership.Shortcut, Delays: AllOrders},
		{Crash: 1, Delays: 1},
		{Torn: 1, Delays: 1},
		{Changes: rivals, Crash: 1, Delays: 1},
		{Changes: []reparent.Change{ledByLeader("n2"), reparent.Emergency()}, Crash: 1},
		{Changes: led, Writes: 1, Crash: 1},
		{Changes: led, Delays: AllOrders},
		{Nodes: 4, Policy: two, Delays: AllOrders},
		{Nodes: 4, Policy: three, Delays: AllOrders},
		{Delays: AllMessages},
		{Writes: 1, Delays: AllOrders},
		{Changes: rivals, Delays: AllOrders},
	}
	return short, usual, long
}

// ledByLeader is a planned change that the leader leads itself.
func ledByLeader(to leadership.NodeID) reparent.Change {
	c := reparent.Planned(to)
	c.LeaderLed = true
	return c
}

func TestEveryScheduleOfSmallScopes(t *testing.T) {
	t.Parallel()
	some, usual, long := scopes()
	var most time.Duration
	if s := os.Getenv("TENURE_EXPLORE"); s != "" {
		var err error
		if most, err = time.ParseDuration(s); err != nil {
			t.Fatalf("TENURE_EXPLORE=%q: %v", s, err)
		}
		usual = append(usual, long...)
	}
	if !testing.Short() {
		some = append(some, usual...)
	}
	for _, s := range some {
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
