package etcdregistry_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

func TestG10_ABadConfigurationIsRefusedBeforeAnythingIsConnectedTo(t *testing.T) {
	t.Parallel()
	good := func() etcdregistry.Config {
		return etcdregistry.Config{Endpoints: []string{"127.0.0.1:1", "localhost:2"}}
	}
	for _, c := range []struct {
		name, field string
		cluster     string
		change      func(*etcdregistry.Config)
	}{
		{name: "no cluster", field: "cluster", cluster: "-"},
		{name: "a cluster that is a path", field: "cluster", cluster: "a/b"},
		{name: "no endpoints", field: "Endpoints", change: func(c *etcdregistry.Config) { c.Endpoints = nil }},
		{name: "an empty endpoint", field: "Endpoints[1]", change: func(c *etcdregistry.Config) { c.Endpoints[1] = "" }},
		{name: "another scheme", field: "Endpoints[0]", change: func(c *etcdregistry.Config) { c.Endpoints[0] = "ftp://x:1" }},
		{name: "a path", field: "Endpoints[0]", change: func(c *etcdregistry.Config) { c.Endpoints[0] = "http://x:1/v3" }},
		{name: "a password in a URL", field: "Endpoints[0]", change: func(c *etcdregistry.Config) { c.Endpoints[0] = "http://u:hunter2@x:1" }},
		{name: "a URL that is none", field: "Endpoints[0]", change: func(c *etcdregistry.Config) { c.Endpoints[0] = "http://u:hunter2@x:1%zz" }},
		{name: "TLS that is not used", field: "Endpoints[0]", change: func(c *etcdregistry.Config) { c.Endpoints[0] = "http://x:1"; c.TLS = &tls.Config{} }},
		{name: "http after https", field: "Endpoints[1]", change: func(c *etcdregistry.Config) { c.Endpoints[0] = "https://x:1" }},
		{name: "a password in clear", field: "Endpoints[0]", change: func(c *etcdregistry.Config) {
			c.Endpoints[0] = "http://x:1"
			c.Username, c.Password = "u", "hunter2"
		}},
		{name: "a user without a password", field: "Username", change: func(c *etcdregistry.Config) { c.Username = "u" }},
		{name: "a password without a user", field: "Username", change: func(c *etcdregistry.Config) { c.Password = "hunter2" }},
		{name: "a prefix without its end", field: "Prefix", change: func(c *etcdregistry.Config) { c.Prefix = "/x" }},
		{name: "a negative attempt", field: "Attempt", change: func(c *etcdregistry.Config) { c.Attempt = -1 }},
		{name: "an attempt of nothing", field: "Attempt", change: func(c *etcdregistry.Config) { c.Attempt = 1 }},
		{name: "a patience for one attempt", field: "Patience", change: func(c *etcdregistry.Config) { c.Attempt, c.Patience = time.Second, 1900*time.Millisecond }},
		{name: "a recheck that is none", field: "Recheck", change: func(c *etcdregistry.Config) { c.Recheck = time.Hour }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := good()
			if c.change != nil {
				c.change(&cfg)
			}
			cluster := c.cluster
			if cluster == "" {
				cluster = "c"
			}
			client, err := etcdregistry.Open(strings.TrimPrefix(cluster, "-"), cfg)
			if client != nil {
				t.Error("a client came back")
			}
			bad := wantAs[*etcdregistry.ConfigError](t, err)
			if bad.Field != c.field || !leadership.NotExecuted(err) {
				t.Errorf("%v, want one about %s", err, c.field)
			}
			hides(t, err, "hunter2")
		})
	}
	c := open(t, "c", good())
	for field, cfg := range map[string]etcdregistry.LockConfig{
		"Holder": {Holder: "a\nb"}, "TTL": {Holder: "x", TTL: 1500 * time.Millisecond}, "Margin": {Holder: "x", TTL: 4 * time.Second, Margin: 3 * time.Second},
	} {
		_, err := c.NewLock(cfg)
		if bad := wantAs[*etcdregistry.ConfigError](t, err); bad.Field != field {
			t.Errorf("%v, want one about %s", err, field)
		}
	}
	if _, err := c.NewLock(etcdregistry.LockConfig{}); err == nil {
		t.Error("a lock without a holder")
	}
}

func TestACallToNobodyEndsWithItsPatience(t *testing.T) {
	t.Parallel()
	cfg := etcdregistry.Config{Endpoints: []string{"127.0.0.1:1"}, Attempt: 50 * time.Millisecond, Patience: 200 * time.Millisecond}
	c := open(t, "c", cfg)
	start := time.Now()
	_, err := c.Registry().Load(t.Context())
	wantAs[*etcdregistry.UnavailableError](t, err)
	if !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("%v does not name the endpoint", err)
	}
	if took := time.Since(start); took < cfg.Patience || took > bound {
		t.Errorf("it took %s", took)
	}
	cfg.Username, cfg.Password = "u", "hunter2"
	_, err = etcdregistry.Open("c", cfg)
	wantAs[*etcdregistry.UnavailableError](t, err)
	hides(t, err, "hunter2")
}
