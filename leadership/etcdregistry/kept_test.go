package etcdregistry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

// Who follows the record waits for one after the other.
func TestAWatchIsKeptForTheNextWait(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	direct := open(t, "c", impatient(etcd.Endpoints()...)).Registry()
	c := open(t, "c", impatient(etcd.Endpoints()...))
	reg := c.Registry()
	last := create(t, direct)
	swap := func() {
		t.Helper()
		next, err := begin(last, "x")
		if err == nil {
			last, err = direct.Swap(t.Context(), last.Version, next)
		}
		must(t, err)
	}
	wait := func(after uint64, change func()) etcdregistry.Stats {
		t.Helper()
		before := c.Stats()
		got := make(chan leadership.Record, 1)
		failed := make(chan error, 1)
		go func() {
			r, err := reg.Wait(within(t, bound), after)
			got <- r
			failed <- err
		}()
		if change != nil {
			watched(t, etcd.Endpoints()[0], 1)
			change()
		}
		r := <-got
		must(t, <-failed)
		if !r.Equal(last) {
			t.Errorf("it returned %+v, and not %+v", r, last)
		}
		s := c.Stats()
		s.Requests -= before.Requests
		s.Watches -= before.Watches
		return s
	}
	// The first opens a watch, and reads before it, after it and, as a rule, when it is told.
	if s := wait(last.Version, swap); s.Watches != 1 || s.Requests > 3 {
		t.Errorf("the first Wait opened %d watches and made %d requests", s.Watches, s.Requests)
	}
	old := last
	// What is written while nobody waits is told to the next.
	swap()
	if s := wait(old.Version, nil); s.Watches != 0 || s.Requests != 1 {
		t.Errorf("the second Wait opened %d watches and made %d requests, want one read when it is told", s.Watches, s.Requests)
	}
	// One that does not go on from there reads first.
	if s := wait(old.Version, nil); s.Watches != 0 || s.Requests != 1 {
		t.Errorf("a Wait for what is there opened %d watches and made %d requests", s.Watches, s.Requests)
	}
	if s := wait(last.Version, swap); s.Watches != 0 || s.Requests != 1 {
		t.Errorf("the last Wait opened %d watches and made %d requests", s.Watches, s.Requests)
	}
	if s := c.Stats(); s.Missed != 0 {
		t.Errorf("%+v: want no change that the watch missed", s)
	}
	// Nobody comes for it.
	watched(t, etcd.Endpoints()[0], 0)
}

// Who has just read or written the record asks etcd once to change it.
func TestAnUpdateOfWhatWasJustReadIsOneRequest(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	direct := open(t, "c", impatient(etcd.Endpoints()...)).Registry()
	c := open(t, "c", impatient(etcd.Endpoints()...))
	if _, ok := c.Registry().Recall(); ok {
		t.Error("something is recalled that nobody has read")
	}
	create(t, direct)
	update := func(by string, want uint64) {
		t.Helper()
		before := c.Stats().Requests
		r, err := leadership.Update(within(t, bound), c.Registry(), func(r leadership.Record) (leadership.Record, error) { return begin(r, by) })
		must(t, err)
		if n := c.Stats().Requests - before; n != want {
			t.Errorf("%d requests, want %d", n, want)
		}
		now, err := direct.Load(t.Context())
		must(t, err)
		if known, ok := c.Registry().Recall(); !ok || !known.Equal(now) || !r.Equal(now) {
			t.Errorf("%+v is recalled, %+v is the record", known, now)
		}
	}
	update("a", 2)
	update("b", 1)
	update("c", 1)
	_, err := leadership.Update(within(t, bound), direct, func(r leadership.Record) (leadership.Record, error) { return begin(r, "x") })
	must(t, err)
	update("d", 3) // the write that fails says so
	must(t, c.Close())
	if _, ok := c.Registry().Recall(); ok {
		t.Error("something is recalled of a Client that is closed")
	}
}

// What a Wait leaves behind ends with its Client at the latest, and one whose context
// ends leaves nothing.
func TestAKeptWatchEndsWithItsClient(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	direct := open(t, "c", impatient(etcd.Endpoints()...)).Registry()
	last := create(t, direct)
	c, err := etcdregistry.Open("c", impatient(etcd.Endpoints()...))
	must(t, err)
	var next leadership.Record
	got := make(chan error, 1)
	go func() {
		_, err := c.Registry().Wait(within(t, bound), last.Version)
		got <- err
	}()
	watched(t, etcd.Endpoints()[0], 1)
	next, err = begin(last, "x")
	if err == nil {
		last, err = direct.Swap(t.Context(), last.Version, next)
	}
	must(t, errors.Join(err, <-got))
	must(t, c.Close())
	watched(t, etcd.Endpoints()[0], 0)
	if _, err := c.Registry().Wait(t.Context(), last.Version); !errors.Is(err, leadership.ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}

	c = open(t, "c", impatient(etcd.Endpoints()...))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Registry().Wait(ctx, last.Version); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
	watched(t, etcd.Endpoints()[0], 0)
}
