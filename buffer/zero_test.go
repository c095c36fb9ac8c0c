package buffer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func nothing(context.Context, leadership.Leadership, string) error { return nil }

// A zero value does what it says or says so with a typed error.
func TestZeroValuesAndNilArgumentsAreUsableOrRefused(t *testing.T) {
	t.Parallel()
	var none context.Context
	made := func(t *testing.T, c buffer.Config) (*buffer.Buffer, *buffer.Lane) {
		b, err := buffer.New(c)
		require.NoError(t, err)
		l := b.Lane("k")
		l.Observe(routed(1, lead("n1", 1)))
		return b, l
	}
	refused := func(t *testing.T, err error) {
		var r *buffer.RequestError
		require.ErrorAs(t, err, &r)
		require.True(t, leadership.NotExecuted(err))
		require.NotEmpty(t, err.Error())
	}
	config := func(t *testing.T, err error) {
		var c *buffer.ConfigError
		require.ErrorAs(t, err, &c)
		require.NotEmpty(t, err.Error())
	}
	turn := func(t *testing.T, err error) {
		var c *buffer.TurnError
		require.ErrorAs(t, err, &c)
		require.NotEmpty(t, err.Error())
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Buffer is one of the zero Config", func(t *testing.T) {
			b := new(buffer.Buffer)
			l := b.Lane("k")
			require.Same(t, l, b.Lane("k"))
			l.Observe(routed(1, lead("n1", 1)))
			require.NoError(t, l.Do(bg, buffer.Request{}, nothing))
			require.Equal(t, 1, b.Stats().Lanes)
			l.Observe(holding(2, lead("n1", 1), 2))
			ctx, cancel := context.WithTimeout(bg, time.Millisecond)
			defer cancel()
			err := l.Do(ctx, buffer.Request{Unit: true}, nothing)
			require.True(t, leadership.NotExecuted(err), "%v", err)
			b.Close()
			require.ErrorIs(t, l.Do(bg, buffer.Request{}, nothing), leadership.ErrClosed)
		}},
		{"Buffer that is closed first makes closed lanes", func(t *testing.T) {
			b := new(buffer.Buffer)
			require.Zero(t, b.Stats())
			b.Close()
			require.ErrorIs(t, b.Lane("k").Do(bg, buffer.Request{}, nothing), leadership.ErrClosed)
		}},
		{"Buffer without lanes follows and joins nothing", func(t *testing.T) {
			b := new(buffer.Buffer)
			config(t, b.Follow(bg, nil))
			config(t, b.Follow(bg, nil, new(buffer.Lane)))
			config(t, b.Join(bg, nil, nil, buffer.Router{}))
		}},
		{"Lane refuses", func(t *testing.T) {
			l := new(buffer.Lane)
			refused(t, l.Do(bg, buffer.Request{}, nothing))
			refused(t, l.Do(bg, buffer.Request{Bytes: -1}, nil))
			turn, err := l.Enter(bg, buffer.Request{})
			refused(t, err)
			turn.Done(nil)
		}},
		{"Lane knows nothing", func(t *testing.T) {
			l := new(buffer.Lane)
			l.Observe(routed(1, lead("n1", 1)))
			l.Learn(lead("n1", 1), "a:1")
			to, ok := l.Pass()
			require.False(t, ok)
			require.Zero(t, to.To())
			require.Empty(t, to.Addr())
			require.False(t, l.Ready())
			e, ok := l.TryEnter()
			require.False(t, ok)
			e.Leave()
			who, addr := l.Leader()
			require.Zero(t, who)
			require.Empty(t, addr+l.Key())
			require.Zero(t, l.Announced())
			require.Equal(t, buffer.Snapshot{State: buffer.Closed}, l.Snapshot())
			config(t, l.Quiesced(bg, term(1)))
			select {
			case <-l.Changed():
				t.Error("it does not change")
			default:
			}
		}},
		{"Turn is nobody's", func(t *testing.T) {
			var tu buffer.Turn
			tu.Answered()
			tu.Done(nil)
			require.False(t, tu.Current())
			require.Zero(t, tu.To())
			require.Empty(t, tu.Addr())
			turn(t, tu.Retry(bg, errors.New("x")))
			turn(t, tu.Retry(none, nil))
			tu.Done(errors.New("x"))
		}},
		{"Entry and Route are nobody's", func(t *testing.T) {
			var e buffer.Entry
			e.Leave()
			require.Zero(t, e.To())
			require.Zero(t, buffer.Route{}.To())
			require.Empty(t, buffer.Route{}.Addr())
		}},
		{"nil context", func(t *testing.T) {
			for _, cfg := range []buffer.Config{{}, {Counted: true}, {DryRun: true}} {
				b, l := made(t, cfg)
				refused(t, l.Do(none, buffer.Request{}, nothing))
				l.Observe(holding(2, lead("n1", 1), 2))
				_, err := l.Enter(none, buffer.Request{Unit: true})
				refused(t, err)
				config(t, l.Quiesced(none, term(2)))
				config(t, b.Follow(none, nil, l))
				config(t, b.Join(none, nil, nil, buffer.Router{}, l))
				require.Zero(t, l.Snapshot().Held)
				b.Close()
			}
		}},
		{"nil context of a Retry ends the turn", func(t *testing.T) {
			_, l := made(t, buffer.Config{Counted: true})
			tu, err := l.Enter(bg, buffer.Request{})
			require.NoError(t, err)
			turn(t, tu.Retry(none, buffer.NotSent(errors.New("x"))))
			turn(t, tu.Retry(bg, errors.New("x")))
			l.Observe(holding(2, lead("n1", 1), 2))
			require.NoError(t, l.Quiesced(bg, term(2)), "nobody is counted any more")
		}},
		{"nil function", func(t *testing.T) {
			_, l := made(t, buffer.Config{})
			refused(t, l.Do(bg, buffer.Request{}, nil))
		}},
		{"errors", func(t *testing.T) {
			for _, err := range []error{
				new(buffer.AgeError), new(buffer.CanceledError), new(buffer.ClosedError), new(buffer.ConfigError),
				new(buffer.NotHoldingError), new(buffer.OutageError), new(buffer.OverflowError), new(buffer.RequestError), new(buffer.TurnError),
			} {
				require.NotEmpty(t, err.Error())
				require.NotErrorIs(t, err, leadership.ErrUnknownOutcome)
			}
			require.NoError(t, buffer.NotSent(nil))
			_ = buffer.Classify(nil).String()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
