package engines

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// PostgresConfig describes a PostgreSQL server.
type PostgresConfig struct {
	_ struct{}

	// Name is the name of the server, of its directory, and its cluster_name;
	// "" is "p". A name that the Host has already gets a number.
	Name string
	// Settings are written to postgresql.conf after those of the harness,
	// which are PostgresSettings, so that they win. A value is quoted as needed.
	Settings map[string]string
	// Bare leaves PostgresSettings out: the server has what initdb wrote from
	// postgresql.conf.sample, except for where it is.
	Bare bool
	// HBA replaces pg_hba.conf; "" keeps initdb's, which trusts everybody on
	// loopback and the socket, for replication too.
	HBA string
	// Standby writes standby.signal, so that the first start is one as a
	// standby. All servers of a Host with the same Init have the same system
	// identifier and can follow each other.
	Standby bool
	// Init is SQL that is run once, when the template is made, each command on
	// a line of its own. Servers with the same Init share a template.
	Init string
}

// PostgresSettings returns the settings that a server gets unless it is bare:
// small and quick, without a role, fit for pg_rewind and for replication.
func PostgresSettings() map[string]string {
	return map[string]string{
		"shared_buffers": "16MB", "autovacuum": "off",
		"wal_log_hints": "on", "wal_keep_size": "256MB", "wal_level": "replica", "hot_standby": "on",
		"max_wal_senders": "10", "wal_retrieve_retry_interval": "100ms",
		"wal_receiver_timeout": "5s", "wal_sender_timeout": "5s", "min_wal_size": "32MB",
	}
}

// Postgres makes a PostgreSQL server, which is not started yet. Its superuser is
// postgres, without a password. Its log is outside the data directory. A missing
// binary is a *NotFound.
//
// What the harness and Settings configure is in postgresql.conf, as on any
// machine: ALTER SYSTEM overrides it, pg_ctl reads it, and pg_rewind overwrites
// it, ports included, with that of the source.
func (h *Host) Postgres(ctx context.Context, c PostgresConfig) (*Server, error) {
	name := c.Name
	if name == "" {
		name = "p"
	}
	return h.create(ctx, name, kind{
		engine: Postgres, ports: 1, binary: "postgres",
		args:  func(s *Server) []string { return []string{"-D", s.Data()} },
		probe: postgresServes, stop: syscall.SIGINT, death: syscall.SIGQUIT,
		prepare: func(s *Server) error { return s.writePostgresConf(c) },
		fill: func(ctx context.Context, s *Server) error {
			from, err := h.template(ctx, "postgres "+c.Init, s.user, func(dir string) error {
				return postgresInstall(ctx, s, dir, c.Init)
			})
			if err != nil {
				return err
			}
			if err := copyTree(filepath.Join(from, "data"), s.Data(), s.user); err != nil {
				return err
			}
			if !c.Standby {
				return nil
			}
			return s.writeData("standby.signal", nil)
		},
	})
}

func postgresInstall(ctx context.Context, s *Server, dir, init string) error {
	data := filepath.Join(dir, "data")
	err := s.host.tool(ctx, s.user, dir, "", s.bin["initdb"],
		"-D", data, "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8", "--wal-segsize=16")
	if err != nil || strings.TrimSpace(init) == "" {
		return err
	}
	return s.host.tool(ctx, s.user, dir, init+"\n", s.bin["postgres"],
		"--single", "-D", data, "-c", "dynamic_shared_memory_type=mmap", "-c", "exit_on_error=true", "postgres")
}

const confMark = "\n# What the harness adds.\n"

// writePostgresConf appends to what initdb wrote; the later line wins.
func (s *Server) writePostgresConf(c PostgresConfig) error {
	conf := map[string]string{
		"cluster_name": s.name,
	}
	if !c.Bare {
		maps.Copy(conf, PostgresSettings())
	}
	maps.Copy(conf, c.Settings)
	maps.Copy(conf, map[string]string{
		"listen_addresses": "127.0.0.1", "port": fmt.Sprint(s.Port()), "unix_socket_directories": s.dir,
		// A killed server would leave a POSIX segment in /dev/shm.
		"dynamic_shared_memory_type": "mmap",
	})
	path := filepath.Join(s.Data(), "postgresql.conf")
	have, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("engines: %w", err)
	}
	have, _, _ = bytes.Cut(have, []byte(confMark))
	var b strings.Builder
	b.Write(have)
	b.WriteString(confMark)
	for _, k := range slices.Sorted(maps.Keys(conf)) {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.ReplaceAll(conf[k], "'", "''"))
	}
	if err := s.writeData("postgresql.conf", []byte(b.String())); err != nil {
		return err
	}
	if c.HBA == "" {
		return nil
	}
	return s.writeData("pg_hba.conf", []byte(c.HBA))
}

func (s *Server) writeData(name string, content []byte) error {
	path := filepath.Join(s.Data(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("engines: %w", err)
	}
	return own(path, s.user)
}

// postgresServes asks for a session as pg_isready does. Any answer but "the
// database system is starting up" (SQLSTATE 57P03) comes from a server that
// serves, a refusal by pg_hba.conf too.
func postgresServes(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	body = append(body, "user\x00postgres\x00database\x00postgres\x00\x00"...)
	msg := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	if _, err := conn.Write(append(msg, body...)); err != nil {
		return err
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if head[0] != 'E' {
		return nil
	}
	rest := make([]byte, min(4096, max(4, binary.BigEndian.Uint32(head[1:]))-4))
	if _, err := io.ReadFull(conn, rest); err != nil {
		return err
	}
	if bytes.Contains(rest, []byte("C57P03\x00")) {
		return fmt.Errorf("not yet: %q", rest)
	}
	return nil
}
