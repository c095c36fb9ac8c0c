package enginetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
)

// Require is the variable that turns skips into failures.
const Require = "TENURE_REQUIRE_ENGINES"

// Main runs the tests of a package with a Host of their own in *host, and
// returns the exit code. On a system where no Host can be, *host is nil and
// tests that Need an engine are skipped, or fail.
func Main(m *testing.M, host **engines.Host) int {
	h, err := engines.NewHost()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*host = h
	code := m.Run()
	if h != nil {
		if err := h.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// Need skips the test when one of the engines is not installed, or fails it when
// TENURE_REQUIRE_ENGINES names that engine.
func Need(t testing.TB, all ...engines.Engine) {
	t.Helper()
	for _, e := range all {
		why := Missing(e)
		if why == nil {
			continue
		}
		if Required(os.Getenv(Require), e) {
			t.Fatalf("%s requires %s: %v", Require, e, why)
		}
		t.Skipf("needs a %s server: %v", e, why)
	}
}

// Missing says why no server of e can be started here, nil when one can.
func Missing(e engines.Engine) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("servers are started on linux only: %w", errors.ErrUnsupported)
	}
	_, err := engines.Find(e)
	return err
}

// Required reports whether a list like "mariadb, postgres" names e.
func Required(list string, e engines.Engine) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
		return strings.EqualFold(strings.TrimSpace(name), string(e))
	})
}

// MariaDB starts n servers with server ids 1 to n and waits for a slot first.
// c.ServerID is ignored, c.Name gets the number. They are closed with the test.
func MariaDB(t testing.TB, h *engines.Host, n int, c engines.MariaDBConfig) []*engines.Server {
	t.Helper()
	Need(t, engines.MariaDB)
	return Start(t, n, func(i int) (*engines.Server, error) {
		c := c
		c.ServerID = i + 1
		c.Name = fmt.Sprintf("%s%d", cmp.Or(c.Name, "m"), i+1)
		return h.MariaDB(t.Context(), c)
	})
}

// Postgres starts n servers and waits for a slot first. The first is a primary,
// the others are standbys whose primary_conninfo is the first one's address,
// unless c.Settings has one. c.Name gets the number. They are closed with the test.
func Postgres(t testing.TB, h *engines.Host, n int, c engines.PostgresConfig) []*engines.Server {
	t.Helper()
	Need(t, engines.Postgres)
	Slot(t)
	var all []*engines.Server
	for i := range n {
		c := c
		c.Name = fmt.Sprintf("%s%d", cmp.Or(c.Name, "p"), i+1)
		if i > 0 {
			c.Standby = true
			settings := map[string]string{
				"primary_conninfo": fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", all[0].Port()),
			}
			maps.Copy(settings, c.Settings)
			c.Settings = settings
		}
		s, err := h.Postgres(t.Context(), c)
		Use(t, s, err)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// Start makes n servers with create, starts them at once and closes them with
// the test. It waits for a slot first.
func Start(t testing.TB, n int, create func(i int) (*engines.Server, error)) []*engines.Server {
	t.Helper()
	Slot(t)
	all := make([]*engines.Server, n)
	for i := range all {
		s, err := create(i)
		Use(t, s, err)
		all[i] = s
	}
	errs := make([]error, n)
	var starting sync.WaitGroup
	for i, s := range all {
		starting.Go(func() { errs[i] = s.Start(t.Context()) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return all
}

// Use closes s with the test, after a look at its log if the test failed, and
// fails the test now on err.
func Use(t testing.TB, s *engines.Server, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s ends with:\n%s", s.Name(), s.LogTail())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Etcd starts a cluster, which is closed with the test. It waits for a slot first.
func Etcd(t testing.TB, h *engines.Host, c engines.EtcdConfig) *engines.EtcdCluster {
	t.Helper()
	Need(t, engines.Etcd)
	Slot(t)
	e, err := h.Etcd(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range e.Members() {
				t.Logf("log of %s ends with:\n%s", s.Name(), s.LogTail())
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Edge opens a proxy to target, which is closed with the test.
func Edge(t testing.TB, target string) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Eventually calls condition every 5 ms until it returns nil, and fails the test
// with its last error when bound is over. The context of a call ends with bound.
func Eventually(t testing.TB, bound time.Duration, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, bound, err)
		case <-tick.C:
		}
	}
}
