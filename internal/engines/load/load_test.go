package load_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

// The test binary is also its workers.
func TestMain(m *testing.M) {
	if code, ok := load.Main(openEngine); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func openEngine(s load.Spec) (load.Engine, error) {
	if why := s.Extra["broken"]; why != "" {
		return load.Engine{}, errors.New(why)
	}
	if addr := s.Extra["plain"]; addr != "" {
		return load.Engine{Connector: connector{addr}}, nil
	}
	return load.Engine{Nodes: nodes}, nil
}

// world is two servers, of which n1 leads, and what coordinator and workers
// share.
type world struct {
	n1, n2  *server
	reg     *leadership.FileRegistry
	barrier *leadership.FileBarrier
	spec    load.Spec
}

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }

func newWorld(t *testing.T) *world {
	w := &world{n1: startServer(t), n2: startServer(t)}
	w.n1.set(func() { w.n1.leads, w.n1.next = true, w.n2 })
	dir := t.TempDir()
	w.spec = load.Spec{
		Dir: dir, Registry: filepath.Join(dir, "registry"), Barrier: filepath.Join(dir, "barrier"),
		Writers: 4, InTx: true, Insert: "put ?", Pause: time.Millisecond, RouterTTL: time.Second,
	}
	var err error
	w.reg, err = leadership.OpenFileRegistry(w.spec.Registry)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.reg.Close()) })
	w.barrier, err = leadership.OpenFileBarrier(w.spec.Barrier)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.barrier.Close()) })
	w.publish(t, func(r leadership.Record) leadership.Record {
		r.Mode = leadership.Full
		return w.led(r, "n1", 1, w.n1)
	})
	return w
}

func (w *world) led(r leadership.Record, id leadership.NodeID, n uint64, s *server) leadership.Record {
	l := leadership.Leadership{Leader: id, Term: term(n)}
	r.Fence, r.Active, r.Routed, r.Addr, r.Intent = l.Term, l, l, s.addr(), leadership.Intent{}
	return r
}

func (w *world) publish(t *testing.T, f func(leadership.Record) leadership.Record) {
	t.Helper()
	_, err := leadership.Update(t.Context(), w.reg, func(r leadership.Record) (leadership.Record, error) { return f(r), nil })
	require.NoError(t, err)
}

func start(t *testing.T, c load.Config) *load.Load {
	t.Helper()
	l, err := load.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = l.Stop(context.Background()) }) // the second Stop of a test that did not fail
	return l
}

func flows(t *testing.T, l *load.Load, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, l.AwaitAcks(ctx, n))
}

func TestAChangeAtTheBarrierCostsWritersInOtherProcessesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := start(t, load.Config{Workers: 2, Spec: w.spec})
	epoch := time.Now()
	flows(t, l, 10)
	begin := time.Since(epoch)
	w.publish(t, func(r leadership.Record) leadership.Record {
		r.Fence = term(2)
		r.Intent = leadership.Intent{Term: term(2), By: "c1", Kind: leadership.KindPlanned, Phase: leadership.Holding, HoldFor: 10 * time.Second}
		return r
	})
	call, err := w.barrier.Wait(t.Context(), term(2))
	require.NoError(t, err)
	require.Len(t, call.Quiet, 2, "both workers joined")
	before := w.n1.rows()
	w.n1.set(func() { w.n1.leads = false })
	w.n2.set(func() { w.n2.leads, w.n2.next = true, w.n1 })
	w.publish(t, func(r leadership.Record) leadership.Record { return w.led(r, "n2", 2, w.n2) })
	end := time.Since(epoch)
	flows(t, l, 10)
	h, err := l.Stop(t.Context())
	require.NoError(t, err)
	require.Empty(t, h.Failures)
	v := h.Check(load.Rows{Node: "n2", IDs: w.n2.rows()}, load.Rows{Node: "n1", IDs: w.n1.rows()})
	t.Log(v)
	require.NoError(t, v.Flawless())
	require.Greater(t, v.Acked, len(before))
	require.Len(t, w.n2.rows(), v.Acked)
	require.GreaterOrEqual(t, v.WriterGap, v.Gap)
	r := measure.Report{Changes: []measure.Change{{Name: "n1 -> n2", Begin: begin, End: end}}, Ops: h.Ops(epoch, time.Now()), End: time.Since(epoch)}
	require.Positive(t, r.Costs(0).Requests)
	require.Zero(t, r.Costs(0).Errors+r.Costs(0).Unknown)
}

func TestALostAnswerIsUnknownAndNothingWorse(t *testing.T) {
	t.Parallel()
	for _, tx := range []bool{true, false} {
		t.Run(fmt.Sprintf("inTx=%t", tx), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.spec.InTx, w.spec.Barrier = tx, ""
			l := start(t, load.Config{Spec: w.spec})
			flows(t, l, 5)
			w.n1.set(func() { w.n1.lose = 1 })
			flows(t, l, 5)
			h, err := l.Stop(t.Context())
			require.NoError(t, err)
			v := h.Check(load.Rows{Node: "n1", IDs: w.n1.rows()}, load.Rows{Node: "n2", IDs: w.n2.rows()})
			require.NoError(t, v.Err())
			require.Equal(t, 1, v.Unknown, "%s", v)
			require.Equal(t, 1, v.Present)
			require.Error(t, v.Flawless())
		})
	}
}

func TestAKilledWorkerLeavesItsAttemptsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spec.Pause = 0
	l := start(t, load.Config{Workers: 2, Spec: w.spec})
	flows(t, l, 5)
	require.NoError(t, l.Kill(1))
	flows(t, l, 5) // those of the other
	h, err := l.Stop(t.Context())
	require.NoError(t, err)
	v := h.Check(load.Rows{Node: "n1", IDs: w.n1.rows()})
	require.NoError(t, v.Err())
	for _, a := range h.Attempts {
		if a.Outcome == load.Unknown {
			require.Equal(t, 1, a.Worker)
			require.True(t, a.End.IsZero())
		}
	}
	require.ErrorContains(t, l.Kill(2), "no worker 2")
}

func TestAnAnswerOfTheDatabaseIsNeitherDoneNorProofOfTheContrary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := start(t, load.Config{Spec: w.spec})
	flows(t, l, 1)
	w.n1.set(func() { w.n1.leads = false }) // as by hand, without the barrier
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for v := (load.Verdict{}); v.Acked >= v.Attempts-w.spec.Writers; <-tick.C { // more than those under way failed
		h, err := l.History(deadline)
		require.NoError(t, err)
		v = h.Check(load.Rows{})
	}
	w.n1.set(func() { w.n1.leads = true })
	flows(t, l, 1)
	h, err := l.Stop(t.Context())
	require.NoError(t, err)
	v := h.Check(load.Rows{Node: "n1", IDs: w.n1.rows()})
	require.NoError(t, v.Err())
	require.Positive(t, v.Other+v.Unknown, "%s", v)
}

func TestAWorkerThatCannotBeginSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.spec.Extra = map[string]string{"broken": "no such engine"}
	_, err := load.Start(t.Context(), load.Config{Workers: 2, Spec: w.spec})
	require.ErrorContains(t, err, "no such engine")
	_, err = load.Start(t.Context(), load.Config{Spec: load.Spec{Dir: t.TempDir()}})
	var bad *load.SpecError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "Insert", bad.Field)
	w.spec.Dir, w.spec.Extra = filepath.Join(t.TempDir(), "none"), nil
	_, err = load.Start(t.Context(), load.Config{Spec: w.spec})
	require.ErrorIs(t, err, os.ErrNotExist)
}
