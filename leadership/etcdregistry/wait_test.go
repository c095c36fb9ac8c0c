package etcdregistry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The watch is cut, and what it would have gone on from is compacted before it is back.
func TestAWaitGoesOnAfterACompaction(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	edge := enginetest.Edge(t, etcd.Members()[0].Addr())
	cfg := impatient(edge.Addr())
	c := open(t, "c", cfg)
	direct := open(t, "c", impatient(etcd.Endpoints()...)).Registry()
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	last := create(t, direct)
	for _, write := range []bool{false, true} { // the record, while the watch is cut
		before := c.Stats()
		got := make(chan leadership.Record, 1)
		go func() {
			r, err := c.Registry().Wait(t.Context(), last.Version)
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
		watched(t, etcd.Endpoints()[0], 1)
		must(t, edge.Set(netproxy.Reset))
		next, err := begin(last, "x")
		if err != nil {
			t.Fatal(err)
		}
		if write {
			if last, err = direct.Swap(t.Context(), last.Version, next); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the revision that is compacted is still to be had
			resp, err := cli.Put(t.Context(), "other", "key")
			if err == nil {
				_, err = cli.Compact(t.Context(), resp.Header.Revision)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		must(t, edge.Set(netproxy.Pass))
		if !write {
			enginetest.Eventually(t, bound, "the watch meets the compaction", func(context.Context) error {
				if s := c.Stats(); s.Compacted == before.Compacted {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			watched(t, etcd.Endpoints()[0], 1)
			if last, err = direct.Swap(t.Context(), last.Version, next); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case r := <-got:
			if !r.Equal(last) {
				t.Errorf("Wait = %+v, want %+v", r, last)
			}
		case <-time.After(bound):
			t.Fatal("the Wait does not return")
		}
	}
}

// A frozen member answers no ping for 13 s. The Wait does not wait for that.
func TestAWaitWhoseMemberIsFrozenHearsOfAChangeByItself(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	reg := c.Registry()
	last := create(t, reg)
	got := make(chan error, 1)
	go func() {
		_, err := reg.Wait(t.Context(), last.Version)
		got <- err
	}()
	var holds *engines.Server
	enginetest.Eventually(t, bound, "find the member of the watch", func(ctx context.Context) error {
		for i, url := range etcd.Endpoints() {
			if n, err := watchers(ctx, url); err != nil {
				return err
			} else if n == "1" {
				holds = etcd.Members()[i]
				return nil
			}
		}
		return errors.New("no member has a watch")
	})
	must(t, holds.Freeze())
	defer func() { must(t, holds.Thaw()) }()
	start := time.Now()
	last, err := leadership.Update(within(t, bound), open(t, "c", impatient(etcd.Endpoints()...)).Registry(),
		func(r leadership.Record) (leadership.Record, error) { return begin(r, "x") })
	must(t, err)
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the Wait hangs with its member")
	}
	t.Logf("%s from the freeze on", time.Since(start).Round(time.Millisecond))
	if c.Stats().Missed != 1 {
		t.Errorf("%+v: want one change that the watch missed", c.Stats())
	}
	// The next one does not rely on that watch.
	before := c.Stats().Watches
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := reg.Wait(ctx, last.Version); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
	if c.Stats().Watches == before {
		t.Errorf("%+v: the watch that missed a change was kept", c.Stats())
	}
}

// etcd tells a watch that begins in the past of changes in rounds of 100 ms.
func TestAWatchIsNotBehindBecauseOtherKeysAreWritten(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	last := create(t, c.Registry())
	busy, end := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for busy.Err() == nil {
				_, _ = cli.Put(busy, "other", "key")
			}
		})
	}
	t.Cleanup(func() { end(); writing.Wait() })
	slow := 0
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := c.Registry().Wait(ctx, last.Version); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		watched(t, etcd.Endpoints()[0], 1)
		behind, err := metric(t.Context(), etcd.Endpoints()[0], slowWatcherTotal)
		if err != nil {
			t.Error(err)
		}
		if behind != "0" {
			slow++
		}
		cancel()
		waiting.Wait()
		watched(t, etcd.Endpoints()[0], 0)
	}
	// Any watch may be behind for a moment where so much is written; one that begins in
	// the past always is.
	if slow >= 5 {
		t.Errorf("%d of 10 watches were behind", slow)
	}
}

var (
	watcherTotal     = regexp.MustCompile(`(?m)^etcd_debugging_mvcc_watcher_total (\d+)$`)
	slowWatcherTotal = regexp.MustCompile(`(?m)^etcd_debugging_mvcc_slow_watcher_total (\d+)$`)
)

// watchers returns how many watches a member has.
func watchers(ctx context.Context, url string) (string, error) {
	return metric(ctx, url, watcherTotal)
}

// metric returns what a member says of itself.
func metric(ctx context.Context, url string, name *regexp.Regexp) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	m := name.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("no %s", name)
	}
	return string(m[1]), nil
}

// watched returns when the member has so many watches.
func watched(t testing.TB, url string, want int) {
	t.Helper()
	enginetest.Eventually(t, bound, "a watch", func(ctx context.Context) error {
		n, err := watchers(ctx, url)
		if err == nil && n != fmt.Sprint(want) {
			err = fmt.Errorf("%s watches, want %d", n, want)
		}
		return err
	})
}
