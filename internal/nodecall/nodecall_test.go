package nodecall_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

func term(num uint64) leadership.Term { return leadership.Term{Num: num, Proposer: "c"} }

func stale(promised uint64) *leadership.StaleTermError {
	return &leadership.StaleTermError{Node: "n1", Asked: term(7), Promised: term(promised)}
}

var errLost = errors.New("the answer was lost")

// A node that names the asked term, or an older one, has said nothing of a newer
// attempt: it is asked again, and what it says then is the answer.
func TestARefusalThatNamesNoHigherTermIsNotTheLastWord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		answers []error
		calls   int
		check   func(t *testing.T, err error)
	}{
		{"it takes it then", []error{stale(7), nil}, 2, func(t *testing.T, err error) {
			if err != nil {
				t.Error(err)
			}
		}},
		{"it names the newer attempt then", []error{stale(7), stale(9)}, 2, func(t *testing.T, err error) {
			if by, ok := nodecall.Outrun(term(7), err); !ok || by != term(9) {
				t.Errorf("outrun by %s (%v): %v", by, ok, err)
			}
			if leadership.NotExecuted(err) {
				t.Errorf("the first call may have been executed: %v", err)
			}
		}},
		{"an older promise", []error{stale(6), stale(0), nil}, 3, func(t *testing.T, err error) {
			if err != nil {
				t.Error(err)
			}
		}},
		{"it goes on so", []error{stale(7)}, 11, func(t *testing.T, err error) {
			var e *leadership.ContradictionError
			if !errors.As(err, &e) || e.Node != "n1" || e.Asked != term(7) || e.Promised != term(7) {
				t.Fatalf("%#v", err)
			}
			if leadership.NotExecuted(err) || !errors.Is(err, leadership.ErrUnknownOutcome) {
				t.Errorf("it proves something: %v", err)
			}
			if by, ok := nodecall.Outrun(term(7), err); ok {
				t.Errorf("outrun by %s", by)
			}
		}},
		{"a newer attempt at once", []error{stale(9)}, 1, func(t *testing.T, err error) {
			if !leadership.NotExecuted(err) {
				t.Errorf("a refusal below the promise is proof: %v", err)
			}
			if e := (*leadership.ContradictionError)(nil); errors.As(err, &e) {
				t.Errorf("it is no contradiction: %v", err)
			}
		}},
		{"a newer attempt behind another", []error{errors.Join(stale(7), fmt.Errorf("from: %w", stale(9)), stale(8))}, 1, func(t *testing.T, err error) {
			if by, ok := nodecall.Outrun(term(7), err); !ok || by != term(9) {
				t.Errorf("outrun by %s (%v)", by, ok)
			}
		}},
		{"refused after a lost answer", []error{errLost, stale(9)}, 2, func(t *testing.T, err error) {
			if leadership.NotExecuted(err) || !errors.Is(err, errLost) {
				t.Errorf("the lost call is denied: %v", err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 1050*time.Millisecond)
				defer cancel()
				calls := 0
				err := nodecall.Retry(ctx, term(7), 100*time.Millisecond, func() error {
					calls++
					return c.answers[min(calls, len(c.answers))-1]
				})
				if calls != c.calls {
					t.Errorf("%d calls, want %d", calls, c.calls)
				}
				c.check(t, err)
			})
		})
	}
}

func TestANodeIsAskedOnceWithoutAPauseAndNotAfterTheContext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pause time.Duration
		ended bool
	}{{0, false}, {-time.Second, false}, {time.Hour, true}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			if c.ended {
				cancel()
			}
			defer cancel()
			calls := 0
			err := nodecall.Retry(ctx, term(7), c.pause, func() error { calls++; return stale(7) })
			if e := (*leadership.ContradictionError)(nil); calls != 1 || !errors.As(err, &e) {
				t.Errorf("pause %s, ended %v: %d calls, %v", c.pause, c.ended, calls, err)
			}
		})
	}
}

func TestACallThatIsGivenUpSaysWhatTheNodeSaidBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the applier stopped")
		gone := errors.New("the change is over")
		ctx, cancel := context.WithCancelCause(t.Context())
		calls := 0
		err := nodecall.Retry(ctx, term(7), time.Second, func() error {
			if calls++; calls < 3 {
				return why
			}
			cancel(gone)
			return fmt.Errorf("read: %w", ctx.Err())
		})
		if !errors.Is(err, why) || !errors.Is(err, context.Canceled) || leadership.NotExecuted(err) {
			t.Errorf("%v", err)
		}
		last := errors.New("the applier stopped for good")
		err = nodecall.Retry(ctx, term(7), time.Second, func() error { return last })
		if err != last {
			t.Errorf("an answer that came in time stands alone: %v", err)
		}
	})
}

// Whatever a node answers, and however its refusals are wrapped: the asking ends
// for good exactly at the first answer that names a promise above the term, and
// what comes out is proof only when every call of it was refused by such.
func TestTheAskingEndsAtThePromiseAboveAndOnlyThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		refusal := rapid.Custom(func(rt *rapid.T) error {
			var err error = stale(rapid.Uint64Range(5, 9).Draw(rt, "promised"))
			if rapid.Bool().Draw(rt, "wrapped") {
				err = fmt.Errorf("node: %w", err)
			}
			return err
		})
		answers := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) error {
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				return errLost
			case 1:
				return errors.Join(refusal.Draw(rt, "one"), refusal.Draw(rt, "other"))
			}
			return refusal.Draw(rt, "refusal")
		}), 0, 5).Draw(rt, "answers")
		want := len(answers) + 1
		for i, a := range answers {
			if by, ok := nodecall.Outrun(term(7), a); ok != term(7).Less(by) {
				rt.Fatalf("%v: %s, %v", a, by, ok)
			} else if ok {
				want = i + 1
				break
			}
		}
		calls := 0
		err := nodecall.Retry(context.Background(), term(7), time.Nanosecond, func() error {
			if calls++; calls > len(answers) {
				return nil
			}
			return answers[calls-1]
		})
		if calls != want || (err == nil) != (want > len(answers)) {
			rt.Fatalf("%d calls, want %d: %v", calls, want, err)
		}
		if want > 1 && leadership.NotExecuted(err) {
			rt.Fatalf("an answer before the last proved nothing, and all is denied: %v", err)
		}
	})
}

func TestPartialDeniesNothing(t *testing.T) {
	t.Parallel()
	err := error(nodecall.Partial{Err: stale(9)})
	if leadership.NotExecuted(err) || err.Error() != stale(9).Error() {
		t.Errorf("%v", err)
	}
	if by, ok := nodecall.Outrun(term(7), err); !ok || by != term(9) {
		t.Errorf("the part that refused is hidden: %s", by)
	}
}
