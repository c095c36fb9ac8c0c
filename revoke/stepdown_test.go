package revoke_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

func stepper(t *testing.T, n *node) *revoke.StepDown {
	return must[*revoke.StepDown](t)(revoke.NewStepDown(map[leadership.NodeID]revoke.StepDowner{n.id: n}))
}

func TestStepDownDrainsFirstAndTellsWhoSurvived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		n := &node{id: "n1", j: j}
		n.drain = func(_ context.Context, tm leadership.Term, d time.Duration) (revoke.Drained, error) {
			if tm != t7 || d != 3*time.Second {
				t.Errorf("drain of %s for %v", tm, d)
			}
			time.Sleep(d)
			j.add("drained")
			return revoke.Drained{Finished: 4, Survivors: 2}, nil
		}
		var told revoke.Drained
		a := ask()
		a.Drain = 3 * time.Second
		a.Drained = func(id leadership.NodeID, d revoke.Drained) {
			told = d
			j.add("told " + string(id))
		}
		h := listen()
		if err := stepper(t, n).Revoke(t.Context(), a, h.report); err != nil {
			t.Fatal(err)
		}
		if want := []string{"drain n1", "drained", "told n1", "step down n1"}; !slices.Equal(j.all(), want) {
			t.Errorf("%v, want %v", j.all(), want)
		}
		if told != (revoke.Drained{Finished: 4, Survivors: 2}) {
			t.Errorf("told %+v", told)
		}
		if h.len() != 1 || h.list()[0].Kind != leadership.Demoted || h.list()[0].Read == nil || h.list()[0].Mechanism != "step-down" {
			t.Errorf("reports %+v", h.list())
		}
	})
}

func TestALeaderThatCouldNotDrainIsNotSteppedDown(t *testing.T) {
	broken := errors.New("drain refused")
	for _, c := range []struct {
		name    string
		drain   error
		refused int
	}{
		{"it failed", broken, 0},
		{"it promised more", stale("n1", t7, t9), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := &node{id: "n1", j: &journal{}}
				n.drain = func(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
					return revoke.Drained{}, c.drain
				}
				a := ask()
				a.Drained = func(leadership.NodeID, revoke.Drained) { t.Error("told of a drain that failed") }
				h := listen()
				err := stepper(t, n).Revoke(t.Context(), a, h.report)
				wantIs(t, err, c.drain)
				if e := wantAs[*revoke.NodeError](t, err); e.Op != "drain" || e.Node != "n1" {
					t.Errorf("%v", err)
				}
				if got := n.j.all(); !slices.Equal(got, []string{"drain n1"}) {
					t.Errorf("calls %v", got)
				}
				if h.len() != c.refused || h.len() == 1 && (h.list()[0].Kind != leadership.Refused || h.list()[0].Term != t9 || h.list()[0].Mechanism != "step-down") {
					t.Errorf("reports %+v", h.list())
				}
			})
		})
	}
}

// The context ends while the leader drains, and the drain ends in good order:
// the leader must be left to resume, not be stepped down for nobody.
func TestG8_NoStepDownOnceTheContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		n := &node{id: "n1", j: &journal{}}
		n.drain = func(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
			cancel(gone)
			return revoke.Drained{}, nil
		}
		h := listen()
		err := stepper(t, n).Revoke(ctx, ask(), h.report)
		wantIs(t, err, gone)
		if e := wantAs[*revoke.NodeError](t, err); e.Node != "n1" || e.Op != "step down" {
			t.Errorf("%v", err)
		}
		if got := n.j.all(); !slices.Equal(got, []string{"drain n1"}) || h.len() != 0 {
			t.Errorf("calls %v, reports %+v", got, h.list())
		}
	})
}

func TestAStepDownThatIsRefusedAfterTheDrainIsNotReportedAsNothingDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := &node{id: "n1"}
		n.stepDown = func(context.Context, leadership.Term) (leadership.Testimony, error) {
			return leadership.Testimony{}, stale("n1", t7, t9)
		}
		h := listen()
		err := stepper(t, n).Revoke(t.Context(), ask(), h.report)
		if e := wantAs[*revoke.NodeError](t, err); e.Op != "step down" || leadership.NotExecuted(err) {
			t.Errorf("%v: the leader was drained", err)
		}
		if h.len() != 1 || h.list()[0].Kind != leadership.Refused || h.list()[0].Term != t9 {
			t.Errorf("reports %+v", h.list())
		}
	})
}

func TestStepDownNeedsALeaderItKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := &node{id: "n1", j: &journal{}}
		a := ask()
		a.Leader = ""
		wantAs[*revoke.TargetError](t, stepper(t, n).Revoke(t.Context(), a, listen().report))
		a.Leader = "n9"
		wantAs[*leadership.UnknownNodeError](t, stepper(t, n).Revoke(t.Context(), a, listen().report))
		if len(n.j.all()) != 0 {
			t.Errorf("touched: %v", n.j.all())
		}
	})
}
