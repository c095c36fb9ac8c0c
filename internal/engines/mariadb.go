package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// MariaDBConfig describes a MariaDB server.
type MariaDBConfig struct {
	_ struct{}

	// Name is the name of the server and of its directory; "" is "m". A name
	// that the Host has already gets a number.
	Name string
	// ServerID is the server_id of replication, unique among the servers that
	// replicate from one another. It is required.
	ServerID int
	// Flags are added to the command line after those of the harness, which are
	// MariaDBFlags, so that they win.
	Flags []string
	// Bare leaves MariaDBFlags out: the server has its defaults, except for
	// where it is.
	Bare bool
	// DefaultsFile is read as the server's option file, for instance
	// /etc/mysql/mariadb.cnf for what Debian configures; "" reads none.
	DefaultsFile string
	// Init is SQL that is run once, when the template is made, before any
	// replication: accounts, databases, tables. Each statement ends its line. It
	// is not in a binary log. Servers with the same Init share a template.
	Init string
}

// MariaDBFlags returns the flags that a server is started with unless it is
// bare: small and quick, without a role, durable in what it acknowledges, and
// fenced after each start.
func MariaDBFlags() []string {
	return []string{
		"--skip-name-resolve", "--performance-schema=OFF",
		"--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M",
		"--log-bin=bin", "--relay-log=relay", "--log-slave-updates=1", "--gtid-strict-mode=1",
		"--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1",
		"--sync-relay-log=1", "--sync-master-info=1",
		"--rpl-semi-sync-slave-enabled=1", "--rpl-semi-sync-master-enabled=0",
		"--rpl-semi-sync-master-wait-point=AFTER_SYNC",
		"--rpl-semi-sync-master-timeout=18446744073709551615",
		"--rpl-semi-sync-master-wait-no-slave=1", "--rpl-semi-sync-slave-kill-conn-timeout=1",
		"--read-only=1", "--skip-slave-start=1", "--init-rpl-role=SLAVE",
		"--slave-parallel-threads=4", "--slave-net-timeout=5",
	}
}

// MariaDB makes a MariaDB server, which is not started yet. Its root account has
// no password and may connect from 127.0.0.1 and by the socket. A missing binary is a
// *NotFound.
func (h *Host) MariaDB(ctx context.Context, c MariaDBConfig) (*Server, error) {
	if c.ServerID <= 0 {
		return nil, errors.New("engines: mariadb: ServerID must be positive")
	}
	name := c.Name
	if name == "" {
		name = "m"
	}
	return h.create(ctx, name, kind{
		engine: MariaDB, ports: 1, binary: "mariadbd",
		args: func(s *Server) []string {
			first := "--no-defaults"
			if c.DefaultsFile != "" {
				first = "--defaults-file=" + c.DefaultsFile
			}
			args := []string{
				first, "--datadir=" + s.Data(), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.Port()),
				"--socket=" + s.Socket(), "--pid-file=" + filepath.Join(s.dir, "pid"),
				// A server that starts deletes what it takes for temporary tables of
				// an earlier life, of any server that has them in the same place.
				"--tmpdir=" + s.dir,
				"--log-error=" + s.Log(), "--server-id=" + strconv.Itoa(c.ServerID),
			}
			if !c.Bare {
				args = append(args, MariaDBFlags()...)
			}
			return append(args, c.Flags...)
		},
		probe: mariadbServes, stop: syscall.SIGTERM, death: syscall.SIGKILL,
		prepare: func(*Server) error { return nil },
		fill: func(ctx context.Context, s *Server) error {
			from, err := h.template(ctx, "mariadb "+c.Init, s.user, func(dir string) error {
				return mariadbInstall(ctx, s, dir, c.Init)
			})
			if err != nil {
				return err
			}
			return copyTree(filepath.Join(from, "data"), s.Data(), s.user)
		},
	})
}

func mariadbInstall(ctx context.Context, s *Server, dir, init string) error {
	sql := filepath.Join(dir, "init.sql")
	// The server that runs this does not read its grant tables before it is told to.
	if err := os.WriteFile(sql, []byte("FLUSH PRIVILEGES;\n"+init+"\n"), 0o644); err != nil {
		return fmt.Errorf("engines: %w", err)
	}
	args := []string{
		"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--tmpdir=" + dir,
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
		"--innodb-log-file-size=8M", "--extra-file=" + sql,
	}
	return s.host.tool(ctx, s.user, dir, "", s.bin["mariadb-install-db"], args...)
}

// mariadbServes reads the greeting that MariaDB sends first: a packet of
// protocol version 10.
func mariadbServes(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if head[4] != 10 {
		return fmt.Errorf("greeting of protocol %d", head[4])
	}
	return nil
}

const dialBound = time.Second

// dial opens a connection whose reads and writes are bounded too.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialBound)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(dialBound)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
