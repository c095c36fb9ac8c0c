package engines_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

// query runs SQL with the engine's own client, and returns columns separated by
// tabs.
func query(ctx context.Context, s *engines.Server, sql string) (string, error) {
	var args []string
	path := s.Binary("psql")
	if s.User() == "postgres" || strings.Contains(s.Socket(), "/p") {
		args = []string{"-h", s.Socket(), "-p", fmt.Sprint(s.Port()), "-U", "postgres", "-AtF\t", "-c", sql}
	} else {
		path = s.Binary("mariadb")
		args = []string{"--no-defaults", "-h127.0.0.1", fmt.Sprintf("-P%d", s.Port()), "-uroot", "-Nse", sql}
	}
	cmd, err := s.Command(ctx, path, args...)
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimRight(string(out), "\n"), err
}

func TestMariaDBServersAreMadeFromOneTemplateAndFenced(t *testing.T) {
	t.Parallel()
	all := enginetest.MariaDB(t, host, 2, engines.MariaDBConfig{
		Init:  "CREATE DATABASE app;\nCREATE TABLE app.t (id BIGINT PRIMARY KEY);\nINSERT INTO app.t VALUES (7);\nCREATE USER u@'%';",
		Flags: []string{"--max-connections=77"},
	})
	for i, s := range all {
		got, err := query(t.Context(), s, "SELECT id, @@gtid_binlog_state, @@read_only, @@server_id, @@rpl_semi_sync_master_timeout, @@max_connections FROM app.t")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("7\t\t1\t%d\t18446744073709551615\t77", i+1), got, "what Init did is in no binary log")
		got, err = query(t.Context(), s, "SELECT @@tmpdir")
		require.NoError(t, err)
		require.Equal(t, s.Dir(), got, "servers that share one delete each other's temporary tables, and crash")
	}
	_, err := query(t.Context(), all[0], "SET GLOBAL read_only=0; INSERT INTO app.t VALUES (8)")
	require.NoError(t, err)
	require.NoError(t, all[0].Kill())
	require.NoError(t, all[0].Start(t.Context()))
	// Beside an aggregate this server shows 0 for every switch.
	got, err := query(t.Context(), all[0], "SELECT COUNT(*) FROM app.t; SELECT @@read_only")
	require.NoError(t, err)
	require.Equal(t, "2\n1", got, "its data is there, and it is fenced again")
	require.NoError(t, all[0].Wipe(t.Context()))
	require.NoError(t, all[0].Start(t.Context()))
	got, err = query(t.Context(), all[0], "SELECT COUNT(*) FROM app.t; SELECT @@gtid_binlog_state")
	require.NoError(t, err)
	require.Equal(t, "1\n", got+"\n", "it is a new one")
}

func TestABareMariaDBHasTheDefaultsOfItsOptionFile(t *testing.T) {
	t.Parallel()
	s := enginetest.MariaDB(t, host, 1, engines.MariaDBConfig{Bare: true})[0]
	got, err := query(t.Context(), s, "SELECT @@sync_binlog, @@log_bin, @@rpl_semi_sync_master_timeout, @@read_only")
	require.NoError(t, err)
	require.Equal(t, "0\t0\t10000\t0", got)
}

func TestPostgresStandbysFollowTheFirst(t *testing.T) {
	t.Parallel()
	all := enginetest.Postgres(t, host, 2, engines.PostgresConfig{
		Init:     "CREATE TABLE t (id bigint primary key);\nINSERT INTO t VALUES (7);",
		Settings: map[string]string{"work_mem": "5MB", "ha.term": "it's 0"},
	})
	_, err := query(t.Context(), all[0], "INSERT INTO t VALUES (8)")
	require.NoError(t, err)
	enginetest.Eventually(t, waitBound, "the standby has the row", func(ctx context.Context) error {
		got, err := query(ctx, all[1], "SELECT count(*), pg_is_in_recovery(), current_setting('cluster_name'), current_setting('work_mem'), current_setting('ha.term') FROM t")
		if err == nil && got != "2\tt\tp2\t5MB\tit's 0" && !strings.HasPrefix(got, "2\tt\tp2-") {
			err = errors.New(got)
		}
		return err
	})
}

func TestABarePostgresHasTheDefaultsOfInitdb(t *testing.T) {
	t.Parallel()
	s := enginetest.Postgres(t, host, 1, engines.PostgresConfig{Bare: true})[0]
	got, err := query(t.Context(), s, "SELECT current_setting('wal_log_hints'), current_setting('shared_buffers'), current_setting('synchronous_standby_names')")
	require.NoError(t, err)
	require.Equal(t, "off\t128MB\t", got)
}
