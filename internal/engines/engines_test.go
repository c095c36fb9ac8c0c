package engines_test

import (
	"os"
	"testing"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

var host *engines.Host

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, &host)) }

func TestServersOfEachEngineAreKilledFrozenAndRestarted(t *testing.T) {
	t.Parallel()
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		lives(t, enginetest.MariaDB(t, host, 3, engines.MariaDBConfig{}))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		lives(t, enginetest.Postgres(t, host, 3, engines.PostgresConfig{}))
	})
	t.Run("etcd", func(t *testing.T) {
		t.Parallel()
		enginetest.Need(t, engines.Etcd)
		e := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
		lives(t, e.Members())
		if err := e.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func lives(t *testing.T, all []*engines.Server) {
	t.Helper()
	for _, s := range all {
		for _, step := range []struct {
			what string
			do   func() error
			runs bool
		}{
			{"freeze", s.Freeze, true},
			{"thaw", s.Thaw, true},
			{"kill", s.Kill, false},
			{"start", func() error { return s.Start(t.Context()) }, true},
			{"freeze again", s.Freeze, true},
			{"stop while frozen", func() error { return s.Stop(t.Context()) }, false},
			{"start again", func() error { return s.Start(t.Context()) }, true},
			{"restart", func() error { return s.Restart(t.Context()) }, true},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s of %s: %v", step.what, s.Name(), err)
			}
			if s.Running() != step.runs {
				t.Fatalf("after %s of %s, Running is %v", step.what, s.Name(), s.Running())
			}
		}
	}
}
