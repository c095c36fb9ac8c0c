package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// patience is how long a check waits for something that must happen. It is
// only ever used up by a registry that fails.
const patience = 20 * time.Second

// Registry checks a registry. open returns an empty one for each check and
// closes it by t.Cleanup if need be. A registry with a Close method is also
// checked for what happens after it.
func Registry(t *testing.T, open func(t *testing.T) leadership.Registry) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(t *testing.T, open func(t *testing.T) leadership.Registry)
	}{
		{"an empty registry loads the zero record", registryEmpty},
		{"a record comes back as it was stored", registryRoundTrip},
		{"a swap from another version conflicts and writes nothing", registryConflict},
		{"a record that no transitions can make is refused", registryInvalid},
		{"any sequence of swaps is a compare-and-swap", registryModel},
		{"Wait returns at once what is newer already", registryWaitLevel},
		{"Wait returns when a newer record comes", registryWaitEdge},
		{"Wait ends with its context", registryWaitCancel},
		{"a cancelled context stops every call", registryCancelled},
		{"concurrent increments lose nothing", registryIncrements},
		{"of concurrent swaps from one version one wins", registryRace},
		{"a closed registry says so", registryClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, open) })
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// create puts the first record into an empty registry.
func create(ctx context.Context, t *testing.T, reg leadership.Registry) leadership.Record {
	t.Helper()
	rs, err := leadership.NewRuleset(leadership.Majority(), Nodes(3)...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := leadership.Update(ctx, reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Create("kit", leadership.Full, rs)
	})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	if r.Version == 0 {
		t.Fatal("the record that was created has version 0")
	}
	return r
}

// begin announces the next term, which is how the checks count.
func begin(r leadership.Record, by string) (leadership.Record, error) {
	term, err := leadership.NextTerm(by, r.Fence)
	if err != nil {
		return r, err
	}
	return r.Begin(leadership.Intent{Term: term, By: by, Kind: leadership.KindPlanned, HoldFor: time.Second}, true)
}

func registryEmpty(t *testing.T, open func(t *testing.T) leadership.Registry) {
	r, err := open(t).Load(bounded(t))
	if err != nil || !r.Equal(leadership.Record{}) {
		t.Errorf("Load = %+v, %v", r, err)
	}
}

func registryRoundTrip(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	r := create(ctx, t, reg)
	next, err := begin(r, "kit")
	if err != nil {
		t.Fatal(err)
	}
	if next, err = next.Hold(leadership.Isolation{Node: "n1", Term: next.Fence, By: "kit"}); err != nil {
		t.Fatal(err)
	}
	if next, err = next.Bar(leadership.Bar{Node: "n2", Incarnation: "i", Term: next.Fence, Reason: "burnt \"down\"\n", By: "me"}); err != nil {
		t.Fatal(err)
	}
	out, err := reg.Swap(ctx, r.Version, next)
	if err != nil {
		t.Fatal(err)
	}
	if out.Version <= r.Version {
		t.Errorf("the version went from %d to %d: it must rise", r.Version, out.Version)
	}
	next.Version = out.Version
	if !out.Equal(next) {
		t.Errorf("Swap returned\n%+v\nfor\n%+v", out, next)
	}
	got, err := reg.Load(ctx)
	if err != nil || !got.Equal(next) {
		t.Errorf("Load = %+v, %v\nwant %+v", got, err, next)
	}
	// What was handed in and out belongs to the caller.
	next.Held[0].Node, got.Barred[0].Node, out.Ruleset.Members[0].ID = "x", "x", "x"
	if again, err := reg.Load(ctx); err != nil || again.Held[0].Node != "n1" || again.Barred[0].Node != "n2" || again.Ruleset.Members[0].ID != "n0" {
		t.Errorf("the stored record changed with a caller's copy: %+v, %v", again, err)
	}
}

func registryConflict(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	first := create(ctx, t, reg)
	next, err := begin(first, "kit")
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []uint64{0, first.Version + 1, first.Version - 1, ^uint64(0)} {
		if base == first.Version {
			continue
		}
		_, err := reg.Swap(ctx, base, next)
		var conflict *leadership.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("Swap from version %d of %d: %v, want a *ConflictError", base, first.Version, err)
		} else if conflict.Base != base || conflict.Current != first.Version {
			t.Errorf("the conflict says %+v, want base %d, current %d", *conflict, base, first.Version)
		}
		if !leadership.NotExecuted(err) {
			t.Errorf("a conflict must prove that nothing was written: %v", err)
		}
	}
	if got, err := reg.Load(ctx); err != nil || !got.Equal(first) {
		t.Errorf("after conflicts Load = %+v, %v, want %+v", got, err, first)
	}
}

func registryInvalid(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	first := create(ctx, t, reg)
	bad := first
	bad.Active = leadership.Leadership{Leader: "n0", Term: leadership.Term{Num: 9, Proposer: "x"}}
	if out, err := reg.Swap(ctx, first.Version, bad); err == nil {
		t.Errorf("a record that is active above its fence was stored as version %d", out.Version)
	}
	if got, err := reg.Load(ctx); err != nil || !got.Equal(first) {
		t.Errorf("after the refusal Load = %+v, %v", got, err)
	}
}

// registryModel runs random swaps from right and wrong versions against the
// simplest registry there is.
func registryModel(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	model := create(ctx, t, reg)
	rapid.Check(t, func(t *rapid.T) {
		back := rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(t, "versions back")
		next, err := begin(model, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := reg.Swap(ctx, model.Version-back, next)
		switch {
		case back == 0 && err != nil:
			t.Fatalf("Swap from the newest version: %v", err)
		case back != 0 && err == nil:
			t.Fatalf("Swap from an old version was taken as version %d", out.Version)
		case back == 0:
			if out.Version <= model.Version {
				t.Fatalf("version %d after %d", out.Version, model.Version)
			}
			next.Version = out.Version
			model = next
		}
		if got, err := reg.Load(ctx); err != nil || !got.Equal(model) {
			t.Fatalf("Load = %+v, %v\nwant %+v", got, err, model)
		}
	})
}

func registryCancelled(t *testing.T, open func(t *testing.T) leadership.Registry) {
	reg := open(t)
	first := create(bounded(t), t, reg)
	next, err := begin(first, "kit")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := reg.Load(ctx); err == nil {
		t.Error("Load ignores its context")
	}
	if _, err := reg.Swap(ctx, first.Version, next); err == nil {
		t.Error("Swap ignores its context")
	} else if got, lerr := reg.Load(bounded(t)); lerr != nil || !errors.Is(err, leadership.ErrUnknownOutcome) && !got.Equal(first) {
		t.Errorf("Swap said %v, which is not an unknown outcome, and yet the record is %+v (%v)", err, got, lerr)
	}
}

func registryIncrements(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	create(ctx, t, reg)
	const writers, each = 4, 15
	errs := make(chan error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				for {
					cur, err := reg.Load(ctx)
					if err != nil {
						errs <- err
						return
					}
					next, err := begin(cur, fmt.Sprintf("w%d", i))
					if err != nil {
						errs <- err
						return
					}
					_, err = reg.Swap(ctx, cur.Version, next)
					var conflict *leadership.ConflictError
					if errors.As(err, &conflict) {
						continue
					}
					if err != nil {
						errs <- err
						return
					}
					break
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if got, err := reg.Load(ctx); err != nil || got.Fence.Num != writers*each {
		t.Errorf("%d increments by %d writers made %d (%v): a write was lost", writers*each, writers, got.Fence.Num, err)
	}
}

func registryRace(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	cur := create(ctx, t, reg)
	const writers = 8
	for range 5 {
		won := make(chan leadership.Record, writers)
		var wg sync.WaitGroup
		for i := range writers {
			next, err := begin(cur, fmt.Sprintf("w%d", i))
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if out, err := reg.Swap(ctx, cur.Version, next); err == nil {
					won <- out
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of %d swaps from version %d won", len(won), writers, cur.Version)
		}
		winner := <-won
		got, err := reg.Load(ctx)
		if err != nil || !got.Equal(winner) {
			t.Fatalf("Load = %+v, %v, but %+v won", got, err, winner)
		}
		cur = got
	}
}

func registryClosed(t *testing.T, open func(t *testing.T) leadership.Registry) {
	ctx, reg := bounded(t), open(t)
	c, ok := reg.(io.Closer)
	if !ok {
		t.Skip("the registry has no Close")
	}
	first := create(ctx, t, reg)
	done := make(chan error, 1)
	go func() {
		_, err := reg.Wait(ctx, first.Version)
		done <- err
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, leadership.ErrClosed) {
		t.Errorf("a Wait under way: %v", err)
	}
	if _, err := reg.Load(ctx); !errors.Is(err, leadership.ErrClosed) {
		t.Errorf("Load: %v", err)
	}
	if _, err := reg.Swap(ctx, first.Version, first); !errors.Is(err, leadership.ErrClosed) {
		t.Errorf("Swap: %v", err)
	}
	if _, err := reg.Wait(ctx, 0); !errors.Is(err, leadership.ErrClosed) {
		t.Errorf("Wait: %v", err)
	}
}
