package establish_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

func TestG3_NoEstablishmentBeginsWithoutAProvenRevocation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		for _, est := range []*establish.Nodes{c.proposal(t, establish.Options{}), c.source(t, establish.Options{})} {
			for _, p := range []*leadership.Proposal{nil, new(leadership.Proposal)} {
				wantIs(t, est.Install(t.Context(), p, (&accepted{}).report), leadership.ErrNotMinted)
			}
			for _, in := range []*leadership.Installed{nil, new(leadership.Installed)} {
				wantIs(t, est.Grant(t.Context(), in), leadership.ErrNotMinted)
			}
		}
		if got := c.j.all(); len(got) != 0 {
			t.Errorf("touched: %v", got)
		}
	})
}

func TestTheCandidateCatchesUpBeforeAnythingIsInstalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		c.n["n1"].catchUp = func(context.Context, leadership.NodeID, leadership.Position) error {
			time.Sleep(time.Second)
			c.j.add("level")
			return nil
		}
		p := round(t).hear("n1", at(2)).hear("n2", at(5)).hear("n3", at(4)).propose("n1")
		a := &accepted{}
		if err := c.proposal(t, establish.Options{}).Install(t.Context(), p, a.report); err != nil {
			t.Fatal(err)
		}
		got := c.j.all()
		if len(got) != 7 || got[0] != "catch up n1 from n2 to "+at(5).String()+" at 7.c1" || got[1] != "level" {
			t.Errorf("%q", got)
		}
		if !slices.Equal(a.ids, members) {
			t.Errorf("accepted %v", a.ids)
		}
	})
}

func TestACandidateThatHoldsTheSelectedLogTakesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, n := range []uint64{5, 0} { // level, and a cluster of empty logs
			c := newCluster()
			p := round(t).hear("n1", at(n)).hear("n2", at(n)).hear("n3", at(0)).propose("n1")
			if err := c.proposal(t, establish.Options{}).Install(t.Context(), p, (&accepted{}).report); err != nil {
				t.Fatal(err)
			}
			if got := c.j.all(); len(got) != 5 || slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "catch up") }) {
				t.Errorf("%v", got)
			}
		}
	})
}

func TestADonorThatDiesIsReplacedByTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		died := errors.New("donor died")
		c.n["n1"].catchUp = func(_ context.Context, donor leadership.NodeID, _ leadership.Position) error {
			if donor == "n2" {
				return died
			}
			return nil
		}
		p := round(t).hear("n1", at(2)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		if err := c.proposal(t, establish.Options{}).Install(t.Context(), p, (&accepted{}).report); err != nil {
			t.Fatal(err)
		}
		if got := c.j.all(); len(got) != 7 || !strings.HasPrefix(got[0], "catch up n1 from n2") || !strings.HasPrefix(got[1], "catch up n1 from n3") {
			t.Errorf("%q", got)
		}
	})
}

func TestACandidateThatNoDonorCanLevelIsNotInstalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		died := map[leadership.NodeID]error{"n2": errors.New("n2 died"), "n3": errors.New("n3 died")}
		c.n["n1"].catchUp = func(_ context.Context, donor leadership.NodeID, _ leadership.Position) error { return died[donor] }
		p := round(t).hear("n1", at(2)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		a := &accepted{}
		err := c.proposal(t, establish.Options{}).Install(t.Context(), p, a.report)
		e := wantAs[*establish.CatchUpError](t, err)
		if e.Node != "n1" || !slices.Equal(e.Donors, []leadership.NodeID{"n2", "n3"}) || !errors.Is(err, died["n2"]) || !errors.Is(err, died["n3"]) {
			t.Errorf("%v", err)
		}
		for _, name := range []string{"n1", "n2", "n3"} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q does not name %s", err, name)
			}
		}
		if len(c.j.all()) != 2 || len(a.ids) != 0 {
			t.Errorf("%v, accepted %v", c.j.all(), a.ids)
		}
	})
}

func TestG8_NoFurtherDonorIsAskedOnceTheContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.n["n1"].catchUp = func(ctx context.Context, _ leadership.NodeID, _ leadership.Position) error {
			<-ctx.Done()
			return ctx.Err()
		}
		p := round(t).hear("n1", at(2)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		err := c.proposal(t, establish.Options{}).Install(ctx, p, (&accepted{}).report)
		wantIs(t, err, context.DeadlineExceeded)
		if len(c.j.all()) != 1 {
			t.Errorf("%v", c.j.all())
		}
	})
}

// An engine whose marker commit waits for a replica deadlocks an establisher
// that installs first and re-points replicas afterwards.
func TestAMarkerThatWaitsForAFollowerIsInstalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, source := range []bool{false, true} {
			c := newCluster()
			followed := make(chan struct{})
			c.n["n1"].install = func(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
				select {
				case <-followed:
					return leadership.Acceptance{Node: "n1", Term: m.Term, Leader: m.Leader}, nil
				case <-ctx.Done():
					return leadership.Acceptance{}, ctx.Err()
				}
			}
			c.n["n2"].follow = func(_ context.Context, tm leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
				close(followed)
				return leadership.Acceptance{Node: "n2", Term: tm, Leader: l}, nil
			}
			r := round(t)
			for _, id := range members {
				r.hear(id, at(5))
			}
			est := c.proposal(t, establish.Options{})
			if source {
				est = c.source(t, establish.Options{})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			a := &accepted{}
			if err := est.Install(ctx, r.propose("n1"), a.report); err != nil || len(a.ids) != 5 {
				t.Errorf("source %v: %v, accepted %v", source, err, a.ids)
			}
			cancel()
		}
	})
}

func TestAFollowerThatFailsIsNamedAndHidesNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		broken := errors.New("disk full")
		c.n["n4"].follow = func(context.Context, leadership.Term, leadership.NodeID) (leadership.Acceptance, error) {
			return leadership.Acceptance{}, broken
		}
		// An adapter that mixes up its connections.
		c.n["n5"].follow = func(_ context.Context, tm leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
			return leadership.Acceptance{Node: "n4", Term: tm, Leader: l}, nil
		}
		p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		a := &accepted{}
		err := c.proposal(t, establish.Options{}).Install(t.Context(), p, a.report)
		wantIs(t, err, broken)
		if e := wantAs[*leadership.UnknownNodeError](t, err); e.Node != "n4" {
			t.Errorf("%v", err)
		}
		for _, s := range []string{"follow at n4", "follow at n5"} {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %q", err, s)
			}
		}
		if !slices.Equal(a.ids, members[:3]) {
			t.Errorf("accepted %v: an answer for another node counts for nothing", a.ids)
		}
	})
}

func TestACandidateThatAnswersForAnotherNodeCountsForNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		c.n["n1"].install = func(_ context.Context, m leadership.Marker) (leadership.Acceptance, error) {
			return leadership.Acceptance{Node: "n2", Term: m.Term, Leader: m.Leader}, nil
		}
		p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		a := &accepted{}
		err := c.proposal(t, establish.Options{}).Install(t.Context(), p, a.report)
		if e := wantAs[*establish.NodeError](t, err); e.Node != "n1" || e.Op != "install" || slices.Contains(a.ids, "n1") {
			t.Errorf("%v, accepted %v", err, a.ids)
		}
	})
}

func TestG9_AnInstallThatIsRefusedDoesNotProveThatNothingWasInstalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		c.n["n5"].follow = func(context.Context, leadership.Term, leadership.NodeID) (leadership.Acceptance, error) {
			return leadership.Acceptance{}, &leadership.StaleTermError{Node: "n5", Asked: t7, Promised: t9}
		}
		p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.proposal(t, establish.Options{Retry: time.Millisecond}).Install(ctx, p, (&accepted{}).report)
		if e := wantAs[*leadership.StaleTermError](t, err); e.Promised != t9 || leadership.NotExecuted(err) {
			t.Errorf("%v: the others accepted", err)
		}
	})
}

func TestANodeIsAskedAgainOnlyWhenRetryIsSet(t *testing.T) {
	broken := errors.New("connection reset")
	bubble(t, func(t *testing.T) {
		for _, retry := range []time.Duration{0, 10 * time.Millisecond} {
			c := newCluster()
			fails := map[string]int{}
			fail := func(op string) error {
				if fails[op]++; fails[op] < 3 {
					return broken
				}
				return nil
			}
			c.n["n1"].install = func(_ context.Context, m leadership.Marker) (leadership.Acceptance, error) {
				return leadership.Acceptance{Node: "n1", Term: m.Term, Leader: m.Leader}, fail("install")
			}
			c.n["n1"].grant = func(context.Context, leadership.Term) error { return fail("grant") }
			p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
			a := &accepted{}
			est := c.proposal(t, establish.Options{Retry: retry})
			err := est.Install(t.Context(), p, a.report)
			gerr := est.Grant(t.Context(), installed(t))
			if retry == 0 {
				wantIs(t, err, broken)
				wantIs(t, gerr, broken)
				if e := wantAs[*establish.NodeError](t, gerr); e.Node != "n1" || e.Op != "grant" {
					t.Errorf("%v", gerr)
				}
				if fails["install"] != 1 || fails["grant"] != 1 || slices.Contains(a.ids, "n1") {
					t.Errorf("%v, accepted %v", fails, a.ids)
				}
				continue
			}
			if err != nil || gerr != nil || fails["install"] != 3 || fails["grant"] != 3 || len(a.ids) != 5 {
				t.Errorf("%v, %v, %v, accepted %v", err, gerr, fails, a.ids)
			}
		}
	})
}

func TestG9_AGrantThatIsRefusedAfterALostAnswerIsNoProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		calls := 0
		c.n["n1"].grant = func(context.Context, leadership.Term) error {
			if calls++; calls == 1 {
				return errors.New("answer lost")
			}
			return &leadership.StaleTermError{Node: "n1", Asked: t7, Promised: t9}
		}
		err := c.proposal(t, establish.Options{Retry: time.Millisecond}).Grant(t.Context(), installed(t))
		wantAs[*leadership.StaleTermError](t, err)
		if calls != 2 || leadership.NotExecuted(err) {
			t.Errorf("the first grant may have been executed: %v", err)
		}
		// At the first call it is proof, and it is final.
		err = c.proposal(t, establish.Options{Retry: time.Millisecond}).Grant(t.Context(), installed(t))
		if calls != 3 || !leadership.NotExecuted(err) {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

// A node may refuse with the promise that it is about to replace. What it says
// once it has replaced it is the answer: the other attempt is not hidden.
func TestANodeThatNamesTheAskedTermIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, last := range []leadership.Term{t7, t9} {
			c := newCluster()
			calls := 0
			c.n["n2"].follow = func(_ context.Context, tm leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
				calls++
				if calls == 1 {
					return leadership.Acceptance{}, &leadership.StaleTermError{Node: "n2", Asked: tm, Promised: tm}
				}
				if tm.Less(last) {
					return leadership.Acceptance{}, &leadership.StaleTermError{Node: "n2", Asked: tm, Promised: last}
				}
				return leadership.Acceptance{Node: "n2", Term: tm, Leader: l}, nil
			}
			p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
			a := &accepted{}
			err := c.proposal(t, establish.Options{Retry: time.Millisecond}).Install(t.Context(), p, a.report)
			if calls != 2 || slices.Contains(a.ids, "n2") != (last == t7) || (err == nil) != (last == t7) {
				t.Errorf("then at %s: %d calls, accepted by %v, %v", last, calls, a.ids, err)
			}
			if last == t9 && wantAs[*leadership.StaleTermError](t, err).Promised != t9 {
				t.Errorf("the newer attempt is hidden: %v", err)
			}
		}
	})
}

func TestG8_InstallEndsWithItsContextAndWithEveryCallItMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		c.n["n2"].follow = func(ctx context.Context, _ leadership.Term, _ leadership.NodeID) (leadership.Acceptance, error) {
			<-ctx.Done()
			return leadership.Acceptance{}, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := round(t).hear("n1", at(5)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		start := time.Now()
		a := &accepted{}
		err := c.proposal(t, establish.Options{Retry: time.Millisecond}).Install(ctx, p, a.report)
		if e := wantAs[*establish.NodeError](t, err); e.Node != "n2" || e.Op != "follow" || time.Since(start) != time.Second || len(a.ids) != 4 {
			t.Errorf("%v after %v, accepted %v", err, time.Since(start), a.ids)
		}
	})
}

func TestGrantOpensTheInstalledLeaderAndNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		if err := c.proposal(t, establish.Options{}).Grant(t.Context(), installed(t)); err != nil {
			t.Fatal(err)
		}
		if got := c.j.all(); !slices.Equal(got, []string{"grant n1 7.c1"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestG10_BadEstablishersAndAsksAreRefusedBeforeANodeIsTouched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster()
		cs, fs := c.maps()
		var nobody *node
		second := func(_ any, err error) error { return err }
		for name, err := range map[string]error{
			"no candidate":        second(establish.NewProposal(nil, fs, establish.Options{})),
			"a nil candidate":     second(establish.NewProposal(map[leadership.NodeID]establish.Candidate{"n1": nil}, fs, establish.Options{})),
			"a typed nil":         second(establish.NewProposal(map[leadership.NodeID]establish.Candidate{"n1": nobody}, fs, establish.Options{})),
			"a nil follower":      second(establish.NewSource(cs, map[leadership.NodeID]establish.Follower{"n1": nil}, nil, establish.Options{})),
			"a typed nil follow":  second(establish.NewSource(cs, map[leadership.NodeID]establish.Follower{"n1": nobody}, nil, establish.Options{})),
			"a nil repairer":      second(establish.NewSource(cs, fs, map[leadership.NodeID]establish.Repairer{"n1": nil}, establish.Options{})),
			"a typed nil repairs": second(establish.NewSource(cs, fs, map[leadership.NodeID]establish.Repairer{"n1": nobody}, establish.Options{})),
		} {
			if !errors.Is(err, establish.ErrNilNode) {
				t.Errorf("%s: %v", name, err)
			}
		}
		p := round(t).hear("n1", at(2)).hear("n2", at(5)).hear("n3", at(5)).propose("n1")
		est := c.proposal(t, establish.Options{})
		wantIs(t, est.Install(t.Context(), p, nil), establish.ErrNilNode)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		wantIs(t, est.Install(ctx, p, (&accepted{}).report), gone)
		wantIs(t, est.Grant(ctx, installed(t)), gone)
		delete(cs, "n1")
		other := must[*establish.Nodes](t)(establish.NewProposal(cs, fs, establish.Options{}))
		if e := wantAs[*leadership.UnknownNodeError](t, other.Install(t.Context(), p, (&accepted{}).report)); e.Node != "n1" {
			t.Errorf("%v", e)
		}
		wantAs[*leadership.UnknownNodeError](t, other.Grant(t.Context(), installed(t)))
		if got := c.j.all(); len(got) != 0 {
			t.Errorf("touched: %v", got)
		}
	})
}
