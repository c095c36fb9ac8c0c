package etcdregistry_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func newLock(t testing.TB, c *etcdregistry.Client, cfg etcdregistry.LockConfig) *etcdregistry.Lock {
	t.Helper()
	if cfg.Holder == "" {
		cfg.Holder = "test"
	}
	if cfg.TTL == 0 {
		cfg.TTL = 2 * time.Second
	}
	l, err := c.NewLock(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALockIsHeldByOneAtATimeAndItsNumberRises(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
	var mu sync.Mutex // guards what follows
	var nums []uint64
	inside := 0
	var wg sync.WaitGroup
	start := time.Now()
	const coordinators, times = 3, 4
	for range coordinators {
		lock := newLock(t, open(t, "c", impatient(etcd.Endpoints()...)), etcdregistry.LockConfig{TTL: 10 * time.Second})
		wg.Go(func() {
			for range times {
				err := lock.Run(within(t, bound), func(ctx context.Context, h *etcdregistry.Held) error {
					mu.Lock()
					inside++
					if inside != 1 {
						t.Errorf("%d hold the lock", inside)
					}
					nums = append(nums, h.Num())
					mu.Unlock()
					if err := h.Check(ctx); err != nil {
						t.Error(err)
					}
					if term, err := h.Term("c1"); err != nil || term.Num != h.Num() {
						t.Errorf("Term = %s, %v", term, err)
					}
					mu.Lock()
					inside--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(nums) != coordinators*times || !slices.IsSorted(nums) || len(slices.Compact(slices.Clone(nums))) != len(nums) {
		t.Errorf("the numbers of the lock: %v", nums)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("it took %s: the lock was not given back but lapsed", took)
	}
}

func TestALockThatIsHeldSaysByWhom(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	err := newLock(t, c, etcdregistry.LockConfig{Holder: "ops 1"}).Run(t.Context(), func(ctx context.Context, h *etcdregistry.Held) error {
		never := func(context.Context, *etcdregistry.Held) error { t.Error("called without the lock"); return nil }
		enough := errors.New("enough")
		briefly := func() error {
			soon, cancel := context.WithTimeoutCause(ctx, time.Second, enough)
			defer cancel()
			return newLock(t, c, etcdregistry.LockConfig{}).Run(soon, never)
		}
		for name, err := range map[string]error{
			"not at all":    newLock(t, c, etcdregistry.LockConfig{Wait: -1}).Run(ctx, never),
			"for a time":    newLock(t, c, etcdregistry.LockConfig{Wait: 50 * time.Millisecond}).Run(ctx, never),
			"for a context": briefly(),
		} {
			held := wantAs[*etcdregistry.LockHeldError](t, err)
			if held.Holder != "ops 1" || held.Num != h.Num() || !leadership.NotExecuted(err) || errors.Is(err, enough) != (name == "for a context") {
				t.Errorf("waiting %s: %v", name, err)
			}
		}
		return nil
	})
	must(t, err)
}

// The lease is gone, and neither the holder's clock nor a renewal has told it yet.
func TestAWriteUnderALockThatIsLostIsRefusedByEtcdItself(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	first := create(t, c.Registry())
	next, err := begin(first, "x")
	must(t, err)
	for _, how := range []string{"revoked", "deleted", "taken by another"} {
		t.Run(how, func(t *testing.T) {
			var lost *etcdregistry.LockLostError
			err := newLock(t, c, etcdregistry.LockConfig{TTL: 3 * time.Second}).Run(t.Context(), func(ctx context.Context, h *etcdregistry.Held) error {
				reg := h.Registry()
				rec, err := leadership.Update(ctx, reg, func(r leadership.Record) (leadership.Record, error) { return begin(r, "mine") })
				if err != nil {
					t.Fatalf("a write under the lock: %v", err)
				}
				key, err := cli.Get(ctx, "/tenure/c/lock")
				must(t, err)
				switch how {
				case "revoked":
					_, err = cli.Revoke(ctx, clientv3.LeaseID(key.Kvs[0].Lease))
				default:
					_, err = cli.Delete(ctx, "/tenure/c/lock")
				}
				must(t, err)
				var now uint64
				if how == "taken by another" {
					resp, err := cli.Put(ctx, "/tenure/c/lock", "x")
					must(t, err)
					defer func() { _, err = cli.Delete(t.Context(), "/tenure/c/lock"); must(t, err) }()
					now = uint64(resp.Header.Revision)
				}
				if h.Left() <= time.Second {
					t.Fatal("the holder knows already: nothing is tested")
				}
				_, err = reg.Swap(ctx, rec.Version, next)
				refused := wantAs[*etcdregistry.NotOwnerError](t, err)
				if refused.Num != h.Num() || refused.Now != now || !leadership.NotExecuted(err) {
					t.Errorf("%+v", refused)
				}
				wantAs[*etcdregistry.NotOwnerError](t, h.Check(ctx))
				if r, err := reg.Load(ctx); err != nil || !r.Equal(rec) {
					t.Errorf("it was written: %+v, %v", r, err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(bound):
					t.Error("nobody tells the holder")
				}
				lost = wantAs[*etcdregistry.LockLostError](t, context.Cause(ctx))
				if lost.Num != h.Num() || leadership.NotExecuted(context.Cause(ctx)) {
					t.Errorf("%v", lost)
				}
				if h.Left() != 0 {
					t.Errorf("lost, and %s is left", h.Left())
				}
				return nil
			})
			if got := wantAs[*etcdregistry.LockLostError](t, err); got != lost {
				t.Errorf("Run = %v", err)
			}
		})
	}
}

// No clock is compared: the holder that is cut off has stopped before anybody else
// can have begun.
func TestAHolderThatIsCutOffStopsBeforeTheNextOneBegins(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	edge := enginetest.Edge(t, etcd.Members()[0].Addr())
	away := newLock(t, open(t, "c", impatient(edge.Addr())), etcdregistry.LockConfig{Holder: "away"})
	near := newLock(t, open(t, "c", impatient(etcd.Endpoints()...)), etcdregistry.LockConfig{Holder: "near"})
	held := make(chan uint64, 1)
	var stopped time.Time
	var wg sync.WaitGroup
	wg.Go(func() {
		err := away.Run(t.Context(), func(ctx context.Context, h *etcdregistry.Held) error {
			held <- h.Num()
			select {
			case <-ctx.Done():
			case <-time.After(bound):
				t.Error("nobody tells the holder")
			}
			stopped = time.Now()
			return ctx.Err()
		})
		lost := wantAs[*etcdregistry.LockLostError](t, err)
		if !errors.Is(err, context.Canceled) || !strings.Contains(lost.Why, "no renewal") {
			t.Errorf("%v", err)
		}
	})
	first := <-held
	pause(t.Context(), 1500*time.Millisecond) // it is renewed at least once
	must(t, edge.Set(netproxy.Hold))
	cut := time.Now()
	var next uint64
	var begun time.Time
	err := near.Run(within(t, bound), func(_ context.Context, h *etcdregistry.Held) error {
		begun, next = time.Now(), h.Num()
		return nil
	})
	must(t, err)
	must(t, edge.Set(netproxy.Reset)) // so that giving back ends at once
	wg.Wait()
	if !stopped.Before(begun) || next <= first || stopped.Before(cut) {
		t.Errorf("number %d stopped at %s, number %d began at %s", first, stopped, next, begun)
	}
	t.Logf("cut off; stopped after %s, the next one began after %s", stopped.Sub(cut).Round(time.Millisecond), begun.Sub(cut).Round(time.Millisecond))
}

// A change that was broken off is undone under the lock that it was made under.
func TestALockIsKeptUntilItsFunctionReturnsThoughItsContextHasEnded(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	create(t, c.Registry())
	ctx, cancel := context.WithCancel(t.Context())
	err := newLock(t, c, etcdregistry.LockConfig{}).Run(ctx, func(ctx context.Context, h *etcdregistry.Held) error {
		cancel()
		<-ctx.Done()
		pause(t.Context(), 3500*time.Millisecond) // longer than its TTL
		_, err := leadership.Update(t.Context(), h.Registry(), func(r leadership.Record) (leadership.Record, error) { return begin(r, "undo") })
		return err
	})
	must(t, err)
}

func TestALockIsGivenBackWhenItsFunctionFailsOrPanics(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	lock := newLock(t, c, etcdregistry.LockConfig{TTL: time.Minute})
	failed := errors.New("failed")
	if err := lock.Run(t.Context(), func(context.Context, *etcdregistry.Held) error { return failed }); err != failed {
		t.Errorf("Run = %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		_ = lock.Run(t.Context(), func(context.Context, *etcdregistry.Held) error { panic("x") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := lock.Run(ctx, func(ctx context.Context, _ *etcdregistry.Held) error {
		cancel()
		<-ctx.Done()
		return nil
	})
	must(t, err)
	now := newLock(t, c, etcdregistry.LockConfig{Wait: -1})
	must(t, now.Run(t.Context(), func(context.Context, *etcdregistry.Held) error { return nil }))
}

// An answer that is lost while the lock is taken must not leave a lock that nobody
// knows to hold.
func TestALockWhoseAnswerIsLostIsKnownToBeTaken(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	edge := enginetest.Edge(t, etcd.Members()[0].Addr())
	lock := newLock(t, open(t, "c", impatient(edge.Addr())), etcdregistry.LockConfig{TTL: time.Minute, Holder: "me"})
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	// Answers are slow, so that the transaction is on its way when they stop.
	ctx := within(t, bound)
	events := cli.Watch(ctx, "/tenure/c/lock")
	done := make(chan error, 1)
	var num uint64
	go func() {
		done <- lock.Run(ctx, func(_ context.Context, h *etcdregistry.Held) error { num = h.Num(); return nil })
	}()
	edge.Delay(50 * time.Millisecond)
	var made uint64
	for resp := range events {
		if len(resp.Events) == 0 {
			continue
		}
		made = uint64(resp.Events[0].Kv.CreateRevision)
		must(t, edge.SetWay(netproxy.Backward, netproxy.Hold))
		var v struct{ Holder string }
		if err := json.Unmarshal(resp.Events[0].Kv.Value, &v); err != nil || v.Holder != "me" {
			t.Errorf("%s: %v", resp.Events[0].Kv.Value, err)
		}
		break
	}
	edge.Delay(0)
	pause(ctx, 250*time.Millisecond)
	must(t, edge.Set(netproxy.Reset))
	must(t, edge.Set(netproxy.Pass))
	if err := <-done; err != nil || num != made {
		t.Errorf("number %d, %v, want %d", num, err, made)
	}
}
