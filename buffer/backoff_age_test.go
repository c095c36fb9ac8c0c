package buffer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestABackOffEndsAtTheCapOfAnAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := buffer.New(buffer.Config{MaxAge: 900 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		lane := b.Lane("k")
		lane.Learn(leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "a"}}, "n1")
		began := time.Now()
		err = lane.Do(context.Background(), buffer.Request{}, func(context.Context, leadership.Leadership, string) error {
			return buffer.NotSent(errors.New("refused"))
		})
		var age *buffer.AgeError
		if got := time.Since(began); !errors.As(err, &age) || got != 900*time.Millisecond {
			t.Errorf("after %v: %v", got, err)
		}
	})
}

// A request that comes back from a back-off, to wait with one that came later, is the
// first of the two to grow too old.
func TestMaxAgeIsKeptOfARequestThatComesBackBehindALaterOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: 900 * time.Millisecond})
		w.lane.Learn(lead("n1", 1), "n1")
		began := time.Now()
		var first, second time.Duration
		var firstErr, secondErr error
		w.wg.Go(func() {
			firstErr = w.lane.Do(bg, buffer.Request{Unit: true}, func(context.Context, leadership.Leadership, string) error {
				return buffer.NotSent(errors.New("refused"))
			})
			first = time.Since(began)
		})
		synctest.Wait()
		time.Sleep(3 * time.Millisecond)
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		w.wg.Go(func() {
			secondErr = w.lane.Do(bg, buffer.Request{Unit: true}, w.handle("second"))
			second = time.Since(began)
		})
		w.wg.Wait()
		var age *buffer.AgeError
		require.ErrorAs(t, firstErr, &age)
		require.ErrorAs(t, secondErr, &age)
		require.Equal(t, 900*time.Millisecond, first)
		require.Equal(t, 903*time.Millisecond, second)
	})
}
