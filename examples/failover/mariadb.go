package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// mariadbServers makes the nodes of MariaDB servers.
func mariadbServers(cfg *config.Config) (_ []server, err error) {
	m := cfg.MariaDB
	password, err := m.Password.Value()
	if err != nil {
		return nil, err
	}
	repl := mariadbnode.Replication{User: m.Replication.User, Heartbeat: time.Duration(m.Replication.Heartbeat)}
	if repl.Password, err = m.Replication.Password.Value(); err != nil {
		return nil, err
	}
	if t := m.Replication.TLS; t != nil {
		repl.TLS, repl.CA, repl.Cert, repl.Key, repl.VerifyCert = true, t.CA, t.Cert, t.Key, t.CA != ""
	}
	tlsConf, err := tlsConfig(m.TLS)
	if err != nil {
		return nil, err
	}
	var all []server
	for _, n := range cfg.Nodes {
		s, err := mariadbServer(cfg, n, mariadbnode.Config{
			DSN: mariadbDSN(m.User, password, n.Admin), TLS: tlsConf, Replication: repl,
		})
		if err != nil {
			for _, s := range all {
				err = errors.Join(err, s.close())
			}
			return nil, fmt.Errorf("%s: %w", n.ID, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// mariadbDSN names a server and an account.
func mariadbDSN(user, password, addr string) string {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = user, password, "tcp", addr
	return c.FormatDSN()
}

// mariadbServer completes the configuration of one node and opens it.
func mariadbServer(cfg *config.Config, n config.Node, mc mariadbnode.Config) (server, error) {
	mc.ID, mc.Addr, mc.Priority = n.ID, n.Addr, n.Priority
	mc.Schema, mc.RestartsFenced = cfg.MariaDB.Schema, cfg.MariaDB.RestartsFenced
	mc.Peers = map[leadership.NodeID]string{}
	for _, p := range cfg.Nodes {
		if p.ID != n.ID {
			mc.Peers[p.ID] = p.Replication
		}
	}
	if n.MariaDB != nil && len(n.MariaDB.Kill) > 0 {
		mc.Controller = killCommand(n.MariaDB.Kill)
	}
	if n.MariaDB != nil && len(n.MariaDB.Rebuild) > 0 {
		mc.Rebuild = rebuildCommand(n.MariaDB.Rebuild)
	}
	node, err := mariadbnode.New(mc)
	if err != nil {
		return server{}, err
	}
	dsn, err := mysql.ParseDSN(mc.DSN)
	if err != nil {
		return server{}, errors.Join(errors.New("its address cannot be used"), node.Close())
	}
	dsn.TLS = mc.TLS
	connector, err := mysql.NewConnector(dsn)
	if err != nil {
		return server{}, errors.Join(errors.New("its address cannot be used"), node.Close())
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return server{
		node: node.Reparent(), doctor: node.Doctor, setup: node.Setup,
		pulse: func(ctx context.Context) (pulse, error) {
			p, err := mariadbPulse(ctx, db)
			p.silence = cmp.Or(mc.Replication.Heartbeat, mariadbHeartbeat)
			return p, err
		},
		answered: mariadbAnswered,
		close:    func() error { return errors.Join(db.Close(), node.Close()) },
	}, nil
}

// mariadbHeartbeat is how often a source sends something that has nothing to send, where
// the configuration does not say: the default of mariadbnode.
const mariadbHeartbeat = 500 * time.Millisecond

// mariadbAnswered reports whether an error came from the server.
func mariadbAnswered(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e)
}

// mariadbPulse reads how replication gets on. A source that hangs keeps the
// connection; what tells is that heartbeats and events arrive.
func mariadbPulse(ctx context.Context, db *sql.DB) (pulse, error) {
	rows, err := db.QueryContext(ctx, "SHOW ALL SLAVES STATUS")
	if err != nil {
		return pulse{}, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return pulse{}, err
	}
	var p pulse
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return pulse{}, err
		}
		row := map[string]string{}
		for i, c := range columns {
			row[c] = values[i].String
		}
		p = pulse{
			up:   row["Slave_IO_Running"] == "Yes",
			beat: row["Slave_received_heartbeats"] + " " + row["Gtid_IO_Pos"] + " " + row["Master_Log_File"] + " " + row["Read_Master_Log_Pos"],
		}
	}
	return p, rows.Err()
}

// killCommand is a Controller that runs a command.
type killCommand []string

// Kill implements mariadbnode.Controller.
func (k killCommand) Kill(ctx context.Context) error { return runCommand(ctx, k, nil) }

func rebuildCommand(args []string) func(context.Context, mariadbnode.Rebuild) error {
	return func(ctx context.Context, r mariadbnode.Rebuild) error {
		return runCommand(ctx, args, []string{
			"TENURE_NODE=" + string(r.Node), "TENURE_FROM=" + string(r.From), "TENURE_FROM_ADDR=" + r.FromAddr,
		})
	}
}

// runCommand runs a program to its end. Its output is in the error when it fails.
func runCommand(ctx context.Context, args, env []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	// Whoever inherited its output must not keep this from returning.
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out[max(0, len(out)-500):])
	}
	return nil
}

// tlsConfig reads certificates, nil for none.
func tlsConfig(t *config.TLS) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", t.CA)
		}
	}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
