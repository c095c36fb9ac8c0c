package engines_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

// query runs SQL with the engine's own client, which is a test dependency of
// this package only.
func query(ctx context.Context, s *engines.Server, sql string) (string, error) {
	var path string
	var args []string
	if path = s.Binary("psql"); path != "" && strings.HasPrefix(s.Name(), "p") {
		args = []string{"-h", s.Socket(), "-p", fmt.Sprint(s.Port()), "-U", "postgres", "-Atc", sql}
	} else if path = s.Binary("mariadb"); path != "" {
		args = []string{"--no-defaults", "-h127.0.0.1", fmt.Sprintf("-P%d", s.Port()), "-uroot", "-Nse", sql}
	}
	cmd, err := s.Command(ctx, path, args...)
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return "", fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func TestInitIsInEveryServer(t *testing.T) {
	t.Parallel()
	m := enginetest.MariaDB(t, host, 2, engines.MariaDBConfig{
		Init: "CREATE DATABASE app;\nCREATE TABLE app.t (id BIGINT PRIMARY KEY);\nCREATE USER u@'%' IDENTIFIED BY 'x';\nINSERT INTO app.t VALUES (7);\n"})
	for _, s := range m {
		got, err := query(t.Context(), s, "SELECT id, @@gtid_binlog_state, @@read_only, @@server_id FROM app.t")
		t.Log(got, err)
	}
	p := enginetest.Postgres(t, host, 2, engines.PostgresConfig{Init: "CREATE TABLE t (id bigint primary key);\nINSERT INTO t VALUES (7);\n"})
	for _, s := range p {
		got, err := query(t.Context(), s, "SELECT id, pg_is_in_recovery(), current_setting('cluster_name'), (select count(*) from pg_stat_wal_receiver) FROM t")
		t.Log(got, err)
	}
}
