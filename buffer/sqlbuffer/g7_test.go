package sqlbuffer_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// drain makes the leader of now refuse new work, and waits until it has none,
// for as long as limit; what is left then is killed.
func (w *world) drain(next uint64, limit time.Duration) {
	n := w.server(w.now)
	n.set(func() {
		n.leads = false
		if n.refusal != nil {
			n.refusal = &leadership.Refusal{Term: w.now.Term, Until: term(next)}
		}
	})
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		busy := 0
		n.set(func() { busy = n.working })
		if busy == 0 {
			return
		}
	}
	n.kill()
}

// load starts requests at random times, of every way into a DB; the function
// it returns waits for them and returns their errors.
func (w *world) load(t *rapid.T, ids int, ways []string) func() map[string]error {
	var mu sync.Mutex
	errs := map[string]error{}
	st, err := w.db.Prepare("put ?")
	if err != nil {
		t.Fatal(err)
	}
	type request struct {
		way         string
		gap, inside time.Duration
	}
	var plan []request
	for range ids {
		plan = append(plan, request{
			rapid.SampledFrom(ways).Draw(t, "way"),
			time.Duration(rapid.IntRange(0, 20_000).Draw(t, "gap us")) * time.Microsecond,
			time.Duration(rapid.IntRange(0, 5_000).Draw(t, "inside us")) * time.Microsecond,
		})
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i, r := range plan {
			time.Sleep(r.gap)
			all.Go(func() {
				id := fmt.Sprint(i)
				err := w.request(context.Background(), st, r.way, id, r.inside)
				mu.Lock()
				errs[id] = err
				mu.Unlock()
			})
		}
	})
	return func() map[string]error {
		all.Wait()
		_ = st.Close()
		return errs
	}
}

func (w *world) request(ctx context.Context, st *sql.Stmt, way, id string, inside time.Duration) error {
	switch way {
	case "exec":
		return w.put(ctx, id)
	case "query":
		var v string
		return w.db.QueryRowContext(ctx, "putget ?", id).Scan(&v)
	case "stmt":
		_, err := st.ExecContext(ctx, id)
		return err
	case "in-tx":
		return w.unit(ctx, id)
	}
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	time.Sleep(inside)
	if _, err := tx.ExecContext(ctx, "put ?", id); err != nil {
		return err
	}
	return tx.Commit()
}

// TestG7_PlannedChangesCostLatencyNotErrors sends transactions and statements
// at random while leaders change as planned: to the other node, back to the
// same one, given up, or twice within a millisecond; the leader refuses what it
// does not take any more, or, in front of one that cannot refuse, the lane
// counts and the change waits until it is quiet. No request may fail, and every
// one is committed exactly once.
func TestG7_PlannedChangesCostLatencyNotErrors(t *testing.T) {
	t.Parallel()
	for _, open := range []int{0, 1, 4} {
		t.Run(fmt.Sprintf("MaxOpenConns=%d", open), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				rapid.SyncTest(t, func(t *rapid.T) { runPlanned(t, open) })
			})
		})
	}
}

func runPlanned(t *rapid.T, open int) {
	counted := rapid.Bool().Draw(t, "servers cannot refuse")
	w := newWorld(t, open, setup{
		buf:   buffer.Config{Counted: counted, MaxAge: 10 * time.Second, MaxOutage: 20 * time.Second, Flush: buffer.Flush{Start: 2, Max: 8}},
		kind:  rapid.SampledFrom([]kind{full, bare, legacy, skips}).Draw(t, "kind"),
		plain: counted,
	})
	defer w.abandon()
	wait := w.load(t, rapid.IntRange(1, 40).Draw(t, "requests"), []string{"exec", "query", "stmt", "tx", "in-tx"})
	top := uint64(1)
	change := func() {
		top++
		w.hold(top)
		if counted {
			if err := w.lane.Quiesced(context.Background(), term(top)); err != nil {
				t.Fatal(err)
			}
		}
		w.drain(top, time.Second)
		time.Sleep(time.Duration(rapid.IntRange(1, 200).Draw(t, "promotion ms")) * time.Millisecond)
		to := map[bool]string{true: "n1", false: "n2"}[rapid.Bool().Draw(t, "to n1")]
		if rapid.Bool().Draw(t, "given up") {
			n := w.server(w.now)
			n.set(func() { n.leads = true })
			w.route(string(w.now.Leader), w.now.Term.Num)
			return
		}
		w.force(to, top)
	}
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		time.Sleep(time.Duration(rapid.IntRange(0, 100).Draw(t, "calm ms")) * time.Millisecond)
		change()
		if rapid.Bool().Draw(t, "and again") {
			time.Sleep(time.Millisecond)
			change()
		}
	}
	errs := wait()
	for id, err := range errs {
		if err != nil {
			t.Fatalf("request %s failed: %v", id, err)
		}
	}
	done := append(w.n1.has(), w.n2.has()...)
	slices.Sort(done)
	if want := len(errs); len(done) != want || len(slices.Compact(done)) != want {
		t.Fatalf("%d requests, committed: %v", want, done)
	}
	w.close()
}
