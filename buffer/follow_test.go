package buffer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// registry serves the records it is given, and can be cut off.
type registry struct {
	mu      sync.Mutex
	rec     leadership.Record
	down    error
	calls   int
	changed chan struct{}
}

func newRegistry(rec leadership.Record) *registry {
	return &registry{rec: rec, changed: make(chan struct{})}
}

func (r *registry) put(rec leadership.Record, down error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec, r.down = rec, down
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *registry) Load(context.Context) (leadership.Record, error) {
	return leadership.Record{}, errors.New("routers only wait")
}

func (r *registry) Swap(context.Context, uint64, leadership.Record) (leadership.Record, error) {
	return leadership.Record{}, errors.New("routers only wait")
}

func (r *registry) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	for {
		r.mu.Lock()
		rec, down, changed := r.rec, r.down, r.changed
		r.mu.Unlock()
		switch {
		case down != nil:
			return leadership.Record{}, down
		case rec.Version > after:
			return rec, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return leadership.Record{}, context.Cause(ctx)
		}
	}
}

// follow runs Follow until the returned function is called.
func (w *world) follow(reg leadership.Registry) (stop func()) {
	ctx, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.b.Follow(ctx, reg, w.lane); !errors.Is(err, context.Canceled) {
			w.t.Errorf("Follow returned %v", err)
		}
	})
	synctest.Wait()
	return func() {
		cancel()
		wg.Wait()
	}
}

var errDown = errors.New("registry is down")

func TestFollowTakesInEveryChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		reg := newRegistry(routed(1, lead("n1", 1)))
		defer w.follow(reg)()
		reg.put(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute), nil)
		synctest.Wait()
		require.Equal(t, buffer.HoldUnits, w.lane.Snapshot().State)
		w.crown(lead("n2", 2))
		w.start(bg, "u", buffer.Request{Unit: true})
		reg.put(routed(3, lead("n2", 2)), nil)
		w.done()
		time.Sleep(59 * time.Second) // asked again now and then, with nothing new
		synctest.Wait()
		require.EqualValues(t, 4+5, reg.calls, "at first, after each of three records, and each 10 s")
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestRegistryDownWhileServingChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var heard []error
		w := newWorld(t, buffer.Config{Hooks: buffer.Hooks{Registry: func(err error) { heard = append(heard, err) }}})
		reg := newRegistry(routed(1, lead("n1", 1)))
		reg.down = errDown
		defer w.follow(reg)()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Less(t, reg.calls, 70, "asked with back-off")
		_, ok := w.lane.Pass()
		require.True(t, ok)
		w.startMany("r", 3)
		w.done()
		reg.put(routed(2, lead("n2", 2)), nil)
		time.Sleep(time.Second)
		r, _ := w.lane.Pass()
		to := r.To()
		require.Equal(t, lead("n2", 2), to)
		require.Equal(t, []error{errDown, nil}, heard)
	})
}

func TestRegistryDownWhileHoldingTheHintOfARefusalFindsTheLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		reg := newRegistry(routed(1, lead("n1", 1)))
		stop := w.follow(reg)
		defer stop()
		reg.put(routed(1, lead("n1", 1)), errDown)
		w.set(func() {
			w.refusal = &leadership.Refusal{Term: term(1), Until: term(2), Leader: "n2"}
		})
		start := time.Now()
		w.startMany("r", 5)
		time.Sleep(205 * time.Millisecond) // between two probes
		require.Equal(t, 5, w.lane.Snapshot().Held)
		w.crown(lead("n2", 2))
		w.done()
		require.Less(t, time.Since(start), 300*time.Millisecond)
		r, ok := w.lane.Pass()
		to := r.To()
		require.True(t, ok)
		require.Equal(t, lead("n2", 2), to, "learned by being answered")
	})
}

func TestRegistryDownWhileHoldingAWrongHintDoesNotHideTheLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.set(func() {
			w.refusal = &leadership.Refusal{Term: term(1), Until: term(2), Leader: "n2"}
		})
		w.startMany("r", 5)
		time.Sleep(200 * time.Millisecond)
		w.refuse(0) // the change was given up, n1's drain expired
		w.done()
		r, ok := w.lane.Pass()
		to := r.To()
		require.True(t, ok)
		require.Equal(t, lead("n1", 1), to)
	})
}

func TestRegistryDownWhileHoldingAResponseElsewhereFreesTheLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.refuse(2)
		w.startMany("r", 5)
		w.crown(lead("n2", 2))
		w.lane.Learn(lead("n2", 2), "n2:1")
		w.done()
		// The registry comes back with what it knew before.
		w.lane.Observe(intent(7, lead("n1", 1), 2, leadership.Holding, time.Minute))
		r, ok := w.lane.Pass()
		to := r.To()
		require.True(t, ok, "the announced term leads already")
		require.Equal(t, lead("n2", 2), to)
		w.lane.Learn(lead("n1", 1), "n1:1")
		r, _ = w.lane.Pass()
		to = r.To()
		require.Equal(t, lead("n2", 2), to, "the highest term wins")
	})
}

func TestG5_CoordinatorDeadAfterBeginHoldsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		defer w.follow(newRegistry(intent(2, lead("n1", 1), 2, leadership.Preparing, time.Second)))()
		w.start(bg, "u", buffer.Request{Unit: true})
		time.Sleep(time.Hour)
		w.start(bg, "v", buffer.Request{Unit: true})
		w.done()
		require.EqualValues(t, 0, w.lane.Snapshot().Counters.Held)
	})
}

func TestG5_CoordinatorDeadAfterHoldingCostsHoldForAtMost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		start := time.Now()
		defer w.follow(newRegistry(intent(2, lead("n1", 1), 2, leadership.Holding, time.Second)))()
		for range 3 {
			w.start(bg, "u"+time.Since(start).String(), buffer.Request{Unit: true})
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, 3, w.lane.Snapshot().Held)
		w.done()
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State, "the record still says holding, a probe says otherwise")
		w.start(bg, "x", buffer.Request{Unit: true})
		w.done()
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestG5_CoordinatorDeadAfterTheDrainCostsTheDrainAtMost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		start := time.Now()
		defer w.follow(newRegistry(intent(2, lead("n1", 1), 2, leadership.Holding, time.Second)))()
		w.refuse(2)
		names := w.startMany("r", 10)
		time.Sleep(3*time.Second + 5*time.Millisecond) // between two probes
		require.Equal(t, 10, w.lane.Snapshot().Held)
		w.refuse(0) // the drain expires at the node
		w.done()
		require.Less(t, time.Since(start), 3*time.Second+35*time.Millisecond)
		require.ElementsMatch(t, names, w.started())
	})
}

func TestG8_FollowEndsWithItsContextWhateverTheRegistryDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		for _, down := range []error{nil, errDown} {
			reg := newRegistry(routed(1, lead("n1", 1)))
			reg.down = down
			stop := w.follow(reg)
			time.Sleep(333 * time.Millisecond)
			at := time.Now()
			stop()
			require.Zero(t, time.Since(at))
		}
		var reg leadership.MemoryRegistry
		require.NoError(t, reg.Close())
		require.ErrorIs(t, w.b.Follow(bg, &reg, w.lane), leadership.ErrClosed)
	})
}
