package etcdregistry_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

// S15: etcd is put back to an older state, and gives revisions out again.
func TestS15_AClientThatHasSeenMoreThanARestoredEtcdSaysSoAndWritesNothing(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	m := etcd.Members()[0]
	cfg := impatient(etcd.Endpoints()...)
	old := open(t, "c", cfg)
	first := create(t, old.Registry())

	backup := m.Dir() + "/backup"
	must(t, m.Stop(t.Context()))
	copyDir(t, m.Data(), backup)
	must(t, m.Start(t.Context()))
	must(t, etcd.Await(t.Context()))

	var last leadership.Record
	for range 5 {
		var err error
		last, err = leadership.Update(within(t, bound), old.Registry(), func(r leadership.Record) (leadership.Record, error) { return begin(r, "lost") })
		must(t, err)
	}
	before := uint64(0)
	must(t, newLock(t, old, etcdregistry.LockConfig{}).Run(t.Context(), func(_ context.Context, h *etcdregistry.Held) error {
		before = h.Num()
		return nil
	}))
	waited := make(chan error, 1)
	go func() {
		_, err := old.Registry().Wait(t.Context(), last.Version)
		waited <- err
	}()
	watched(t, etcd.Endpoints()[0], 1)

	must(t, m.Stop(t.Context()))
	must(t, os.RemoveAll(m.Data()))
	copyDir(t, backup, m.Data())
	must(t, m.Start(t.Context()))
	must(t, etcd.Await(t.Context()))

	rewound := wantAs[*etcdregistry.RewoundError](t, <-waited)
	if rewound.Seen < last.Version || rewound.Now >= last.Version {
		t.Errorf("%+v", rewound)
	}
	// It is final: the same versions mean other records now.
	next, err := begin(last, "x")
	must(t, err)
	for _, base := range []uint64{last.Version, first.Version} {
		_, err := old.Registry().Swap(t.Context(), base, next)
		wantAs[*etcdregistry.RewoundError](t, err)
	}
	_, err = old.Barrier().Join(t.Context(), leadership.RouterLease{Router: "r", Session: "s", TTL: leadership.MinRouterTTL})
	wantAs[*etcdregistry.RewoundError](t, err)

	// A client that has seen nothing finds the old record, and is told when it asks
	// for what comes after a version that was never given.
	fresh := open(t, "c", cfg)
	if r, err := fresh.Registry().Load(t.Context()); err != nil || !r.Equal(first) {
		t.Errorf("Load = %+v, %v, want %+v", r, err, first)
	}
	_, err = fresh.Registry().Wait(within(t, bound), last.Version)
	wantAs[*etcdregistry.RewoundError](t, err)
	must(t, newLock(t, fresh, etcdregistry.LockConfig{}).Run(t.Context(), func(_ context.Context, h *etcdregistry.Held) error {
		if h.Num() > before {
			t.Errorf("number %d after %d: the revisions did not go back, nothing is tested", h.Num(), before)
		}
		return nil
	}))
	// What is left to do: a change takes a term above what the nodes have promised.
	above, err := leadership.NextTerm("x", last.Fence)
	must(t, err)
	r, err := leadership.Update(within(t, bound), fresh.Registry(), func(r leadership.Record) (leadership.Record, error) {
		return r.Begin(leadership.Intent{Term: above, By: "x", Kind: leadership.KindRefresh}, true)
	})
	if err != nil || r.Fence != above {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnotherClusterBehindTheSameEndpointIsNoticed(t *testing.T) {
	t.Parallel()
	one := enginetest.Etcd(t, host, engines.EtcdConfig{})
	two, err := host.Etcd(t.Context(), engines.EtcdConfig{Name: "other"})
	must(t, err)
	t.Cleanup(func() { must(t, two.Close()) })
	edge := enginetest.Edge(t, one.Members()[0].Addr())
	reg := open(t, "c", impatient(edge.Addr())).Registry()
	create(t, reg)
	ahead := open(t, "c", impatient(two.Endpoints()...)).Registry()
	create(t, ahead)
	for range 5 { // so that its revisions are higher
		_, err := leadership.Update(within(t, bound), ahead, func(r leadership.Record) (leadership.Record, error) { return begin(r, "x") })
		must(t, err)
	}
	edge.Target(two.Members()[0].Addr())
	must(t, edge.Set(netproxy.Reset))
	must(t, edge.Set(netproxy.Pass))
	_, err = reg.Load(within(t, bound))
	if r := wantAs[*etcdregistry.RewoundError](t, err); r.ClusterSeen == r.ClusterNow {
		t.Errorf("%v", err)
	}
	if errors.Is(err, leadership.ErrUnknownOutcome) {
		t.Errorf("Load = %v", err)
	}
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
