package buffer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
