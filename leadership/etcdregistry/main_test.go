package etcdregistry_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

var host *engines.Host

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(lockHolder(os.Getenv(childVar)))
	}
	os.Exit(enginetest.Main(m, &host))
}

const bound = 20 * time.Second

// impatient is the configuration of tests in which members hang.
func impatient(endpoints ...string) etcdregistry.Config {
	return etcdregistry.Config{Endpoints: endpoints, Attempt: 200 * time.Millisecond, Patience: 10 * time.Second, Recheck: 300 * time.Millisecond}
}

func open(t testing.TB, cluster string, cfg etcdregistry.Config) *etcdregistry.Client {
	t.Helper()
	c, err := etcdregistry.Open(cluster, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// closing gives a registry and a barrier the Close of their client.
type closingRegistry struct {
	*etcdregistry.Registry
	client *etcdregistry.Client
}

func (r closingRegistry) Close() error { return r.client.Close() }

type closingBarrier struct {
	*etcdregistry.Barrier
	client *etcdregistry.Client
}

func (b closingBarrier) Close() error { return b.client.Close() }

// names gives each check of a kit keys of its own.
func names(prefix string) func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("%s-%d", prefix, n) }
}

// begin announces the next term.
func begin(r leadership.Record, by string) (leadership.Record, error) {
	term, err := leadership.NextTerm(by, r.Fence)
	if err != nil {
		return r, err
	}
	return r.Begin(leadership.Intent{Term: term, By: by, Kind: leadership.KindPlanned}, true)
}

func create(t testing.TB, reg leadership.Registry) leadership.Record {
	t.Helper()
	rs, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := leadership.Update(t.Context(), reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Create("test", leadership.Full, rs)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("%v, want a %T", err, e)
	}
	return e
}
