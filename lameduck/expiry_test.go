package lameduck_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// A drain that was broken off and held would have ended by its expiry. The one
// that takes it over has a time of its own.
func TestADrainIsNotEndedByTheExpiryOfAnOlderOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		tok := enter(t, g, lameduck.Single)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := g.Drain(undeclared{ctx}, lameduck.Plan{All: time.Minute, Hold: true, Expire: 5 * time.Second})
		var off *lameduck.BrokenOffError
		require.ErrorAs(t, err, &off)
		require.True(t, off.Held)

		ended := make(chan error, 1)
		go func() {
			_, err := g.Drain(context.Background(), lameduck.Plan{All: time.Minute})
			ended <- err
		}()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, lameduck.DrainAll, g.State().Phase)
		_, err = g.Enter(lameduck.Single)
		require.Error(t, err)
		tok.Exit()
		require.NoError(t, <-ended)
		time.Sleep(time.Hour)
		require.Equal(t, lameduck.Drained, g.State().Phase)
	})
}

// undeclared hides its deadline, which a plan would have to fit in.
type undeclared struct{ context.Context }

func (undeclared) Deadline() (time.Time, bool) { return time.Time{}, false }
