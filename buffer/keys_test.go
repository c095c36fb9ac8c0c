package buffer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// ofKey is what started of one key, in order.
func ofKey(names []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, key) })
}

func TestRequestsOfAKeyRunOneAtATimeInOrderAndHinderNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 8, Max: 8}})
		w.refuse(2)
		w.service = time.Second
		want := map[string][]string{}
		for i := range 5 {
			for _, key := range []string{"a", "b", ""} {
				name := fmt.Sprintf("%s%d", key, i)
				want[key] = append(want[key], name)
				// Higher ones come later: a priority does not reorder a key.
				w.start(bg, name, buffer.Request{Key: key, Priority: buffer.Priority(i % 4)})
			}
		}
		w.recover()
		synctest.Wait()
		// One of each key, and all that have none.
		require.ElementsMatch(t, append([]string{"a0", "b0"}, want[""]...), w.started())
		require.Equal(t, 8, w.lane.Snapshot().Held)
		for i := 1; i < 5; i++ {
			time.Sleep(time.Second)
			synctest.Wait()
			require.Equal(t, want["a"][:i+1], ofKey(w.started(), "a"))
			require.Equal(t, want["b"][:i+1], ofKey(w.started(), "b"))
		}
		w.done()
	})
}

func TestKeyWhoseHeadIsServedDoesNotBlockOthersAtOneSlot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 2, Max: 2}, MaxAge: time.Minute})
		w.refuse(2)
		block := make(chan struct{})
		w.wg.Go(func() {
			err := w.lane.Do(bg, buffer.Request{Key: "a"}, func(ctx context.Context, to leadership.Leadership, addr string) error {
				if err := w.handle("a0")(ctx, to, addr); err != nil {
					return err
				}
				<-block
				return nil
			})
			require.NoError(t, err)
		})
		synctest.Wait()
		for i := 1; i < 4; i++ {
			w.start(bg, fmt.Sprintf("a%d", i), buffer.Request{Key: "a"})
		}
		for i := range 20 {
			w.start(bg, fmt.Sprintf("b%d", i), buffer.Request{Key: "b"})
		}
		w.recover()
		synctest.Wait()
		require.Len(t, ofKey(w.started(), "b"), 20)
		require.Equal(t, []string{"a0"}, ofKey(w.started(), "a"))
		require.Equal(t, 3, w.lane.Snapshot().Held)
		require.True(t, w.lane.Snapshot().Flushing)
		close(block)
		w.done()
		require.Equal(t, []string{"a0", "a1", "a2", "a3"}, ofKey(w.started(), "a"))
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestPutBackKeepsTheOrderOfItsKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 4, Max: 4}, MaxAge: time.Minute, MaxOutage: time.Minute})
		w.refuse(2)
		for i := range 4 {
			w.start(bg, fmt.Sprintf("a%d", i), buffer.Request{Key: "a"})
			w.start(bg, fmt.Sprintf("b%d", i), buffer.Request{Key: "b"})
		}
		w.service = time.Second
		w.recover()
		synctest.Wait()
		require.ElementsMatch(t, []string{"a0", "b0"}, w.started())
		w.refuse(3) // a0 and b0 are under way, the next two are refused
		time.Sleep(time.Second)
		require.ElementsMatch(t, []string{"a0", "b0"}, w.started())
		require.Equal(t, 6, w.lane.Snapshot().Held)
		w.crown(lead("n1", 3))
		w.lane.Observe(routed(3, lead("n1", 3)))
		w.done()
		for _, key := range []string{"a", "b"} {
			require.Equal(t, []string{key + "0", key + "1", key + "2", key + "3"}, ofKey(w.started(), key))
		}
	})
}

// A request that is under way at an old leader may come back and be put back,
// so that the next of its key waits for it, whatever leader comes.
func TestKeyWaitsForWhatIsUnderWayAtAnOlderLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Minute, MaxOutage: time.Minute})
		w.refuse(2)
		hang := make(chan error)
		w.wg.Go(func() {
			n := 0
			require.NoError(t, w.lane.Do(bg, buffer.Request{Key: "a"}, func(ctx context.Context, to leadership.Leadership, addr string) error {
				if n++; n == 2 {
					return <-hang
				}
				return w.handle("a0")(ctx, to, addr)
			}))
		})
		synctest.Wait()
		w.start(bg, "a1", buffer.Request{Key: "a"})
		w.lane.Observe(routed(2, lead("n2", 2))) // a0 hangs there
		synctest.Wait()
		w.crown(lead("n3", 3))
		w.lane.Observe(routed(3, lead("n3", 3)))
		synctest.Wait()
		require.Empty(t, w.started())
		hang <- &leadership.Refusal{Term: term(2), Until: term(3)}
		w.done()
		require.Equal(t, []string{"a0", "a1"}, w.started())
	})
}

func TestKeysThatEndInAnyWayLetTheNextGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: 10 * time.Second, MaxOutage: time.Minute, Flush: oneByOne})
		w.refuse(2)
		ctx, cancel := context.WithCancel(bg)
		w.start(bg, "a0 expires", buffer.Request{Key: "a"})
		time.Sleep(time.Second)
		w.start(ctx, "a1 is cancelled", buffer.Request{Key: "a"})
		w.start(ctx, "a2 is cancelled", buffer.Request{Key: "a"})
		w.start(bg, "a3", buffer.Request{Key: "a"})
		w.start(bg, "a4", buffer.Request{Key: "a"})
		cancel()
		synctest.Wait()
		require.Equal(t, 3, w.lane.Snapshot().Held)
		time.Sleep(9*time.Second + time.Millisecond)
		var age *buffer.AgeError
		require.ErrorAs(t, w.err("a0 expires"), &age)
		require.ErrorIs(t, w.err("a1 is cancelled"), context.Canceled)
		require.ErrorIs(t, w.err("a2 is cancelled"), context.Canceled)
		w.recover()
		w.done()
		require.Equal(t, []string{"a3", "a4"}, w.started())
	})
}

// The age of those behind a key that is being served is enforced too.
func TestRequestsBehindAKeyThatIsServedExpire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second})
		w.refuse(2)
		w.service = time.Minute
		start := time.Now()
		for i := range 3 {
			w.start(bg, fmt.Sprintf("a%d", i), buffer.Request{Key: "a"})
		}
		w.recover()
		w.wg.Wait()
		for _, name := range []string{"a1", "a2"} {
			var age *buffer.AgeError
			require.ErrorAs(t, w.errs[name], &age)
			require.Equal(t, time.Second, w.ended[name].Sub(start))
		}
	})
}
