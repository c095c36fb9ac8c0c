package revoke_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

func TestAHangingNodeDelaysNoOtherReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _ := cluster()
		m["n1"].promise = hang
		m["n2"].promise = func(ctx context.Context, tm leadership.Term) (leadership.Testimony, error) {
			time.Sleep(time.Second)
			return promised("n2", tm), nil
		}
		m["n3"].promise = func(ctx context.Context, tm leadership.Term) (leadership.Testimony, error) {
			time.Sleep(time.Second)
			return promised("n3", tm), nil
		}
		push := must[*revoke.Push](t)(revoke.NewProposal(promisers(m), revoke.Options{}))
		h := listen()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := push.Revoke(ctx, ask(), h.report)
		if h.len() != 2 || h.when[0] != time.Second || h.when[1] != time.Second {
			t.Errorf("%d reports, after %v: want those of n2 and n3, both after 1s: all are asked at once", h.len(), h.when)
		}
		if e := wantAs[*revoke.NodeError](t, err); e.Node != "n1" || e.Op != "promise" {
			t.Errorf("error %v, want one that names n1", err)
		}
		wantIs(t, err, context.DeadlineExceeded)
		if d := time.Since(h.start); d != 5*time.Second {
			t.Errorf("returned after %v, want when the context ended", d)
		}
	})
}

func TestFenceAndSourceAskEveryTargetButTheLeader(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(map[leadership.NodeID]revoke.Promiser, revoke.Options) (*revoke.Push, error)
		want []leadership.NodeID
	}{
		{"proposal", revoke.NewProposal, targets},
		{"fence", revoke.NewFence, targets[1:]},
		{"source", revoke.NewSource, targets[1:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, j := cluster()
				h := listen()
				if err := must[*revoke.Push](t)(c.make(promisers(m), revoke.Options{})).Revoke(t.Context(), ask(), h.report); err != nil {
					t.Fatal(err)
				}
				var got []leadership.NodeID
				for _, one := range h.list() {
					got = append(got, one.Node)
					if one.Mechanism != c.name || one.Kind != leadership.Promised || one.Term != t7 {
						t.Errorf("report %+v", one)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, c.want) || len(j.all()) != len(c.want) {
					t.Errorf("reports of %v after %v, want %v", got, j.all(), c.want)
				}
			})
		})
	}
}

func TestANodeThatPromisedMoreIsReportedAsRefusedWithThatTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, j := cluster()
		m["n2"].promise = func(context.Context, leadership.Term) (leadership.Testimony, error) {
			return leadership.Testimony{}, stale("n2", t7, t9)
		}
		h := listen()
		// Retry must not wear the answer down: it is final.
		push := must[*revoke.Push](t)(revoke.NewProposal(promisers(m), revoke.Options{Retry: time.Second}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := push.Revoke(ctx, ask(), h.report)
		wantAs[*leadership.StaleTermError](t, err)
		if leadership.NotExecuted(err) {
			t.Error("n1 and n3 promised: the error must not prove that nothing was executed")
		}
		got := h.of("n2")
		if len(got) != 1 || got[0].Kind != leadership.Refused || got[0].Term != t9 || got[0].Mechanism != "proposal" {
			t.Errorf("reports of n2: %+v", got)
		}
		if h.len() != 3 || len(j.all()) != 3 {
			t.Errorf("%d reports, calls %v: want one of each", h.len(), j.all())
		}
	})
}

func TestAnAdapterThatAnswersForAnotherNodeOrTermProvesNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		says  leadership.Testimony
		check func(*testing.T, error)
	}{
		{"another node", promised("n3", t7), func(t *testing.T, err error) { wantAs[*leadership.UnknownNodeError](t, err) }},
		{"an older term", promised("n2", leadership.Term{Num: 6, Proposer: "c1"}), func(t *testing.T, err error) { wantAs[*leadership.StaleTermError](t, err) }},
		{"a newer term", promised("n2", t9), func(t *testing.T, err error) { wantAs[*leadership.StaleTermError](t, err) }},
		{"nothing", leadership.Testimony{}, func(t *testing.T, err error) { wantAs[*leadership.UnknownNodeError](t, err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				bad := func(context.Context, leadership.Term) (leadership.Testimony, error) { return c.says, nil }
				one := revoke.Ask{Term: t7, Targets: []leadership.NodeID{"n2"}, Leader: "n2"}
				n := &node{id: "n2", promise: bad, stepDown: bad}
				push := must[*revoke.Push](t)(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n2": n}, revoke.Options{}))
				step := must[*revoke.StepDown](t)(revoke.NewStepDown(map[leadership.NodeID]revoke.StepDowner{"n2": n}))
				reader := &slowReader{node: &node{id: "n2", promise: func(_ context.Context, tm leadership.Term) (leadership.Testimony, error) {
					return leadership.Testimony{Node: "n2", Term: tm, Kind: leadership.Promised}, nil
				}}, read: bad}
				read := must[*revoke.Push](t)(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n2": reader}, revoke.Options{}))
				for _, m := range []struct {
					r     revoke.Revoker
					op    string
					heard int
				}{{push, "promise", 0}, {step, "step down", 0}, {read, "read", 1}} {
					h := listen()
					err := m.r.Revoke(t.Context(), one, h.report)
					c.check(t, err)
					if e := wantAs[*revoke.NodeError](t, err); e.Node != "n2" || e.Op != m.op {
						t.Errorf("error %v, want it at n2 in %s", err, m.op)
					}
					if leadership.NotExecuted(err) {
						t.Errorf("%s: a node that answers for another may have done anything: %v", m.op, err)
					}
					if h.len() != m.heard {
						t.Errorf("%s: reports %+v", m.op, h.list())
					}
				}
			})
		})
	}
}

func TestANodeThatFailsIsAskedAgainUntilTheContextEnds(t *testing.T) {
	broken := errors.New("connection reset")
	bubble(t, func(t *testing.T) {
		var calls int
		n := &node{id: "n1", promise: func(context.Context, leadership.Term) (leadership.Testimony, error) {
			calls++
			return leadership.Testimony{}, broken
		}}
		run := func(retry time.Duration) error {
			calls = 0
			ctx, cancel := context.WithTimeout(t.Context(), 1050*time.Millisecond)
			defer cancel()
			push := must[*revoke.Push](t)(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n1": n}, revoke.Options{Retry: retry}))
			return push.Revoke(ctx, revoke.Ask{Term: t7, Targets: targets[:1]}, listen().report)
		}
		wantIs(t, run(100*time.Millisecond), broken)
		if calls != 11 {
			t.Errorf("%d calls in 1.05s with a pause of 100ms, want 11", calls)
		}
		wantIs(t, run(0), broken)
		if calls != 1 {
			t.Errorf("%d calls with Retry 0, want 1", calls)
		}
		// It comes back: the third call succeeds.
		n.promise = func(_ context.Context, tm leadership.Term) (leadership.Testimony, error) {
			if calls++; calls < 3 {
				return leadership.Testimony{}, broken
			}
			return promised("n1", tm), nil
		}
		if err := run(100 * time.Millisecond); err != nil || calls != 3 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// By its contract a node refuses below its promise. One that names the asked term
// may be about to promise more: what it says then is the answer.
func TestANodeThatNamesTheAskedTermIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls int
		var then func() (leadership.Testimony, error)
		n := &node{id: "n1", promise: func(context.Context, leadership.Term) (leadership.Testimony, error) {
			if calls++; calls == 1 {
				return leadership.Testimony{}, stale("n1", t7, t7)
			}
			return then()
		}}
		run := func(retry time.Duration) ([]leadership.Testimony, error) {
			calls = 0
			h := listen()
			push := must[*revoke.Push](t)(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n1": n}, revoke.Options{Retry: retry}))
			err := push.Revoke(t.Context(), revoke.Ask{Term: t7, Targets: targets[:1]}, h.report)
			return h.list(), err
		}

		then = func() (leadership.Testimony, error) { return promised("n1", t7), nil }
		if got, err := run(time.Millisecond); err != nil || len(got) != 1 || got[0].Kind != leadership.Promised {
			t.Errorf("it promises at the second call: %+v, %v", got, err)
		}
		then = func() (leadership.Testimony, error) { return leadership.Testimony{}, stale("n1", t7, t9) }
		if got, err := run(time.Millisecond); leadership.NotExecuted(err) || len(got) != 1 || got[0].Kind != leadership.Refused || got[0].Term != t9 {
			t.Errorf("it names a newer attempt at the second call: %+v, %v", got, err)
		}
		got, err := run(0)
		if e := wantAs[*leadership.ContradictionError](t, err); calls != 1 || len(got) != 0 || e.Node != "n1" || e.Promised != t7 {
			t.Errorf("asked once: %d calls, %+v, %v", calls, got, err)
		}
	})
}

func TestG9_ARefusalAfterALostAnswerIsNoProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lost := errors.New("answer lost")
		calls := 0
		n := &node{id: "n1", promise: func(context.Context, leadership.Term) (leadership.Testimony, error) {
			if calls++; calls == 1 {
				return leadership.Testimony{}, lost // but the promise was made
			}
			return leadership.Testimony{}, stale("n1", t7, t9)
		}}
		push := must[*revoke.Push](t)(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n1": n}, revoke.Options{Retry: time.Millisecond}))
		one := revoke.Ask{Term: t7, Targets: targets[:1]}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := push.Revoke(ctx, one, listen().report)
		if leadership.NotExecuted(err) {
			t.Errorf("the first call may have been executed: %v", err)
		}
		wantIs(t, err, lost)
		wantAs[*leadership.StaleTermError](t, err)
		// Alone, refused at the first call, it is proof.
		if err := push.Revoke(ctx, one, listen().report); !leadership.NotExecuted(err) {
			t.Errorf("the only node refused: %v", err)
		}
	})
}

func TestASlowReadIsASecondReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		n := &slowReader{
			node: &node{id: "n1", j: j, promise: func(_ context.Context, tm leadership.Term) (leadership.Testimony, error) {
				return leadership.Testimony{Node: "n1", Term: tm, Kind: leadership.Promised}, nil
			}},
			read: func(_ context.Context, tm leadership.Term) (leadership.Testimony, error) {
				time.Sleep(time.Minute)
				return leadership.Testimony{Node: "n1", Term: tm, Kind: leadership.Statement, Read: &leadership.Position{}}, nil
			},
		}
		push := must[*revoke.Push](t)(revoke.NewSource(map[leadership.NodeID]revoke.Promiser{"n1": n}, revoke.Options{}))
		one := revoke.Ask{Term: t7, Targets: targets[:1]}
		h := listen()
		done := make(chan error, 1)
		go func() { done <- push.Revoke(t.Context(), one, h.report) }()
		synctest.Wait()
		if h.len() != 1 || h.list()[0].Kind != leadership.Promised || h.list()[0].Read != nil {
			t.Errorf("before the read: %+v", h.list())
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if h.len() != 2 || h.list()[1].Kind != leadership.Statement || h.list()[1].Read == nil || h.when[1] != time.Minute || h.list()[1].Mechanism != "source" {
			t.Errorf("after the read: %+v at %v", h.list(), h.when)
		}
		if got := j.all(); !slices.Equal(got, []string{"promise n1", "read n1"}) {
			t.Errorf("calls %v: a position read before the promise misses what was acknowledged in between", got)
		}
		// One that read with its promise is not read again.
		n.promise = nil
		h = listen()
		if err := push.Revoke(t.Context(), one, h.report); err != nil || h.len() != 1 || len(j.all()) != 3 {
			t.Errorf("%v, %+v, %v", err, h.list(), j.all())
		}
		// One that refuses to promise is not read at all.
		n.promise = func(context.Context, leadership.Term) (leadership.Testimony, error) {
			return leadership.Testimony{}, stale("n1", t7, t9)
		}
		h = listen()
		if err := push.Revoke(t.Context(), one, h.report); err == nil || h.len() != 1 || len(j.all()) != 4 {
			t.Errorf("%v, %+v, %v", err, h.list(), j.all())
		}
		// One that promised more in between says so.
		n.promise = func(_ context.Context, tm leadership.Term) (leadership.Testimony, error) {
			return leadership.Testimony{Node: "n1", Term: tm, Kind: leadership.Promised}, nil
		}
		n.read = func(context.Context, leadership.Term) (leadership.Testimony, error) {
			return leadership.Testimony{}, stale("n1", t7, t9)
		}
		h = listen()
		err := push.Revoke(t.Context(), one, h.report)
		if e := wantAs[*revoke.NodeError](t, err); e.Op != "read" || leadership.NotExecuted(err) {
			t.Errorf("%v: the promise was made", err)
		}
		if h.len() != 2 || h.list()[1].Kind != leadership.Refused || h.list()[1].Term != t9 || h.list()[1].Mechanism != "source" {
			t.Errorf("reports %+v", h.list())
		}
	})
}

func TestAnUnknownTargetIsAnErrorAndTheOthersAreAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _ := cluster()
		push := must[*revoke.Push](t)(revoke.NewProposal(promisers(m), revoke.Options{}))
		h := listen()
		err := push.Revoke(t.Context(), revoke.Ask{Term: t7, Targets: []leadership.NodeID{"n1", "n9", "n2"}}, h.report)
		if e := wantAs[*leadership.UnknownNodeError](t, err); e.Node != "n9" {
			t.Errorf("error %v, want n9 named", err)
		}
		if h.len() != 2 || len(h.of("n1")) != 1 || len(h.of("n2")) != 1 {
			t.Errorf("reports %+v", h.list())
		}
	})
}

func TestTheMapOfNodesIsCopied(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, _ := cluster()
		nodes := promisers(m)
		push := must[*revoke.Push](t)(revoke.NewProposal(nodes, revoke.Options{}))
		clear(nodes)
		if err := push.Revoke(t.Context(), ask(), listen().report); err != nil {
			t.Error(err)
		}
	})
}
