package buffer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
)

// oneByOne flushes in an order that can be seen.
var oneByOne = buffer.Flush{Start: 1, Max: 1}

// recover makes n2 the leader at term 2 and tells the lane.
func (w *world) recover() {
	w.crown(lead("n2", 2))
	w.lane.Observe(routed(2, lead("n2", 2)))
}

func TestHigherPrioritiesGoFirstAndEachInTheOrderOfArrival(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: oneByOne})
		w.refuse(2)
		for i, p := range []buffer.Priority{0, -3, 3, 1, 0, 3, -1, 1, -3, 0} {
			w.start(bg, fmt.Sprintf("%d at %d", p, i), buffer.Request{Priority: p})
		}
		w.recover()
		w.done()
		require.Equal(t, []string{"3 at 2", "3 at 5", "1 at 3", "1 at 7", "0 at 0", "0 at 4", "0 at 9", "-1 at 6", "-3 at 1", "-3 at 8"}, w.started())
	})
}

func TestOnePriorityIsWorthAgeingOfWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: oneByOne, Ageing: 100 * time.Millisecond})
		w.refuse(2)
		w.start(bg, "ordinary", buffer.Request{})
		time.Sleep(99 * time.Millisecond)
		w.start(bg, "higher in time", buffer.Request{Priority: 1})
		time.Sleep(time.Millisecond)
		w.start(bg, "higher too late", buffer.Request{Priority: 1})
		time.Sleep(200 * time.Millisecond)
		w.start(bg, "highest too late", buffer.Request{Priority: 3})
		w.start(bg, "lowest", buffer.Request{Priority: -3})
		time.Sleep(time.Second)
		w.start(bg, "highest too late for the lowest", buffer.Request{Priority: 3})
		w.recover()
		w.done()
		require.Equal(t, []string{"higher in time", "ordinary", "higher too late", "highest too late", "lowest", "highest too late for the lowest"}, w.started())
	})
}

func TestLowestPriorityIsNotStarvedByAStreamOfTheHighest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: oneByOne, Ageing: 50 * time.Millisecond, MaxAge: 10 * time.Second})
		w.refuse(2)
		w.service = 10 * time.Millisecond
		w.startMany("first", 2)
		start := time.Now()
		w.start(bg, "lowest", buffer.Request{Priority: buffer.MinPriority})
		w.recover()
		for i := range 100 { // two more than one flush can take
			w.start(bg, fmt.Sprint(i), buffer.Request{Priority: buffer.MaxPriority})
			if i%2 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		w.done()
		// Those that arrived up to 6 times Ageing after it, at two per 10ms.
		require.LessOrEqual(t, w.ended["lowest"].Sub(start), 620*time.Millisecond)
		require.Greater(t, w.ended["lowest"].Sub(start), 300*time.Millisecond)
		require.NotEqual(t, "lowest", w.started()[len(w.started())-1])
	})
}

func TestPutBackKeepsItsPlaceAmongPriorities(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 3, Max: 3}})
		w.refuse(2)
		var want []string
		for i := range 9 {
			name := fmt.Sprint(i)
			w.start(bg, name, buffer.Request{Priority: buffer.Priority(i % 3)})
		}
		for p := 2; p >= 0; p-- {
			for i := p; i < 9; i += 3 {
				want = append(want, fmt.Sprint(i))
			}
		}
		before := len(w.tried())
		w.lane.Observe(routed(2, lead("n3", 2))) // n3 refuses three of them
		synctest.Wait()
		require.ElementsMatch(t, want[:3], w.tried()[before:])
		require.Equal(t, 9, w.lane.Snapshot().Held)
		w.service = time.Millisecond // so that three are under way at a time
		w.crown(lead("n2", 3))
		w.lane.Observe(routed(3, lead("n2", 3)))
		w.done()
		for i := 0; i < 9; i += 3 {
			require.ElementsMatch(t, want[i:i+3], w.started()[i:i+3])
		}
	})
}
