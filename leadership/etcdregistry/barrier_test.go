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
	clientv3 "go.etcd.io/etcd/client/v3"
)

func lease(router string, ttl time.Duration) leadership.RouterLease {
	return leadership.RouterLease{Router: leadership.RouterID(router), Session: "s", TTL: ttl}
}

var term5 = leadership.Term{Num: 5, Proposer: "x"}

// Of a renewal and a lapse one comes first for everybody: a waiter that was slow to
// mark the lease as lapsed finds it renewed.
func TestALeaseThatWasRenewedCannotBeMarkedAsLapsed(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	router := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	coordinator := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	l := lease("r", time.Minute)
	if _, err := router.Join(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	bury := etcdregistry.Overdue(t.Context(), t, coordinator)
	if fresh, err := router.Join(t.Context(), l); err != nil || fresh {
		t.Fatalf("fresh %v, %v", fresh, err)
	}
	must(t, bury())
	rc := late(t, coordinator)
	if len(rc.Late) != 1 || len(rc.Lapsed) != 0 {
		t.Errorf("%+v: a router that renewed its lease was counted out", rc)
	}
	if fresh, err := router.Join(t.Context(), l); err != nil || fresh {
		t.Errorf("fresh %v, %v", fresh, err)
	}
	// And the other way around: it is marked first, so that the renewal is a new lease.
	bury = etcdregistry.Overdue(t.Context(), t, coordinator)
	must(t, bury())
	if fresh, err := router.Join(t.Context(), l); err != nil || !fresh {
		t.Errorf("a router that was counted out is not told: fresh %v, %v", fresh, err)
	}
}

func late(t *testing.T, b *etcdregistry.Barrier) leadership.RollCall {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	rc, err := b.Wait(ctx, term5)
	wantAs[*leadership.NotQuietError](t, err)
	return rc
}

// An ack changes the key, and is no renewal: a router that acks and dies lapses its TTL
// after it last joined.
func TestAnAckDoesNotRenewALease(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	router := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	coordinator := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	l := lease("r", 1500*time.Millisecond)
	if _, err := router.Join(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	done := make(chan time.Time, 1)
	start := time.Now()
	go func() {
		rc, err := coordinator.Wait(within(t, bound), term5)
		if err != nil || len(rc.Lapsed) != 1 {
			t.Errorf("%+v, %v", rc, err)
		}
		done <- time.Now()
	}()
	for n := uint64(1); n < 4; n++ {
		pause(t.Context(), 300*time.Millisecond)
		if err := router.Ack(t.Context(), l, leadership.Term{Num: n, Proposer: "x"}); err != nil {
			t.Error(err)
		}
	}
	if took := (<-done).Sub(start); took < l.TTL-100*time.Millisecond || took > l.TTL+700*time.Millisecond {
		t.Errorf("it lapsed after %s, with a TTL of %s", took, l.TTL)
	}
}

func TestALapsedRouterIsForgottenByEtcdItself(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	b := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints()})
	if _, err := b.Join(t.Context(), lease("r", leadership.MinRouterTTL)); err != nil {
		t.Fatal(err)
	}
	if rc, err := b.Wait(within(t, bound), term5); err != nil || len(rc.Lapsed) != 1 {
		t.Fatalf("%+v, %v", rc, err)
	}
	key := func() clientv3.LeaseID {
		resp, err := cli.Get(t.Context(), "/tenure/c/router/r")
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("%+v, %v", resp, err)
		}
		return clientv3.LeaseID(resp.Kvs[0].Lease)
	}
	ttl, err := cli.TimeToLive(t.Context(), key())
	if err != nil || ttl.GrantedTTL != 60 {
		t.Errorf("%+v, %v: want it gone after a minute", ttl, err)
	}
	// One that comes back must not go with it.
	if _, err := b.Join(t.Context(), lease("r", time.Minute)); err != nil {
		t.Fatal(err)
	}
	if id := key(); id != 0 {
		t.Errorf("the key of a router that lives is bound to lease %x", id)
	}
}

func TestAWaitAtTheBarrierGoesOnWhileMembersAreKilledAndFrozen(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
	router := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	coordinator := open(t, "c", impatient(etcd.Endpoints()...)).Barrier()
	for i, m := range etcd.Members()[:2] {
		term := leadership.Term{Num: uint64(i + 1), Proposer: "x"}
		l := lease("r", 15*time.Second)
		ctx := within(t, bound)
		if _, err := router.Join(ctx, l); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			rc, err := coordinator.Wait(ctx, term)
			if err == nil && (len(rc.Quiet) != 1 || !rc.AllQuiet()) {
				err = errors.New(rc.String())
			}
			done <- err
		}()
		down, up := m.Kill, func() error { return m.Start(t.Context()) }
		if i == 1 {
			down, up = m.Freeze, m.Thaw
		}
		must(t, down())
		if fresh, err := router.Join(ctx, l); err != nil || fresh {
			t.Errorf("Join with a member down: %v, %v", fresh, err)
		}
		must(t, router.Ack(ctx, l, term))
		must(t, <-done)
		must(t, up())
		must(t, etcd.Await(t.Context()))
	}
}
