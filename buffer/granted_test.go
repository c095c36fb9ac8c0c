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

func TestProbeOfALeaderThatIsNotRoutedYetGoesToWhereItWasAnnounced(t *testing.T) {
	for _, c := range []struct {
		name   string
		intent leadership.Intent
		want   string
	}{
		{"announced", leadership.Intent{Term: term(2), To: "n2", Addr: "n2:1"}, "n2:1"},
		{"announced without an address", leadership.Intent{Term: term(2), To: "n2"}, ""},
		{"another was announced", leadership.Intent{Term: term(2), To: "n3", Addr: "n3:1"}, ""},
		{"a newer change announced it", leadership.Intent{Term: term(3), To: "n2", Addr: "elsewhere:1"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, err := buffer.New(buffer.Config{})
				require.NoError(t, err)
				defer b.Close()
				lane := b.Lane("db")
				lane.Observe(routed(1, lead("n1", 1)))
				r := installed(2)
				c.intent.Phase, c.intent.HoldFor = leadership.Holding, 10*time.Millisecond
				r.Fence, r.Intent = c.intent.Term, c.intent
				lane.Observe(r)
				require.NoError(t, lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, addr string) error {
					require.Equal(t, lead("n2", 2), to)
					require.Equal(t, c.want, addr)
					return nil
				}))
			})
		})
	}
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
