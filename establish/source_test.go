package establish_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// What is re-pointed can only append: the wait for its position must not hold
// up the others, and what does not fit is repaired first or left out.
func TestSourceWaitsForLateReadsAndRepairsWhatNeedsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		// Selected: n1's log of t3 and one of t4. n4's tail of t3 conflicts.
		r := round(t).hear("n1", forked(1)).hear("n2", at(1)).hear("n3", at(0)).hear("n4", nil).hear("n5", nil)
		p := r.propose("n1")
		est := c.source(t, establish.Options{}, "n4")
		a := &accepted{}
		done := make(chan error, 1)
		go func() { done <- est.Install(t.Context(), p, a.report) }()
		synctest.Wait()
		a.mu.Lock()
		if !slices.Equal(a.ids, members[:3]) {
			t.Errorf("before the late reads: accepted %v", a.ids)
		}
		a.mu.Unlock()
		if c.j.index("follow n4") >= 0 || c.j.index("follow n5") >= 0 {
			t.Errorf("%v: followed before its position was known", c.j.all())
		}
		r.late("n4", at(3))
		r.late("n5", at(3))
		err := <-done
		e := wantAs[*establish.NeedsRepairError](t, err)
		if e.Node != "n5" || e.At.Rank(*at(3)) != leadership.Same || e.Selection.Rank(*forked(1)) != leadership.Same {
			t.Errorf("%v", err)
		}
		repaired, followed := c.j.index("repair n4 from n1"), c.j.index("follow n4")
		if repaired < 0 || followed < repaired || c.j.index("follow n5") >= 0 || c.j.index("repair n5 from n1") >= 0 {
			t.Errorf("%v", c.j.all())
		}
		if !slices.Equal(a.ids, members[:4]) {
			t.Errorf("accepted %v", a.ids)
		}
		if c.j.index("repair n2 from n1") >= 0 || c.j.index("repair n3 from n1") >= 0 {
			t.Errorf("%v: repaired what only had to append", c.j.all())
		}
	})
}

func TestSourceDoesNotLetAMemberFollowWhoseRepairFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		broken := errors.New("no backup")
		c.n["n4"].repair = func(context.Context, leadership.Term, leadership.NodeID) error { return broken }
		p := round(t).hear("n1", forked(1)).hear("n2", at(1)).hear("n3", at(0)).hear("n4", at(3)).hear("n5", at(0)).propose("n1")
		a := &accepted{}
		err := c.source(t, establish.Options{}, "n4").Install(t.Context(), p, a.report)
		wantIs(t, err, broken)
		if e := wantAs[*establish.NodeError](t, err); e.Node != "n4" || e.Op != "repair" || c.j.index("follow n4") >= 0 || slices.Contains(a.ids, "n4") {
			t.Errorf("%v, %v", err, c.j.all())
		}
	})
}

func TestG8_SourceStopsWaitingForAPositionWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.source(t, establish.Options{}).Install(ctx, p, (&accepted{}).report)
		wantIs(t, err, context.DeadlineExceeded)
		for _, s := range []string{"read at n4", "read at n5"} {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %q", err, s)
			}
		}
		if c.j.index("follow n4") >= 0 {
			t.Errorf("%v", c.j.all())
		}
	})
}

func TestALogThatTruncatesByItselfLetsEveryMemberFollowAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		p := round(t).hear("n1", forked(1)).hear("n2", at(3)).hear("n3", at(0)).propose("n1")
		a := &accepted{}
		if err := c.proposal(t, establish.Options{}).Install(t.Context(), p, a.report); err != nil || len(a.ids) != 5 {
			t.Errorf("%v, accepted %v", err, a.ids)
		}
	})
}
