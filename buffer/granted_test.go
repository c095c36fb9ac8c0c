package buffer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// installed is a record in which n2's marker of term 2 is durable and active, and
// nobody was sent there yet: n2 may or may not have been granted.
func installed(version uint64) leadership.Record {
	r := intent(version, lead("n1", 1), 2, leadership.Holding, time.Minute)
	r.Active = lead("n2", 2)
	return r
}

func TestLeaderThatIsRoutedAfterItRefusedAProbeGetsTheQueueAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		names := w.startMany("r", 20)
		w.crown(lead("n2", 2))
		w.refuse(2) // its grant is on its way
		w.lane.Observe(installed(3))
		require.NotEmpty(t, w.tried(), "a probe was sent: the grant may have come")
		require.Empty(t, w.started())
		began := time.Now()
		w.refuse(0)
		w.lane.Observe(routed(4, lead("n2", 2)))
		w.done()
		require.Zero(t, time.Since(began), "nobody waits for the pace of probes: routed means granted")
		require.Equal(t, names, w.started())
	})
}

func TestRefusalOfAProbeThatComesAfterItsLeaderWasRoutedHoldsNobodyUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		late := make(chan error)
		w.wg.Add(1)
		go func() {
			defer w.wg.Done()
			tries := 0
			require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if to != lead("n2", 2) {
					return &leadership.Refusal{Term: term(1), Until: term(2)}
				}
				if tries++; tries == 1 {
					return <-late
				}
				return nil
			}))
		}()
		synctest.Wait()
		names := w.startMany("r", 20)
		w.crown(lead("n2", 2))
		w.lane.Observe(installed(3)) // the first request is the probe, and hangs
		synctest.Wait()
		began := time.Now()
		w.lane.Observe(routed(4, lead("n2", 2)))
		require.Equal(t, names, w.started())
		late <- &leadership.Refusal{Until: term(2)}
		w.done()
		require.Zero(t, time.Since(began))
	})
}
