package stage

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// postgresHBA trusts the harness's superuser only.
const postgresHBA = `local all postgres trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
host replication tenure,repl 127.0.0.1/32 scram-sha-256
`

func postgresCast() cast {
	return cast{
		server: func(ctx context.Context, host *engines.Host, i int) (*engines.Server, error) {
			return host.Postgres(ctx, engines.PostgresConfig{
				Name: fmt.Sprintf("n%d", i+1), Standby: i > 0, HBA: postgresHBA, Init: postgresAccounts(),
			})
		},
		section: `postgres:
  user: tenure
  password: {file: ADMIN}
  sslmode: disable
  replication:
    user: repl
    password: {file: REPLICATION}
`,
		node: func(s *Stage, srv *engines.Server, id leadership.NodeID) (string, error) {
			dir := filepath.Join(s.Dir, string(id))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return "", err
			}
			return fmt.Sprintf("    postgres:\n      data: %s\n      dir: %s\n      bin: %s\n      log: %s\n",
				srv.Data(), dir, filepath.Dir(srv.Binary("pg_ctl")), srv.Log()), nil
		},
		// Its node starts the server when it is asked for anything.
		comeBack: postgresReaped,
		insert:   "INSERT INTO app (id) VALUES ($1)",
		rows: func(ctx context.Context, addr string) ([]int64, error) {
			// A server that does not lead lets in nobody but the node's own roles.
			conf, err := postgresConf(addr, "tenure", AdminPassword)
			if err != nil {
				return nil, err
			}
			return IDs(ctx, stdlib.OpenDB(conf), "SELECT id FROM app ORDER BY id")
		},
	}
}

// postgresAccounts is the SQL of a new server, a statement on each line.
func postgresAccounts() string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	lines := []string{
		"CREATE ROLE tenure LOGIN PASSWORD " + quote(AdminPassword),
		"CREATE ROLE repl LOGIN REPLICATION PASSWORD " + quote(ReplicationPassword),
		"CREATE ROLE app LOGIN PASSWORD " + quote(AppPassword),
		"CREATE TABLE app (id bigint PRIMARY KEY)",
		"GRANT SELECT, INSERT ON app TO app", "GRANT SELECT ON app TO tenure",
	}
	for _, s := range append(pgnode.Setup("tenure"), pgnode.Grants("tenure")...) {
		lines = append(lines, strings.Join(strings.Fields(s), " "))
	}
	return strings.Join(lines, "\n")
}

// postgresConf is how a client reaches a server.
func postgresConf(addr, user, password string) (pgx.ConnConfig, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return pgx.ConnConfig{}, err
	}
	conf, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable connect_timeout=5", host, port, user))
	if err != nil {
		return pgx.ConnConfig{}, err
	}
	conf.Password = password
	return *conf, nil
}

func postgresLoad(password string) (load.Engine, error) {
	return load.Engine{Nodes: func(_ leadership.NodeID, addr string) (sqlbuffer.Node, error) {
		conf, err := postgresConf(addr, "app", password)
		if err != nil {
			return sqlbuffer.Node{}, err
		}
		return pgnode.SQL(conf), nil
	}}, nil
}

// postgresReaped waits until the process that a data directory names is gone, for its
// parent may be slow to take note of its end, and PostgreSQL starts nothing before.
func postgresReaped(ctx context.Context, srv *engines.Server) error {
	b, err := os.ReadFile(filepath.Join(srv.Data(), "postmaster.pid"))
	if err != nil {
		return nil // it ended in order
	}
	pid, _, _ := strings.Cut(string(b), "\n")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !srv.Running() {
		if _, err := os.Stat(filepath.Join("/proc", pid)); err != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %s has ended and nobody takes note: %w", pid, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
