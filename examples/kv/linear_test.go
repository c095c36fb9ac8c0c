package kv_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/internal/register"
	"github.com/tenure-go/tenure/leadership"
)

// TestG2_ReadsAndWritesAreLinearizableAcrossChangesOfLeader runs clients that
// choose any member at random, while leaders are changed: with a step-down,
// without the old leader, with an old leader that was not told, and by old leaders
// that hand over themselves.
func TestG2_ReadsAndWritesAreLinearizableAcrossChangesOfLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, leadership.Majority())
	all := ids(3)
	c.lead("n1", all...)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begin := time.Now()
	now := func() int64 { return int64(time.Since(begin)) }
	var mu sync.Mutex
	var history []porcupine.Operation
	var done atomic.Int64
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(client)))
			for i := 0; ctx.Err() == nil; i++ {
				in := register.Access{Key: "k" + strconv.Itoa(rnd.IntN(3)), Write: rnd.IntN(2) == 0, Value: strconv.Itoa(client) + "-" + strconv.Itoa(i)}
				cl := c.client(all[rnd.IntN(3)])
				try, stop := context.WithTimeout(context.Background(), time.Second)
				op := porcupine.Operation{ClientId: client, Input: in, Call: now()}
				var v []byte
				var err error
				if in.Write {
					_, err = cl.Put(try, in.Key, []byte(in.Value))
				} else {
					v, _, err = cl.Get(try, in.Key)
				}
				stop()
				op.Output, op.Return = string(v), now()
				switch {
				case err == nil:
					done.Add(1)
				case leadership.NotExecuted(err) || !in.Write:
					continue // proven, or without effect
				case errors.Is(err, leadership.ErrUnknownOutcome):
					// It may take effect at any time from now on, so the
					// client that sent it is another one from here.
					op.ClientId, op.Return = 1000+client*100000+i, 1<<62
				default:
					t.Errorf("an outcome of no kind: %v", err)
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	for change := range 12 {
		before := done.Load()
		require.Eventually(t, func() bool { return done.Load() > before+150 }, 10*time.Second, time.Millisecond)
		from, to, third := all[change%3], all[(change+1)%3], all[(change+2)%3]
		switch change % 4 {
		case 0:
			_, err := c.heard[from].Drain(deadline(t), term(c.term.Num+1), time.Second)
			require.NoError(t, err)
			c.lead(to, all...)
		case 1:
			c.lead(to, to, third) // the old leader was not reached
		case 2:
			_, err := c.heard[from].StepDown(deadline(t), term(c.term.Num+1))
			require.NoError(t, err)
			c.lead(to, from, to)
		case 3:
			c.handOver(from, to)
		}
	}
	cancel()
	wg.Wait()
	res := porcupine.CheckOperationsTimeout(register.Model(), history, 30*time.Second)
	require.Equal(t, porcupine.Ok, res)
	t.Logf("%d operations, %d answered", len(history), done.Load())
}
