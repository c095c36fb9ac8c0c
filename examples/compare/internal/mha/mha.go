// Package mha runs three MariaDB servers with MHA, which changes their leader when it is
// told to, or when the leader is dead.
//
//	c, err := mha.New(ctx, host, mha.Config{Init: accounts, Settings: mha.Default()})
//	defer c.Close()
//	err = c.Switch(ctx)
//
// # Guarantees
//
// MHA's programs are those that are installed. Every acknowledged write is on a second
// server: replication is semi-synchronous and never falls back. MHA leaves that, and
// that the old leader becomes read-only, to scripts of its user; these are in scripts.go.
//
// # What it does not guarantee
//
// MHA has no shutdown_script here, so that nothing ends a leader that only hangs.
//
// # Assumptions
//
// All servers are on this machine: what MHA would run by ssh is run here, which costs
// it less than ssh would. The goroutine that uses a Cluster is locked to its thread.
//
// # State model
//
// MHA's.
//
// # Failure handling
//
// What MHA could not do is an error with the end of what it said.
package mha

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/examples/compare/internal/child"
	"github.com/tenure-go/tenure/internal/engines"
)

// Settings are what differs between the clusters that are compared.
type Settings struct {
	// PingInterval is MHA's, in seconds.
	PingInterval int
}

// Default is what MHA comes with.
func Default() Settings { return Settings{PingInterval: 3} }

// Tuned is as quick as MHA lets itself be set.
func Tuned() Settings { return Settings{PingInterval: 1} }

func (s Settings) String() string {
	return fmt.Sprintf("ping_interval %d, semi-synchronous replication without a timeout", s.PingInterval)
}

// Config says what to run.
type Config struct {
	_ struct{}

	// Init is the SQL of a new server.
	Init string
	// Settings is one of the above. Required.
	Settings Settings
}

const (
	switcher = "masterha_master_switch"
	manager  = "masterha_manager"
	bound    = 90 * time.Second
)

// Missing says that MHA is not installed, nil when it is.
func Missing() error {
	for _, p := range []string{switcher, manager, "apply_diff_relay_logs", "mysqlbinlog", "mysql"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is not installed; make compare installs it from apt", p)
		}
	}
	return nil
}

// Version is what it says that it is.
func Version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, manager, "--version").Output()
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// Cluster is three servers.
type Cluster struct {
	conf    Config
	servers []*engines.Server
	dbs     []*sql.DB
	dir     string // MHA's
	manager *child.Child
	starts  int // of the manager
}

// New starts three servers, of which the first leads.
func New(ctx context.Context, host *engines.Host, c Config) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	k := &Cluster{conf: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	init := c.Init + "CREATE USER 'mha'@'%' IDENTIFIED BY 'mha';\nGRANT ALL ON *.* TO 'mha'@'%';\n" +
		"CREATE USER 'repl'@'%' IDENTIFIED BY 'repl';\nGRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';\n"
	for i := range 3 {
		srv, err := host.MariaDB(ctx, engines.MariaDBConfig{Name: fmt.Sprintf("m%d", i+1), ServerID: i + 1, Init: init})
		if err != nil {
			return nil, err
		}
		k.servers = append(k.servers, srv)
		if err := srv.Start(ctx); err != nil {
			return nil, err
		}
		conf := mysql.NewConfig()
		conf.User, conf.Net, conf.Addr, conf.Timeout, conf.Logger = "root", "tcp", srv.Addr(), 2*time.Second, &mysql.NopLogger{}
		connector, err := mysql.NewConnector(conf)
		if err != nil {
			return nil, err
		}
		k.dbs = append(k.dbs, sql.OpenDB(connector))
	}
	k.dir = filepath.Join(k.servers[0].Dir(), "mha")
	if err := k.write(); err != nil {
		return nil, err
	}
	if err := k.exec(ctx, 0, "SET GLOBAL rpl_semi_sync_master_enabled=1", "SET GLOBAL read_only=0"); err != nil {
		return nil, err
	}
	for i := range k.servers[1:] {
		if err := k.follow(ctx, i+1, 0, ""); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// follow makes one server follow another, from where it is.
func (k *Cluster) follow(ctx context.Context, i, lead int, more string) error {
	return k.exec(ctx, i, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='repl', MASTER_PASSWORD='repl', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos%s",
		k.servers[lead].Port(), more), "START SLAVE")
}

func (k *Cluster) exec(ctx context.Context, i int, stmts ...string) error {
	for _, s := range stmts {
		if _, err := k.dbs[i].ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %s: %w", k.servers[i].Name(), s, err)
		}
	}
	return nil
}

// Names are the names of the servers.
func (k *Cluster) Names() (names []string) {
	for _, s := range k.servers {
		names = append(names, s.Name())
	}
	return names
}

// Addrs are where the servers are, in the order of Names.
func (k *Cluster) Addrs() (addrs []string) {
	for _, s := range k.servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

func (k *Cluster) index(name string) (int, error) {
	if i := slices.Index(k.Names(), name); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("mha: there is no server %q", name)
}

// Leader is who can be written to, when it is one other than those.
func (k *Cluster) Leader(ctx context.Context, but ...string) (lead string, err error) {
	err = k.poll(ctx, "one server that can be written to", func(ctx context.Context) bool {
		n := 0
		for i, name := range k.Names() {
			if slices.Contains(but, name) {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			var ro int
			if k.dbs[i].QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&ro) == nil && ro == 0 {
				lead, n = name, n+1
			}
			cancel()
		}
		return n == 1
	})
	return lead, err
}

// Settled waits until both others follow the leader and have what it has.
func (k *Cluster) Settled(ctx context.Context) error {
	lead, err := k.Leader(ctx)
	if err != nil {
		return err
	}
	return k.poll(ctx, "both others to follow "+lead, func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		at, err := k.index(lead)
		if err != nil {
			return false
		}
		var want string
		if k.dbs[at].QueryRowContext(ctx, "SELECT @@gtid_binlog_pos").Scan(&want) != nil {
			return false
		}
		for i := range k.servers {
			var have string
			var running int
			if i == at {
				continue
			}
			if k.dbs[i].QueryRowContext(ctx, "SELECT @@gtid_slave_pos").Scan(&have) != nil || have != want {
				return false
			}
			if k.dbs[i].QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND='Slave_IO' AND STATE LIKE 'Waiting for master%'").Scan(&running) != nil || running == 0 {
				return false
			}
		}
		return true
	})
}

func (k *Cluster) poll(ctx context.Context, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			err := fmt.Errorf("mha: waiting for %s: %w", what, context.Cause(ctx))
			if k.manager != nil {
				err = errors.Join(err, errors.New(k.manager.Tail()))
			}
			return err
		}
	}
	return nil
}
