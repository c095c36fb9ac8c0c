package interleave_test

import (
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"github.com/tenure-go/tenure/internal/interleave"
)

// counter adds in two steps, as a program that forgot to be atomic does.
type counter struct {
	n    atomic.Int64
	step func(at string, what uint64)
}

func (c *counter) add() {
	c.step("load", 0)
	n := c.n.Load()
	c.step("store", uint64(n))
	c.n.Store(n + 1)
}

// ends returns every value that k additions at once can come to.
func ends(t *testing.T, k int) (ends map[int]bool, states int) {
	t.Helper()
	ends = map[int]bool{}
	states = interleave.Explore(t, func(r *interleave.Run) interleave.World {
		c := &counter{step: r.Step}
		for i := range k {
			r.Go(fmt.Sprint("adder", i), func(*interleave.Task) { c.add() })
		}
		return interleave.World{
			State: func() string { return fmt.Sprint(c.n.Load()) },
			End:   func() { ends[int(c.n.Load())] = true },
		}
	}, math.MaxInt)
	return ends, states
}

func TestEveryLostUpdateIsFound(t *testing.T) {
	t.Parallel()
	for k := 1; k <= 3; k++ {
		got, states := ends(t, k)
		for n := 1; n <= k; n++ {
			if !got[n] {
				t.Errorf("%d additions never came to %d: %v, in %d states", k, n, got, states)
			}
		}
		if len(got) != k {
			t.Errorf("%d additions came to %v", k, got)
		}
	}
}
