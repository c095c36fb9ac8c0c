package revoke_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// sleeper reports its node after a while, and fails with err then.
func sleeper(j *journal, id leadership.NodeID, d time.Duration, err error) revoke.Revoker {
	return revokerFunc(func(ctx context.Context, a revoke.Ask, report func(leadership.Testimony)) error {
		j.add("begin " + string(id))
		time.Sleep(d)
		if err == nil {
			report(promised(id, a.Term))
		}
		j.add("end " + string(id))
		return err
	})
}

func TestTogetherRunsAllAtOnceAndEndsWithTheLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		one, two := errors.New("one"), errors.New("two")
		r := must[*revoke.Concurrent](t)(revoke.Together(sleeper(j, "n1", 3*time.Second, one), sleeper(j, "n2", time.Second, nil), sleeper(j, "n3", 2*time.Second, two)))
		h := listen()
		err := r.Revoke(t.Context(), ask(), h.report)
		wantIs(t, err, one)
		wantIs(t, err, two)
		if d := time.Since(h.start); d != 3*time.Second {
			t.Errorf("took %v, want as long as the longest", d)
		}
		if h.len() != 1 || len(j.all()) != 6 {
			t.Errorf("reports %+v, %v", h.list(), j.all())
		}
	})
}

func TestThenBeginsAStageWhenTheOneBeforeHasFinished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		soft := errors.New("soft")
		r := must[*revoke.Sequence](t)(revoke.Then(
			revoke.Stage{Revoker: sleeper(j, "n1", time.Hour, soft)}, // no bound, may fail
			revoke.Stage{Revoker: sleeper(j, "n2", time.Second, nil), Bound: time.Minute, Must: true},
			revoke.Stage{Revoker: sleeper(j, "n3", time.Second, nil)},
		))
		h := listen()
		err := r.Revoke(t.Context(), ask(), h.report)
		if e := wantAs[*revoke.StageError](t, err); e.Stage != 0 || e.Must || !errors.Is(err, soft) {
			t.Errorf("%v", err)
		}
		want := []string{"begin n1", "end n1", "begin n2", "end n2", "begin n3", "end n3"}
		if !slices.Equal(j.all(), want) || time.Since(h.start) != time.Hour+2*time.Second {
			t.Errorf("%v after %v", j.all(), time.Since(h.start))
		}
	})
}

func TestAStagePastItsBoundGoesOnBesideTheNextAndItsReportsCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		r := must[*revoke.Sequence](t)(revoke.Then(
			revoke.Stage{Revoker: sleeper(j, "n1", 10*time.Second, nil), Bound: 2 * time.Second},
			revoke.Stage{Revoker: sleeper(j, "n2", time.Second, nil)},
		))
		h := listen()
		if err := r.Revoke(t.Context(), ask(), h.report); err != nil {
			t.Fatal(err)
		}
		if want := []string{"begin n1", "begin n2", "end n2", "end n1"}; !slices.Equal(j.all(), want) {
			t.Errorf("%v, want %v", j.all(), want)
		}
		if h.len() != 2 || h.list()[1].Node != "n1" || h.when[0] != 3*time.Second || h.when[1] != 10*time.Second {
			t.Errorf("reports %+v at %v", h.list(), h.when)
		}
	})
}

func TestAStageThatMustSucceedIsWaitedForAndItsFailureIsTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		bad := errors.New("it would not step down")
		for _, c := range []struct {
			err  error
			want []string
		}{
			{bad, []string{"begin n1", "end n1"}},
			{nil, []string{"begin n1", "end n1", "begin n2", "end n2"}},
		} {
			j.lines = nil
			r := must[*revoke.Sequence](t)(revoke.Then(
				revoke.Stage{Revoker: sleeper(j, "n1", 10*time.Second, c.err), Bound: time.Second, Must: true},
				revoke.Stage{Revoker: sleeper(j, "n2", time.Second, nil)},
			))
			err := r.Revoke(t.Context(), ask(), listen().report)
			if !slices.Equal(j.all(), c.want) {
				t.Errorf("%v, want %v", j.all(), c.want)
			}
			if c.err == nil {
				if err != nil {
					t.Error(err)
				}
				continue
			}
			if e := wantAs[*revoke.StageError](t, err); e.Stage != 0 || !e.Must || !errors.Is(err, bad) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestNoStageBeginsOnceEnoughWasReported(t *testing.T) {
	for _, c := range []struct {
		name  string
		bound time.Duration
		want  []string
	}{
		{"it had finished", 0, []string{"begin n1", "end n1"}},
		{"its bound had passed", 2 * time.Second, []string{"begin n1", "begin n2", "end n1", "end n2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := &journal{}
				var got atomic.Int32
				a := ask()
				a.Enough = func() bool { return got.Load() > 0 }
				r := must[*revoke.Sequence](t)(revoke.Then(
					revoke.Stage{Revoker: sleeper(j, "n1", 5*time.Second, nil), Bound: c.bound},
					revoke.Stage{Revoker: sleeper(j, "n2", 6*time.Second, nil), Bound: 4 * time.Second},
					revoke.Stage{Revoker: sleeper(j, "n3", time.Second, nil)},
				))
				if err := r.Revoke(t.Context(), a, func(leadership.Testimony) { got.Add(1) }); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(j.all(), c.want) {
					t.Errorf("%v, want %v", j.all(), c.want)
				}
			})
		})
	}
}

func TestG8_ASequenceEndsWithItsContextAndBeginsNoFurtherStage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, gone)
		defer cancel()
		m, j := cluster()
		m["n1"].promise = hang
		first := must[*revoke.Push](t)(revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n1": m["n1"]}, revoke.Options{Retry: time.Millisecond}))
		r := must[*revoke.Sequence](t)(revoke.Then(revoke.Stage{Revoker: first, Bound: time.Hour}, revoke.Stage{Revoker: sleeper(j, "n2", time.Hour, nil)}))
		start := time.Now()
		err := r.Revoke(ctx, revoke.Ask{Term: t7, Targets: targets[:1]}, listen().report)
		wantIs(t, err, gone)
		if time.Since(start) != time.Second || !slices.Equal(j.all(), []string{"promise n1"}) {
			t.Errorf("%v after %v", j.all(), time.Since(start))
		}
	})
}

func TestCombinationsNest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &journal{}
		bad := errors.New("bad")
		pair := must[*revoke.Concurrent](t)(revoke.Together(sleeper(j, "n1", time.Second, nil), sleeper(j, "n2", 2*time.Second, bad)))
		r := must[*revoke.Sequence](t)(revoke.Then(revoke.Stage{Revoker: pair, Must: true}, revoke.Stage{Revoker: sleeper(j, "n3", time.Second, nil)}))
		h := listen()
		err := r.Revoke(t.Context(), ask(), h.report)
		wantIs(t, err, bad)
		if len(h.of("n1")) != 1 || len(h.of("n3")) != 0 {
			t.Errorf("reports %+v", h.list())
		}
	})
}
