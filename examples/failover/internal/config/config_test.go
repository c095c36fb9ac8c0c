package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
)

const good = `cluster: orders
engine: mariadb
by: ops
policy: at-least(2)
registry:
  file: DIR/registry
mariadb:
  user: tenure
  password: {env: TENURE_TEST_PASSWORD}
  replication:
    user: repl
    password: {file: DIR/password}
nodes:
  - id: n1
    addr: 10.0.0.1:3306
    zone: a
  - id: n2
    addr: 10.0.0.2:3306
    priority: 5
  - id: n3
    addr: 10.0.0.3:3306
    never_leads: true
limits:
  drain: 500ms
watch:
  interval: 200ms
`

func parse(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("replication-secret\n"), 0o600))
	return config.Parse("f.yaml", []byte(strings.ReplaceAll(text, "DIR", dir)))
}

func TestAConfigurationIsReadWholeWithItsDefaults(t *testing.T) {
	t.Setenv("TENURE_TEST_PASSWORD", "admin-secret")
	cfg, err := parse(t, good)
	require.NoError(t, err)
	require.Equal(t, leadership.Full, cfg.Mode)
	require.Equal(t, "10.0.0.2:3306", cfg.Nodes[1].Replication)
	require.Equal(t, 500*time.Millisecond, cfg.Limits.Reparent().Drain)
	require.Equal(t, config.Duration(6*time.Second), cfg.Watch.DeadAfter, "a shorter interval does not make a silent leader dead sooner")
	require.Equal(t, config.Duration(time.Second), cfg.Watch.Timeout)
	require.Equal(t, config.Duration(400*time.Millisecond), cfg.Watch.RefusedAfter)
	require.False(t, cfg.Watch.Enabled, "nothing happens by itself unless it is asked for")
	rs, err := cfg.Ruleset()
	require.NoError(t, err)
	require.Equal(t, "at-least(2)", rs.Policy)
	require.True(t, rs.Members[2].Ineligible)
	secrets, err := cfg.Secrets()
	require.NoError(t, err)
	require.Equal(t, []string{"admin-secret", "replication-secret"}, secrets)
	require.NotContains(t, fmt.Sprintf("%+v %v", cfg, cfg.MariaDB.Password), "secret", "a printed configuration shows no password")

	t.Setenv("TENURE_TEST_PASSWORD", "")
	_, err = cfg.Secrets()
	require.ErrorAs(t, err, new(*config.Error))
	require.ErrorContains(t, err, "TENURE_TEST_PASSWORD")
}

func TestTheDefaultsOfTheDetectorFitEachOther(t *testing.T) {
	t.Setenv("TENURE_TEST_PASSWORD", "admin-secret")
	for given, want := range map[string][4]time.Duration{ // interval, timeout, refused_after, dead_after
		"enabled: true": {250 * time.Millisecond, time.Second, 500 * time.Millisecond, 6 * time.Second},
		"interval: 3s":  {3 * time.Second, 3 * time.Second, 6 * time.Second, 18 * time.Second},
	} {
		cfg, err := parse(t, strings.Replace(good, "watch:\n  interval: 200ms\n", "watch:\n  "+given+"\n", 1))
		require.NoError(t, err)
		w := cfg.Watch
		require.Equal(t, want, [4]time.Duration{time.Duration(w.Interval), time.Duration(w.Timeout), time.Duration(w.RefusedAfter), time.Duration(w.DeadAfter)}, given)
	}
}

func TestWhatMakesNoSenseIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	swap := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the configuration", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for _, c := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"an unknown key", swap("by: ops", "bye: ops"), 3, "there is no key bye here"},
		{"an unknown key of a node", swap("    zone: a", "    zon: a"), 16, "there is no key zon here"},
		{"an unknown key of the watch", swap("  interval: 200ms", "  intervall: 200ms"), 26, "there is no key intervall here"},
		{"a key twice", swap("by: ops", "by: ops\nby: me"), 4, "already"},
		{"a password that is written out", swap("{env: TENURE_TEST_PASSWORD}", "hunter2secret"), 9, "not written into this file"},
		{"a password from nowhere", swap("{env: TENURE_TEST_PASSWORD}", "{vault: x}"), 9, "there is no key vault here"},
		{"a password from two places", swap("{env: TENURE_TEST_PASSWORD}", "{env: X, file: y}"), 9, "{env: NAME} or {file: PATH}"},
		{"no duration", swap("drain: 500ms", "drain: 500"), 24, "is no duration"},
		{"a negative duration", swap("drain: 500ms", "drain: -1s"), 24, "below zero"},
		{"no number", swap("priority: 5", "priority: high"), 19, "cannot unmarshal"},
		{"no engine", swap("engine: mariadb", "engine: oracle"), 2, "want mariadb or postgres"},
		{"the section of another engine", swap("engine: mariadb", "engine: postgres"), 2, "needs the section postgres"},
		{"no policy of ours", swap("at-least(2)", "most"), 4, "policy cannot be used"},
		{"a bad name", swap("by: ops", "by: Operator"), 3, "1 to 12 of a-z"},
		{"a bad address", swap("addr: 10.0.0.1:3306", "addr: 10.0.0.1"), 15, "want host:port"},
		{"a node twice", swap("id: n2", "id: n1"), 17, "as another node's is"},
		{"no registry", swap("  file: DIR/registry", "  etcd:"), 5, "exactly one"},
		{"a registry nowhere", swap("DIR/registry", "DIR/none/registry"), 6, "not there"},
		{"one look is enough", swap("interval: 200ms", "interval: 200ms\n  refused_after: 100ms"), 27, "one look must not be enough"},
		{"dead before it can be asked twice", swap("interval: 200ms", "interval: 200ms\n  timeout: 1s\n  dead_after: 1s"), 28, "below two looks"},
		{"a mode of its own", swap("by: ops", "by: ops\nmode: fast"), 4, "want full or shortcut"},
		{"an agent of the other engine", swap("addr: 10.0.0.1:3306", "addr: 10.0.0.1:3306\n    agent: https://h:1"), 16, "is for the engine postgres"},
		{"agents that check nobody", good + "agents:\n  tls: {ca: /dev/null}\n", 28, "check each other"},
		{"a token from the environment", good + "agents:\n  token: {env: X}\n", 28, "read from a file"},
		{"two documents", good + "---\ncluster: b\n", 0, "more than one document"},
		{"nothing", "", 0, "is empty"},
		{"no YAML", "a: [", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, c.text)
			require.Error(t, err)
			var e *config.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.line, e.Line, "%v", err)
			require.Contains(t, e.Reason, c.want)
			require.NotContains(t, err.Error(), "hunter2", "a password is not repeated")
			require.NotContains(t, err.Error(), "config.", "types of the program are not the user's affair")
		})
	}
}

const behind = `cluster: orders
engine: postgres
by: ops
registry:
  file: DIR/registry
postgres:
  user: tenure
  password: {env: TENURE_TEST_NOT_HERE}
  replication: {user: repl}
agents:
  token: {file: DIR/password}
nodes:
  - id: n1
    addr: 10.0.0.1:5432
    agent: http://127.0.0.1:7443
  - id: n2
    addr: 10.0.0.2:5432
    agent: http://127.0.0.1:7444
    postgres: {data: /d, dir: /e}
`

func TestANodeBehindAnAgentNeedsNeitherPathsNorPasswords(t *testing.T) {
	t.Parallel()
	cfg, err := parse(t, behind)
	require.NoError(t, err)
	secrets, err := cfg.Secrets()
	require.NoError(t, err, "the server's password is not read")
	require.Equal(t, []string{"replication-secret"}, secrets, "the token is one")
	require.Equal(t, config.Duration(20*time.Second), cfg.Agents.Stop)

	_, _, err = cfg.Beside("n9")
	require.ErrorContains(t, err, "no node")
	_, _, err = cfg.Beside("n1")
	require.ErrorContains(t, err, "needs data and dir")
	n, url, err := cfg.Beside("n2")
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:7444", url)
	require.Equal(t, "/d", n.Postgres.Data)
	_, err = cfg.Secrets()
	require.ErrorContains(t, err, "TENURE_TEST_NOT_HERE", "whoever works on the server needs its password")
	_, _, err = cfg.Beside("n2")
	require.ErrorContains(t, err, "no agent")

	for _, k := range []struct{ old, with, want string }{
		{"http://127.0.0.1:7443", "http://10.0.0.1:7443", "loopback"},
		{"http://127.0.0.1:7443", "https://10.0.0.1:7443", "needs agents.tls"},
		{"http://127.0.0.1:7443", "7443", "want https://host:port"},
		{"  token: {file: DIR/password}", "  stop: 1s", "needs agents.token"},
		{"    agent: http://127.0.0.1:7443\n", "", "or the node has an agent"},
		{"data: /d", "data: d", "absolute"},
	} {
		require.Contains(t, behind, k.old)
		_, err := parse(t, strings.Replace(behind, k.old, k.with, 1))
		require.ErrorContains(t, err, k.want)
	}
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parse(t, strings.NewReplacer("engine: mariadb", "engine: oracle", "by: ops", "by: ÖPS", "10.0.0.3:3306", "x").Replace(good))
	for _, want := range []string{"f.yaml:2:", "f.yaml:3:", "f.yaml:21:"} {
		require.ErrorContains(t, err, want)
	}
	_, err = config.Load(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "no such file")
	require.False(t, errors.Is(err, os.ErrExist))
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("cluster: {}\nnodes: [1, {id: x}]\nwatch: {observers: -1}\n")
	f.Add("nodes:\n  - &a {id: n1, addr: 'h:1'}\n  - *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Parse("f.yaml", []byte(text))
		if err == nil && (cfg.Cluster == "" || len(cfg.Nodes) == 0) {
			t.Fatal("a configuration without a cluster or nodes was taken")
		}
	})
}
