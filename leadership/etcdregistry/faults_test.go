package etcdregistry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// raw is a client of etcd's own library.
func raw(t testing.TB, cfg clientv3.Config) *clientv3.Client {
	t.Helper()
	cfg.Logger, cfg.DialTimeout = zap.NewNop(), bound
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A majority is up all the time, and the contract is kept as if nothing happened.
func TestTheRegistryKeepsItsContractWhileMembersAreKilledAndFrozen(t *testing.T) {
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
	cfg := impatient(etcd.Endpoints()...)
	ctx, stop := context.WithCancel(t.Context())
	var chaos sync.WaitGroup
	var faults atomic.Int32
	chaos.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			m := etcd.Members()[i%3]
			if err := trouble(ctx, etcd, m, i%2 == 0); err != nil && ctx.Err() == nil {
				t.Errorf("fault %d: %v", i, err)
				return
			}
			faults.Add(1)
		}
	})
	name := names("chaos")
	var retries uint64
	rounds := 0
	// Each member is killed and is frozen, while the kit runs.
	for ok := true; ok && faults.Load() < 6 && !t.Failed(); rounds++ {
		ok = t.Run(fmt.Sprintf("round %d", rounds+1), func(t *testing.T) {
			leadershiptest.Registry(t, func(t *testing.T) leadership.Registry {
				c := open(t, name(), cfg)
				t.Cleanup(func() { retries += c.Stats().Retries })
				return closingRegistry{c.Registry(), c}
			})
		})
	}
	stop()
	chaos.Wait()
	t.Logf("%d rounds, %d faults, %d requests made again", rounds, faults.Load(), retries)
	if retries < 6 {
		t.Errorf("%d requests were made again: the faults were not met", retries)
	}
}

// trouble freezes or kills one member for a while, and returns when all is well.
func trouble(ctx context.Context, etcd *engines.EtcdCluster, m *engines.Server, freeze bool) error {
	down, up := m.Kill, func() error { return m.Start(context.WithoutCancel(ctx)) }
	if freeze {
		down, up = m.Freeze, m.Thaw
	}
	if err := down(); err != nil {
		return err
	}
	pause(ctx, 700*time.Millisecond) // an election takes 500 ms to 1 s
	if err := up(); err != nil {
		return err
	}
	pause(ctx, 200*time.Millisecond)
	return etcd.Await(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// The request arrives, its answer does not; then it does, and one write was made.
func TestASwapWhoseAnswerIsLostKnowsItsOwnWrite(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	edge := enginetest.Edge(t, etcd.Members()[0].Addr())
	reg := open(t, "c", impatient(edge.Addr())).Registry()
	direct := open(t, "c", impatient(etcd.Endpoints()...)).Registry()
	first := create(t, reg)
	next, err := begin(first, "x")
	if err != nil {
		t.Fatal(err)
	}
	must(t, edge.SetWay(netproxy.Backward, netproxy.Hold))
	type result struct {
		rec leadership.Record
		err error
	}
	done := make(chan result, 1)
	go func() {
		rec, err := reg.Swap(t.Context(), first.Version, next)
		done <- result{rec, err}
	}()
	written, err := direct.Wait(within(t, bound), first.Version)
	if err != nil {
		t.Fatal(err)
	}
	must(t, edge.Set(netproxy.Reset))
	must(t, edge.Set(netproxy.Pass))
	r := <-done
	if r.err != nil || !r.rec.Equal(written) {
		t.Fatalf("Swap = %+v, %v, want what was written: %+v", r.rec, r.err, written)
	}
	if now, err := direct.Load(t.Context()); err != nil || !now.Equal(written) {
		t.Errorf("it was written twice: %+v, %v", now, err)
	}
}

// Ways to be left without an answer: the request was executed, or not, or it was
// executed and then overwritten. None may be called a failure.
func TestG9_ASwapWithoutAnAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	for _, c := range []struct {
		name                             string
		executed, overwritten, compacted bool
	}{
		{name: "executed", executed: true},
		{name: "not executed"},
		{name: "overwritten", executed: true, overwritten: true},
		{name: "overwritten and compacted", executed: true, overwritten: true, compacted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := strings.ReplaceAll(c.name, " ", "-")
			edge := enginetest.Edge(t, etcd.Members()[0].Addr())
			reg := open(t, cluster, impatient(edge.Addr())).Registry()
			direct := open(t, cluster, impatient(etcd.Endpoints()...)).Registry()
			first := create(t, reg)
			next, err := begin(first, "x")
			must(t, err)
			if c.executed {
				must(t, edge.SetWay(netproxy.Backward, netproxy.Hold))
			} else {
				must(t, edge.SetWay(netproxy.Forward, netproxy.Drop))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			type result struct {
				rec leadership.Record
				err error
			}
			done := make(chan result, 1)
			go func() {
				rec, err := reg.Swap(ctx, first.Version, next)
				done <- result{rec, err}
			}()
			heal := func() {
				must(t, edge.Set(netproxy.Reset))
				must(t, edge.Set(netproxy.Pass))
			}
			var written leadership.Record
			if c.executed {
				written, err = direct.Wait(within(t, bound), first.Version)
				must(t, err)
			} else {
				pause(t.Context(), 300*time.Millisecond) // one attempt and a half
			}
			if c.overwritten {
				again, err := begin(written, "y")
				must(t, err)
				again, err = direct.Swap(t.Context(), written.Version, again)
				must(t, err)
				if c.compacted {
					_, err = cli.Compact(t.Context(), int64(again.Version))
					must(t, err)
				}
				heal()
			} else {
				cancel()
			}
			r := <-done
			if c.overwritten && !c.compacted {
				// The history tells.
				if r.err != nil || !r.rec.Equal(written) {
					t.Errorf("Swap = %+v, %v, want what was overwritten: %+v", r.rec, r.err, written)
				}
				return
			}
			wantAs[*etcdregistry.UnknownError](t, r.err)
			var conflict *leadership.ConflictError
			if !errors.Is(r.err, leadership.ErrUnknownOutcome) || leadership.NotExecuted(r.err) || errors.As(r.err, &conflict) {
				t.Errorf("Swap = %v: it may have been executed", r.err)
			}
			if !c.overwritten && !errors.Is(r.err, context.Canceled) {
				t.Errorf("%v does not say why it gave up", r.err)
			}
			// It is settled as every caller does: by a load, and the same step again.
			heal()
			out, err := leadership.Update(within(t, bound), reg, func(r leadership.Record) (leadership.Record, error) {
				return r.Begin(next.Intent, true)
			})
			if c.overwritten {
				wantAs[*leadership.SupersededError](t, err)
			} else if err != nil || out.Fence != next.Fence {
				t.Errorf("settled as %+v, %v", out, err)
			}
		})
	}
}

// The request was not executed, and cannot be any more: that is known, not unknown.
func TestASwapThatCannotBeExecutedAnyMoreIsAConflictThoughItWasNotAnswered(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	for _, c := range []struct {
		name    string
		ahead   uint64 // of the version that is; the largest: from version 0
		another bool   // writes meanwhile
		gone    bool   // the key is deleted meanwhile
	}{
		{name: "another was faster", another: true},
		{name: "the record was deleted", gone: true},
		{name: "the version never was", ahead: 1},
		{name: "the version is none yet", ahead: 1 << 40},
		{name: "there is a record already", ahead: 1<<64 - 1, another: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := strings.ReplaceAll(c.name, " ", "-")
			edge := enginetest.Edge(t, etcd.Members()[0].Addr())
			reg := open(t, cluster, impatient(edge.Addr())).Registry()
			direct := open(t, cluster, impatient(etcd.Endpoints()...)).Registry()
			first := create(t, reg)
			_, err := cli.Put(t.Context(), "other", "key") // so that the next version will be another
			must(t, err)
			_, err = reg.Load(t.Context())
			must(t, err)
			next, err := begin(first, "x")
			must(t, err)
			must(t, edge.SetWay(netproxy.Forward, netproxy.Drop))
			base := first.Version + c.ahead
			if c.ahead == 1<<64-1 {
				base = 0
			}
			done := make(chan error, 1)
			go func() {
				_, err := reg.Swap(t.Context(), base, next)
				done <- err
			}()
			pause(t.Context(), 300*time.Millisecond)
			now := first.Version
			switch {
			case c.another:
				other, err := begin(first, "y")
				must(t, err)
				other, err = direct.Swap(t.Context(), first.Version, other)
				must(t, err)
				now = other.Version
			case c.gone:
				_, err := cli.Delete(t.Context(), "/tenure/"+cluster+"/record")
				must(t, err)
				now = 0
			}
			must(t, edge.Set(netproxy.Reset))
			must(t, edge.Set(netproxy.Pass))
			conflict := wantAs[*leadership.ConflictError](t, <-done)
			if conflict.Base != base || conflict.Current != now {
				t.Errorf("%+v, want current %d", conflict, now)
			}
		})
	}
}

func TestWithoutAMajorityReadsSaySoAndWritesAreUnknown(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
	cfg := impatient(etcd.Endpoints()...)
	cfg.Patience = time.Second
	c := open(t, "c", cfg)
	reg, barrier := c.Registry(), c.Barrier()
	first := create(t, reg)
	next, err := begin(first, "x")
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := reg.Wait(t.Context(), first.Version)
		waited <- err
	}()
	for _, m := range etcd.Members()[:2] {
		must(t, m.Freeze())
	}
	start := time.Now()
	_, err = reg.Load(t.Context())
	down := wantAs[*etcdregistry.UnavailableError](t, err)
	if len(down.Endpoints) != 3 || errors.Is(err, leadership.ErrUnknownOutcome) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Load = %v", err)
	}
	_, err = reg.Swap(t.Context(), first.Version, next)
	if !errors.Is(err, leadership.ErrUnknownOutcome) || leadership.NotExecuted(err) {
		t.Errorf("Swap = %v", err)
	}
	err = barrier.Leave(t.Context(), leadership.RouterLease{Router: "r", Session: "s", TTL: time.Second})
	wantAs[*etcdregistry.UnavailableError](t, err) // it reads first
	wantAs[*etcdregistry.UnavailableError](t, <-waited)
	if took := time.Since(start); took > 10*cfg.Patience {
		t.Errorf("it took %s to say so, with a patience of %s", took, cfg.Patience)
	}
	for _, m := range etcd.Members()[:2] {
		must(t, m.Thaw())
	}
	// The Swap may have been executed now, or never. It is settled, and done once.
	var out leadership.Record
	enginetest.Eventually(t, bound, "settle", func(ctx context.Context) error {
		out, err = leadership.Update(ctx, reg, func(r leadership.Record) (leadership.Record, error) { return r.Begin(next.Intent, true) })
		return err
	})
	if out.Fence != next.Fence || out.Intent.Term != next.Intent.Term {
		t.Errorf("settled as %+v", out)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
