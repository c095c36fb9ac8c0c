package sqlbuffer_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// TestG9_WhatMayHaveBeenExecutedIsNeverReportedOtherwise lets everything fail:
// leaders are replaced by force, and what the old one acknowledges later is
// lost; connections break before and after the work; commits hang and are
// cancelled; drivers lie with ErrBadConn where they are distrusted. Whatever a
// caller is told must be so: done is executed once and not lost, not executed
// is not executed, and nothing is executed twice.
func TestG9_WhatMayHaveBeenExecutedIsNeverReportedOtherwise(t *testing.T) {
	t.Parallel()
	for _, open := range []int{0, 1, 4} {
		t.Run(fmt.Sprintf("MaxOpenConns=%d", open), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				rapid.SyncTest(t, func(t *rapid.T) { runForced(t, open) })
			})
		})
	}
}

func runForced(t *rapid.T, open int) {
	distrust := rapid.Bool().Draw(t, "driver lies")
	abort := kill
	if !rapid.Bool().Draw(t, "has Abort") {
		abort = nil
	}
	w := newWorld(t, open, setup{
		buf:  buffer.Config{MaxAge: 500 * time.Millisecond, MaxOutage: time.Second},
		cfg:  sqlbuffer.Config{Linger: 20 * time.Millisecond, Budget: 20 * time.Millisecond},
		node: sqlbuffer.Node{Abort: abort, DistrustBadConn: distrust},
		kind: rapid.SampledFrom([]kind{full, skips}).Draw(t, "kind"),
	})
	defer w.abandon()
	faults := map[string]func() fault{
		"lost":           func() fault { return with(errReset) },
		"reply lost":     func() fault { return after(errReset) },
		"bad":            func() fault { return with(driver.ErrBadConn) },
		"refused":        func() fault { return with(&leadership.Refusal{Term: term(1)}) },
		"hangs":          func() fault { return hang(false) },
		"ran, hangs":     func() fault { return hang(true) },
		"late":           func() fault { return slow(5 * time.Millisecond) },
		"very late":      func() fault { return slow(50 * time.Millisecond) },
		"ran, bad":       func() fault { return after(driver.ErrBadConn) },
		"ran, cancelled": func() fault { return after(context.Canceled) },
	}
	names := []string{"lost", "reply lost", "bad", "refused", "hangs", "ran, hangs", "late", "very late", "ran, cancelled"}
	var mu sync.Mutex
	errs, ways := map[string]error{}, map[string]string{}
	var all sync.WaitGroup
	st, err := w.db.Prepare("put ?")
	if err != nil {
		t.Fatal(err)
	}
	n := rapid.IntRange(1, 25).Draw(t, "requests")
	for i := range n {
		way := rapid.SampledFrom([]string{"exec", "query", "stmt", "tx", "in-tx"}).Draw(t, "way")
		at := time.Duration(rapid.IntRange(0, 100).Draw(t, "at ms")) * time.Millisecond
		ways[fmt.Sprint(i)] = way
		limit := time.Duration(rapid.IntRange(1, 300_000).Draw(t, "limit us")) * time.Microsecond
		all.Go(func() {
			time.Sleep(at)
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			id := fmt.Sprint(i)
			err := w.request(ctx, st, way, id, time.Millisecond)
			mu.Lock()
			errs[id] = err
			mu.Unlock()
		})
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "events") {
		time.Sleep(time.Duration(rapid.IntRange(0, 30).Draw(t, "calm ms")) * time.Millisecond)
		now := w.server(w.now)
		switch rapid.SampledFrom([]string{"fault", "fault", "fault", "kill", "force"}).Draw(t, "event") {
		case "kill":
			now.kill()
		case "force":
			w.depose(uint64(i + 2))
		default:
			verb := rapid.SampledFrom([]string{"exec", "query", "commit", "begin", "prepare", "rollback"}).Draw(t, "verb")
			name := rapid.SampledFrom(names).Draw(t, "fault")
			if abort == nil && (verb == "commit" || verb == "rollback") && (name == "hangs" || name == "ran, hangs") {
				continue // nothing ends it
			}
			if name == "bad" && (distrust || verb == "commit") && rapid.Bool().Draw(t, "lie") {
				name = "ran, bad"
			}
			now.fail(verb, faults[name]())
		}
	}
	all.Wait()
	// database/sql rolls back on its own what was cancelled, and keeps others
	// out by mutexes meanwhile: those stop the clock.
	time.Sleep(time.Second)
	_ = st.Close()
	lost := append(w.n1.lost, w.n2.lost...)
	times := map[string]int{}
	for _, id := range append(w.n1.has(), w.n2.has()...) {
		times[id]++
	}
	for _, id := range lost {
		times[id]-- // executed, and then not: nobody may be told that it is done
	}
	for id, err := range errs {
		executed, gone := times[id] > 0, false
		for _, l := range lost {
			gone = gone || l == id
		}
		switch {
		case times[id] > 1:
			t.Fatalf("request %s was executed %d times", id, times[id])
		case err == nil && !executed:
			t.Fatalf("request %s is reported as done and is not (lost: %v)", id, gone)
		case leadership.NotExecuted(err) && (executed || gone):
			t.Fatalf("request %s was executed and is reported as not executed: %v", id, err)
		}
		// While rows are open it is database/sql that reports the end of their
		// context, and that claims nothing.
		open := ways[id] == "query" && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
		if (executed || gone) && err != nil && !open && !errors.Is(err, leadership.ErrUnknownOutcome) {
			t.Fatalf("request %s was executed and is not reported as unknown: %v", id, err)
		}
	}
	w.close()
}
