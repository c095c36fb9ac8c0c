package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// postgresServers makes the nodes of PostgreSQL servers: behind their agents, or on
// this machine, since a node works in its server's data directory.
func postgresServers(cfg *config.Config) ([]server, error) {
	var all []server
	for _, n := range cfg.Nodes {
		open := func() (server, error) { return agentServer(cfg, n) }
		if n.Agent == "" {
			open = func() (server, error) {
				pc, err := postgresConfig(cfg, n)
				if err != nil {
					return server{}, err
				}
				return postgresServer(pc)
			}
		}
		s, err := open()
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

// postgresConfig is the configuration of a node on this machine. It reads the
// passwords.
func postgresConfig(cfg *config.Config, n config.Node) (pgnode.Config, error) {
	p := cfg.Postgres
	password, err := p.Password.Value()
	if err != nil {
		return pgnode.Config{}, err
	}
	replication, err := p.Replication.Password.Value()
	if err != nil {
		return pgnode.Config{}, err
	}
	pc := pgnode.Config{
		ID: n.ID, Conn: conninfo(p, n.Admin, p.User, password), Addr: n.Addr, Priority: n.Priority,
		Data: n.Postgres.Data, Dir: n.Postgres.Dir, HBA: n.Postgres.HBA, AdmitMethod: p.AdmitMethod,
		Controller: pgnode.PgCtl{Data: n.Postgres.Data, Bin: n.Postgres.Bin, Log: n.Postgres.Log, Options: n.Postgres.Options},
		Peers:      map[leadership.NodeID]pgnode.Peer{},
	}
	if p.Replication.User != p.User {
		pc.Admit = []string{p.Replication.User}
	}
	for _, o := range cfg.Nodes {
		if o.ID != n.ID {
			pc.Peers[o.ID] = pgnode.Peer{
				Conn:        conninfo(p, o.Admin, p.User, password),
				Replication: conninfo(p, o.Replication, p.Replication.User, replication),
			}
		}
	}
	return pc, nil
}

// postgresServer opens one node. One without a record yet is there, and says so
// whatever it is asked: setup makes the record.
func postgresServer(pc pgnode.Config) (server, error) {
	conf, err := pgx.ParseConfig(pc.Conn)
	if err != nil {
		return server{}, errors.New("its connection string cannot be used") // pgx may show it
	}
	db := stdlib.OpenDB(*conf)
	db.SetMaxOpenConns(1)
	s := server{
		setup:    func(ctx context.Context) error { return pgnode.Init(ctx, pc) },
		pulse:    func(ctx context.Context) (pulse, error) { return postgresPulse(ctx, db) },
		answered: postgresAnswered,
	}
	node, err := pgnode.New(pc)
	var none *acceptor.NoRecordError
	switch {
	case errors.As(err, &none):
		u := unset{pc.ID}
		s.node = reparent.Node{ID: pc.ID, Addr: pc.Addr, Status: u, Promise: u, StepDown: u, Candidate: u, Follow: u}
		s.close = db.Close
		return s, nil
	case err != nil:
		return server{}, errors.Join(err, db.Close())
	}
	s.node, s.doctor = node.Reparent(), node.Doctor
	s.close = func() error {
		node.Close()
		return db.Close()
	}
	return s, nil
}

// postgresAnswered reports whether an error came from a server that is up.
func postgresAnswered(err error) bool {
	var e *pgconn.PgError
	// 57P03 is that of a server which starts, recovers or stops.
	return errors.As(err, &e) && e.Code != "57P03"
}

// postgresPulse reads how replication gets on. A primary that hangs keeps the
// connection; what tells is that messages arrive.
func postgresPulse(ctx context.Context, db *sql.DB) (pulse, error) {
	var status, at, end sql.NullString
	var seconds [3]float64
	err := db.QueryRowContext(ctx, `SELECT r.status, r.last_msg_receipt_time::text, r.latest_end_lsn::text,
		extract(epoch FROM current_setting('wal_sender_timeout')::interval)::float8,
		extract(epoch FROM current_setting('wal_receiver_timeout')::interval)::float8,
		extract(epoch FROM current_setting('wal_receiver_status_interval')::interval)::float8
		FROM (VALUES (1)) one LEFT JOIN pg_stat_wal_receiver r ON true`).Scan(&status, &at, &end, &seconds[0], &seconds[1], &seconds[2])
	if err != nil {
		return pulse{}, err
	}
	var d [3]time.Duration
	for i, s := range seconds {
		d[i] = time.Duration(s * float64(time.Second))
	}
	return pulse{up: status.String == "streaming", beat: at.String + " " + end.String, silence: postgresSilence(d[0], d[1], d[2])}, nil
}

// postgresSilence is how long a primary without writes sends nothing. A walreceiver that
// got nothing for half of wal_receiver_timeout asks for a sign. A walsender gives one by
// itself when it got no reply for half of wal_sender_timeout, which the replies that a
// walreceiver sends every wal_receiver_status_interval put off. 0 turns each of them off.
func postgresSilence(sender, receiver, status time.Duration) time.Duration {
	silence := forever
	if receiver > 0 {
		silence = receiver / 2
	}
	if sender > 0 && (status == 0 || sender/2 < status) {
		silence = min(silence, sender/2)
	}
	return silence
}

// conninfo is libpq's connection string.
func conninfo(p *config.Postgres, addr, user, password string) string {
	host, port, _ := net.SplitHostPort(addr) // it was checked
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, kv := range [][2]string{
		{"host", host}, {"port", port}, {"user", user}, {"password", password}, {"dbname", p.Database},
		{"sslmode", p.SSLMode}, {"connect_timeout", "2"},
	} {
		if kv[1] != "" {
			fmt.Fprintf(&b, "%s='%s' ", kv[0], quote.Replace(kv[1]))
		}
	}
	return strings.TrimSpace(b.String())
}
