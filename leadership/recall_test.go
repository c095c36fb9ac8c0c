package leadership_test

import (
	"context"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// recalling remembers what it was last told to.
type recalling struct {
	MemoryRegistry
	known Record
	loads int
}

func (r *recalling) Recall() (Record, bool) { return r.known, r.known.Version != 0 }

func (r *recalling) Load(ctx context.Context) (Record, error) {
	r.loads++
	return r.MemoryRegistry.Load(ctx)
}

func TestG9_UpdateBelievesWhatIsRecalledAsFarAsASwapProvesIt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rs := ruleset(t, 1, Majority(), ids(3)...)
	begin := func(n uint64) func(Record) (Record, error) {
		return func(r Record) (Record, error) { return r.Begin(Intent{Term: term(n, "c"), By: "c"}, true) }
	}
	reg := &recalling{}
	first, err := reg.Swap(ctx, 0, must(Record{}.Create("c", Full, rs)))
	if err != nil {
		t.Fatal(err)
	}
	update := func(known Record, loads int, step func(Record) (Record, error)) (Record, error) {
		t.Helper()
		reg.known, reg.loads = known, 0
		out, err := Update(ctx, reg, step)
		if reg.loads != loads {
			t.Errorf("the record was loaded %d times, want %d", reg.loads, loads)
		}
		newest, e := reg.MemoryRegistry.Load(ctx)
		if e != nil || err == nil && !out.Equal(newest) {
			t.Errorf("Update = %+v, the record is %+v: %v", out, newest, e)
		}
		return newest, err
	}
	second, err := update(first, 0, begin(1))
	if err != nil || second.Fence != term(1, "c") {
		t.Fatalf("%+v, %v", second, err)
	}
	// What is recalled is of the past: the swap tells.
	third, err := update(first, 1, begin(2))
	if err != nil || third.Fence != term(2, "c") || third.Version <= second.Version {
		t.Fatalf("%+v, %v", third, err)
	}
	// A step that the past refuses is not refused.
	fourth, err := update(second, 1, func(r Record) (Record, error) {
		if r.Fence != third.Fence {
			return r, &SupersededError{Term: term(9, "c"), By: term(10, "c")}
		}
		return r.Advance(third.Fence)
	})
	if err != nil || fourth.Intent.Phase != Holding {
		t.Fatalf("%+v, %v", fourth, err)
	}
	// What was done in the past need not be done still.
	fifth, err := update(fourth, 0, func(r Record) (Record, error) { return r.Abandon(r.Intent.Term), nil })
	if err != nil || fifth.Intent.Phase != Cleared {
		t.Fatalf("%+v, %v", fifth, err)
	}
	if _, err = update(fourth, 1, func(r Record) (Record, error) { return r.Advance(third.Fence) }); err == nil {
		t.Error("a hold that was abandoned was taken for one that stands")
	}
	// Nothing is recalled.
	if _, err = update(Record{}, 1, begin(3)); err != nil {
		t.Error(err)
	}
}
