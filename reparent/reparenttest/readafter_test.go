package reparenttest

import (
	"context"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// A position that is read before the promise stands may lack what is
// acknowledged in between.
func TestG2_APositionIsReadWhenThePromiseStands(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	acc, err := acceptor.Open(ctx, givenState{Node: "n1", Incarnation: "disk-1"}, "n1", "disk-1", acceptor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, promise := range []func(context.Context, leadership.Term, acceptor.ReadFunc) (leadership.Testimony, error){acc.Recruit, acc.StepDown} {
		term, reads := high(uint64(2+i)), 0
		_, err := promise(ctx, term, func(context.Context) (acceptor.Reading, error) {
			reads++
			if got := acc.Status(); got.Promised != term || got.Changing {
				t.Errorf("the position is read while %s is promised, %s was asked for", got.Promised, term)
			}
			return acceptor.Reading{}, nil
		})
		if err != nil || reads == 0 {
			t.Errorf("%s: %d reads, %v", term, reads, err)
		}
	}
}
