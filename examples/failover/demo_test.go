package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/demo"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

func TestTheDemoOnMariaDBLosesNothing(t *testing.T) {
	t.Parallel()
	demoLosesNothing(t, engines.MariaDB, config.MariaDBEngine)
}

func TestTheDemoOnPostgreSQLLosesNothing(t *testing.T) {
	t.Parallel()
	demoLosesNothing(t, engines.Postgres, config.PostgresEngine)
}

func demoLosesNothing(t *testing.T, need engines.Engine, name string) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	enginetest.Need(t, need)
	enginetest.Slot(t)
	svg := filepath.Join(t.TempDir(), "out.svg")
	ctx, cancel := context.WithTimeout(t.Context(), 110*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), "demo", name, "-svg", svg, "-writers", "4", "-output", "json")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(t, cmd.Run(), "%s\n%s", out.String(), errOut.String())
	var d struct{ Demo demo.Result }
	require.NoError(t, json.Unmarshal(out.Bytes(), &d))
	require.Empty(t, d.Demo.Problems)
	require.Greater(t, d.Demo.Acked, 100)
	require.Len(t, d.Demo.Changes, 9)
	strict := 0
	for _, ch := range d.Demo.Changes {
		t.Logf("%-26s %-16s no leader %8s, gap %8s, errors %d, unknown %d", ch.Name, ch.Result, ch.Leaderless.Round(time.Millisecond), ch.Gap.Round(time.Millisecond), ch.Errors, ch.Unknown)
		if ch.Strict {
			strict++
			require.Zero(t, ch.Errors+ch.Unknown, ch.Name)
		}
	}
	require.Equal(t, 6, strict)
	b, err := os.ReadFile(svg)
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(b, new(struct{})), "the picture is not well formed")
}

func TestWatchersOnEtcdReplaceADeadLeaderAndNothingWhileEtcdIsDown(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts real servers")
	}
	enginetest.Need(t, engines.MariaDB, engines.Etcd)
	enginetest.Slot(t)
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	s := newScene(t, stage.Options{
		Engine: config.MariaDBEngine, Registry: "{etcd: {endpoints: [" + strings.Join(etcd.Endpoints(), ",") + "]}}", Barrier: "{etcd: true}",
		More: "watch:\n  enabled: true\n  observers: 2\n  interval: 100ms\n  timeout: 500ms\n  refused_after: 300ms\n  dead_after: 2s\n  calm: 1h\n  window: 2h\n",
	})
	s.ok(exitOK, "setup", "all")
	s.ok(exitOK, "bootstrap", "-to", "n1")
	w1, w2 := s.watcher("w1"), s.watcher("w2")
	healthy := func(e *events) func() bool { return func() bool { return e.last(is(verdict.Healthy)) } }
	eventually(t, "both see a healthy leader", func() bool { return healthy(w1)() && healthy(w2)() })

	// etcd goes: nothing is done, also while the leader goes.
	require.NoError(t, etcd.Members()[0].Kill())
	eventually(t, "both are unsure", func() bool { return w1.last(is(verdict.Unsure)) && w2.last(is(verdict.Unsure)) })
	require.NoError(t, s.Servers["n1"].Kill())
	timer := time.NewTimer(3 * time.Second) // well beyond what it takes with etcd
	defer timer.Stop()
	<-timer.C
	require.False(t, w1.has(changed) || w2.has(changed))

	// It comes back: now the leader is missed, and replaced.
	require.NoError(t, etcd.Members()[0].Start(t.Context()))
	eventually(t, "one of them replaces it", func() bool { return w1.has(changed) || w2.has(changed) })
	require.False(t, w1.has(changed) && w2.has(changed))
	require.NotEqualValues(t, "n1", s.leader())
	require.NoError(t, s.ComeBack(t.Context(), "n1"))
	s.ok(exitOK, "rejoin", "n1")
}

// watcher starts a process that watches, and ends it with the test.
func (s *scene) watcher(name string) *events {
	s.t.Helper()
	e := &events{}
	cmd := exec.Command(s.exe, "watch", "-name", name, "-output", "json", "-config", s.Config)
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = e, &errOut
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || s.t.Failed() {
			s.t.Logf("%s: %v: %s", name, err, errOut.String())
		}
	})
	return e
}

func TestTheExampleConfigurationIsOne(t *testing.T) {
	t.Setenv("FAILOVER_PASSWORD", "a")
	t.Setenv("REPLICATION_PASSWORD", "b")
	t.Setenv("ETCD_PASSWORD", "c")
	cfg, err := config.Load("testdata/failover.yaml")
	require.NoError(t, err)
	_, err = cfg.Secrets()
	require.NoError(t, err)
	all, err := mariadbServers(cfg)
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, s := range all {
		require.NoError(t, s.close())
	}
}
