package pgnode_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

func TestTheDoctorOnADefaultConfiguration(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.Postgres)
	s := enginetest.Start(t, 1, func(int) (*engines.Server, error) {
		return host.Postgres(t.Context(), engines.PostgresConfig{Name: "bare", Bare: true, Init: initSQL()})
	})[0]
	cfg := pgnode.Config{ID: "n1", Conn: dsn(s.Addr(), role), Addr: s.Addr(), Data: s.Data(), Dir: t.TempDir(), Controller: control{s}}
	require.NoError(t, pgnode.Init(t.Context(), cfg))
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()
	fs, err := n.Doctor(t.Context())
	require.NoError(t, err)
	var got []string
	for _, f := range fs {
		t.Log(f)
		got = append(got, string(f.Severity)+" "+f.Subject)
	}
	require.Equal(t, []string{
		"loss synchronous_standby_names is empty",
		"outage wal_log_hints=off, data_checksums=off",
		"advice wal_keep_size=0",
		"advice wal_retrieve_retry_interval=5000ms",
		"advice wal_receiver_timeout=60000ms",
		"advice wal_sender_timeout=60000ms",
		"advice restart_after_crash=on",
		"advice superusers that may log in: postgres",
	}, got)
}

// TestTheDoctorFindsWhatCanBeLost breaks the settings one by one: each finding is
// there when the setting is wrong, and not before.
func TestTheDoctorFindsWhatCanBeLost(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.Postgres)
	s := enginetest.Start(t, 1, func(int) (*engines.Server, error) {
		return host.Postgres(t.Context(), engines.PostgresConfig{Name: "sick", Init: initSQL()})
	})[0]
	c := &cluster{t: t, servers: map[leadership.NodeID]*engines.Server{"n1": s}}
	cfg := pgnode.Config{ID: "n1", Conn: dsn(s.Addr(), role), Addr: s.Addr(), Data: s.Data(), Dir: t.TempDir(), Controller: control{s}}
	require.NoError(t, pgnode.Init(t.Context(), cfg))
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()
	before := subjects(t, n)
	super := c.connect("n1", "postgres")
	for _, tc := range []struct {
		do, undo string
		subject  string
		severity reparent.Severity
	}{
		{"ALTER ROLE app SET synchronous_commit = off", "ALTER ROLE app RESET synchronous_commit", "synchronous_commit=off for role app", reparent.SeverityLoss},
		{"ALTER DATABASE postgres SET synchronous_commit = local", "ALTER DATABASE postgres RESET synchronous_commit", "synchronous_commit=local for database postgres", reparent.SeverityLoss},
		{"ALTER ROLE app IN DATABASE postgres SET synchronous_commit = remote_write", "ALTER ROLE app IN DATABASE postgres RESET synchronous_commit", "synchronous_commit=remote_write for role app in database postgres", reparent.SeverityLoss},
		{"ALTER ROLE ALL SET synchronous_commit = 'local'", "ALTER ROLE ALL RESET synchronous_commit", "synchronous_commit=local for every role", reparent.SeverityLoss},
		{"ALTER SYSTEM SET synchronous_commit = remote_write", "ALTER SYSTEM RESET synchronous_commit", "synchronous_commit=remote_write", reparent.SeverityLoss},
		{"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (*)'", "ALTER SYSTEM RESET synchronous_standby_names", "synchronous_standby_names=FIRST 1 (*)", reparent.SeverityLoss},
		{"ALTER SYSTEM SET fsync = off", "ALTER SYSTEM RESET fsync", "fsync=off", reparent.SeverityLoss},
		{"ALTER SYSTEM SET full_page_writes = off", "ALTER SYSTEM RESET full_page_writes", "full_page_writes=off", reparent.SeverityLoss},
		{"ALTER SYSTEM SET restore_command = 'true'", "ALTER SYSTEM RESET restore_command", "restore_command is set", reparent.SeverityAdvice},
		{"ALTER SYSTEM SET recovery_min_apply_delay = 1000", "ALTER SYSTEM RESET recovery_min_apply_delay", "recovery_min_apply_delay=1000", reparent.SeverityOutage},
		{"ALTER SYSTEM SET statement_timeout = 1000", "ALTER SYSTEM RESET statement_timeout", "statement_timeout=1000ms", reparent.SeverityAdvice},
		{"ALTER ROLE app SET statement_timeout = 1000", "ALTER ROLE app RESET statement_timeout", "statement_timeout=1000 for role app", reparent.SeverityAdvice},
		{"ALTER SYSTEM SET default_transaction_read_only = on", "ALTER SYSTEM RESET default_transaction_read_only", "default_transaction_read_only=on", reparent.SeverityAdvice},
		{"ALTER SYSTEM SET wal_sender_timeout = 0", "ALTER SYSTEM RESET wal_sender_timeout", "wal_sender_timeout=0ms", reparent.SeverityAdvice},
		{"ALTER TABLE tenure.marker RENAME TO gone", "ALTER TABLE tenure.gone RENAME TO marker", "there is no table tenure.marker", reparent.SeverityOutage},
	} {
		run := func(q string) {
			t.Helper()
			// The doctor itself must not be stopped by what it is to find.
			_, err := super.Exec(t.Context(), q)
			require.NoError(t, err)
			_, err = super.Exec(t.Context(), "SELECT pg_reload_conf()")
			require.NoError(t, err)
		}
		require.NotContains(t, before, tc.subject)
		run(tc.do)
		enginetest.Eventually(t, 5*time.Second, tc.subject, func(ctx context.Context) error {
			fs, err := n.Doctor(ctx)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(fs, func(f reparent.Finding) bool { return f.Subject == tc.subject && f.Severity == tc.severity }) {
				return errNoFinding
			}
			return nil
		})
		_, err := super.Exec(t.Context(), "SET default_transaction_read_only = off")
		require.NoError(t, err)
		run(tc.undo)
	}
}

var errNoFinding = &pgnode.ConfigError{Field: "doctor", Reason: "no such finding"}
