package revoke_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// every returns one of each mechanism, over nodes that write the journal.
func every(t *testing.T) (map[string]revoke.Revoker, *journal) {
	t.Helper()
	m, j := cluster()
	steps := map[leadership.NodeID]revoke.StepDowner{}
	for id, n := range m {
		steps[id] = n
	}
	reg := &leadership.MemoryRegistry{}
	update(t, reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Create("c", leadership.Full, leadership.Ruleset{})
	})
	iso := must[*revoke.Isolate](t)(revoke.NewIsolate(isolatorFunc(func(_ context.Context, _ leadership.Term, id leadership.NodeID) error {
		j.add("isolate " + string(id))
		return nil
	}), reg, "c1", nil))
	push := must[*revoke.Push](t)(revoke.NewProposal(promisers(m), revoke.Options{}))
	return map[string]revoke.Revoker{
		"push":      push,
		"fence":     must[*revoke.Push](t)(revoke.NewFence(promisers(m), revoke.Options{})),
		"step down": must[*revoke.StepDown](t)(revoke.NewStepDown(steps)),
		"isolate":   iso,
		"lease": must[*revoke.Lease](t)(revoke.NewLease(lessorFunc(func(context.Context, leadership.Term, leadership.NodeID) (time.Duration, error) {
			j.add("expire")
			return 0, nil
		}), 0)),
		"together": must[*revoke.Concurrent](t)(revoke.Together(push)),
		"then":     must[*revoke.Sequence](t)(revoke.Then(revoke.Stage{Revoker: push})),
	}, j
}

func TestG10_ABadAskTouchesNoNode(t *testing.T) {
	gone := errors.New("gone")
	for _, c := range []struct {
		name   string
		ask    revoke.Ask
		ended  bool
		silent bool
		check  func(testing.TB, error)
	}{
		{name: "no term", ask: revoke.Ask{Targets: targets, Leader: "n1"}, check: as[*leadership.TermError]},
		{name: "a bad term", ask: revoke.Ask{Term: leadership.Term{Num: 1, Proposer: "No"}, Targets: targets, Leader: "n1"}, check: as[*leadership.TermError]},
		{name: "no targets", ask: revoke.Ask{Term: t7, Leader: "n1"}, check: as[*revoke.TargetError]},
		{name: "a target twice", ask: revoke.Ask{Term: t7, Targets: []leadership.NodeID{"n1", "n2", "n1"}, Leader: "n1"}, check: as[*revoke.TargetError]},
		{name: "a negative drain", ask: revoke.Ask{Term: t7, Targets: targets, Leader: "n1", Drain: -1}, check: as[*revoke.TargetError]},
		{name: "no report", ask: ask(), silent: true, check: as[*revoke.TargetError]},
		{name: "an ended context", ask: ask(), ended: true, check: func(t testing.TB, err error) { wantIs(t, err, gone) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				all, j := every(t)
				for name, r := range all {
					ctx, cancel := context.WithCancelCause(t.Context())
					if c.ended {
						cancel(gone)
					}
					h := listen()
					report := h.report
					if c.silent {
						report = nil
					}
					c.check(t, r.Revoke(ctx, c.ask, report))
					if len(j.all()) != 0 || h.len() != 0 {
						t.Errorf("%s: touched %v, reported %+v", name, j.all(), h.list())
					}
					cancel(nil)
				}
				// The same mechanisms, asked well, do touch nodes.
				for name, r := range all {
					j.lines = nil
					if err := r.Revoke(t.Context(), ask(), listen().report); err != nil || len(j.all()) == 0 {
						t.Errorf("%s: %v, touched %v", name, err, j.all())
					}
				}
			})
		})
	}
}

func as[E error](t testing.TB, err error) { wantAs[E](t, err) }

func TestG10_ATargetThatIsNamedTwiceIsNamedInTheError(t *testing.T) {
	t.Parallel()
	err := revoke.Ask{Term: t7, Targets: []leadership.NodeID{"n1", "n2", "n1"}}.Validate()
	if e := wantAs[*revoke.TargetError](t, err); e.Node != "n1" || !strings.Contains(err.Error(), "n1") {
		t.Errorf("%v", err)
	}
}

func TestG10_NilMechanismsAreRefusedWhenMadeNotWhenNeeded(t *testing.T) {
	t.Parallel()
	good := revokerFunc(func(context.Context, revoke.Ask, func(leadership.Testimony)) error { return nil })
	reg := &leadership.MemoryRegistry{}
	iso := isolatorFunc(nil)
	var (
		noPush  *revoke.Push
		noNode  *node
		noReg   *leadership.MemoryRegistry
		noFence *fence
	)
	second := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"together, none":       second(revoke.Together()),
		"together, nil":        second(revoke.Together(good, nil)),
		"together, typed nil":  second(revoke.Together(good, noPush)),
		"then, none":           second(revoke.Then()),
		"then, nil":            second(revoke.Then(revoke.Stage{Revoker: good}, revoke.Stage{})),
		"then, typed nil":      second(revoke.Then(revoke.Stage{Revoker: noPush})),
		"push, nil":            second(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n1": nil}, revoke.Options{})),
		"push, typed nil":      second(revoke.NewFence(map[leadership.NodeID]revoke.Promiser{"n1": noNode}, revoke.Options{})),
		"step down, nil":       second(revoke.NewStepDown(map[leadership.NodeID]revoke.StepDowner{"n1": nil})),
		"step down, typed nil": second(revoke.NewStepDown(map[leadership.NodeID]revoke.StepDowner{"n1": noNode})),
		"isolate, isolator":    second(revoke.NewIsolate(nil, reg, "c1", nil)),
		"isolate, typed nil":   second(revoke.NewIsolate(noFence, reg, "c1", nil)),
		"isolate, registry":    second(revoke.NewIsolate(iso, nil, "c1", nil)),
		"isolate, typed reg":   second(revoke.NewIsolate(iso, noReg, "c1", nil)),
		"lease":                second(revoke.NewLease(nil, 0)),
	} {
		if !errors.Is(err, revoke.ErrNilMechanism) {
			t.Errorf("%s: %v, want ErrNilMechanism", name, err)
		}
	}
	wantAs[*revoke.TargetError](t, second(revoke.NewProposal(nil, revoke.Options{})))
	wantAs[*revoke.TargetError](t, second(revoke.NewStepDown(nil)))
	wantAs[*leadership.NodeIDError](t, second(revoke.NewSource(map[leadership.NodeID]revoke.Promiser{"no good": &node{}}, revoke.Options{})))
	wantAs[*revoke.TargetError](t, second(revoke.Then(revoke.Stage{Revoker: good, Bound: -1})))
	wantAs[*revoke.RateError](t, second(revoke.NewLease(lessorFunc(nil), 1)))
	if e := wantAs[*revoke.NodeError](t, second(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n1": nil}, revoke.Options{}))); e.Node != "n1" {
		t.Errorf("the error does not name the node: %v", e)
	}
}

// What no constructor made has nobody to ask: it must not look as if it had asked
// them all.
func TestG10_AMechanismThatNobodyMadeIsRefused(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]revoke.Revoker{
		"isolate":  &revoke.Isolate{},
		"lease":    &revoke.Lease{},
		"together": &revoke.Concurrent{},
		"then":     &revoke.Sequence{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := listen()
			wantIs(t, r.Revoke(t.Context(), ask(), h.report), revoke.ErrNilMechanism)
			if h.len() != 0 {
				t.Errorf("reported %+v", h.list())
			}
		})
	}
	var i revoke.Isolate
	wantIs(t, i.Release(t.Context(), leadership.Testimony{}), revoke.ErrNilMechanism)
}
