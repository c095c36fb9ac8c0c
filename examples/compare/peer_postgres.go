package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/examples/compare/internal/patroni"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
)

const (
	postgres = "PostgreSQL"
	mariadb  = "MariaDB"
)

// peerPassword is that of the application at servers of the other tools.
const peerPassword = "app-Secret"

// patroni is a side of Patroni, with frozen leaders or without, which take long.
func (c *compare) patroni(name string, set patroni.Settings, zombies bool) side {
	return side{postgres + ": Patroni, " + name, false, func(ctx context.Context) (err error) {
		s, err := c.scene(account.Key{Engine: postgres, Who: "Patroni", Settings: name})
		if err != nil {
			return err
		}
		etcd, err := s.host.Etcd(ctx, engines.EtcdConfig{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, etcd.Close()) }()
		k, err := patroni.New(ctx, s.host, patroni.Config{
			Etcd: strings.TrimPrefix(etcd.Endpoints()[0], "http://"), Settings: set,
			HBA: "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost replication repl 127.0.0.1/32 trust\nhost all app 127.0.0.1/32 scram-sha-256\n",
			Setup: []string{
				"CREATE ROLE app LOGIN PASSWORD '" + peerPassword + "'",
				"CREATE TABLE app (id bigint PRIMARY KEY)", "GRANT SELECT, INSERT ON app TO app",
			},
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.Close()) }()
		return s.patroni(ctx, k, set, zombies)
	}}
}

// patroni puts a cluster through its changes.
func (s *scene) patroni(ctx context.Context, k *patroni.Cluster, set patroni.Settings, zombies bool) error {
	s.rows = func(ctx context.Context) ([]load.Rows, error) { return patroniRows(ctx, k) }
	clients, err := s.pgClients(k)
	if err != nil {
		return err
	}
	err = s.plannedTimes(func() error {
		return s.change(ctx, account.Planned, clients, func(ctx context.Context, _ flows) error { return k.Switchover(ctx) }, k.Settled)
	})
	if err != nil {
		return err
	}
	for _, e := range []struct {
		event account.Event
		do    func(lead string) func(context.Context, flows) error
		mend  func(ctx context.Context, lead string) error
	}{
		// Patroni may start the server again or hand over: that writes flow is all
		// that is waited for.
		{account.ServerKill, func(lead string) func(context.Context, flows) error {
			return func(context.Context, flows) error { return k.KillServer(lead) }
		}, func(ctx context.Context, _ string) error { return k.Settled(ctx) }},
		{account.NodeKill, func(lead string) func(context.Context, flows) error {
			return func(ctx context.Context, _ flows) error {
				if err := k.KillNode(lead); err != nil {
					return err
				}
				_, err := k.Leader(ctx, lead)
				return err
			}
		}, func(ctx context.Context, lead string) error {
			return errors.Join(k.StartNode(ctx, lead), k.Settled(ctx))
		}},
		{account.Zombie, func(lead string) func(context.Context, flows) error {
			return func(ctx context.Context, flow flows) error {
				if err := k.Freeze(lead); err != nil {
					return err
				}
				_, err := k.Leader(ctx, lead)
				return errors.Join(err, orWait(ctx, flow), k.Thaw(lead), wait(ctx, awake+time.Duration(set.LoopWait)*time.Second))
			}
		}, func(ctx context.Context, _ string) error { return k.Settled(ctx) }},
	} {
		if !s.wants(e.event) || e.event == account.Zombie && !zombies {
			continue
		}
		lead, err := k.Leader(ctx)
		if err != nil {
			return err
		}
		if err := s.change(ctx, e.event, clients, e.do(lead), func(ctx context.Context) error { return e.mend(ctx, lead) }); err != nil {
			return err
		}
	}
	return nil
}

// pgClients are writers that reach a leader of Patroni directly, and through HAProxy.
func (s *scene) pgClients(k *patroni.Cluster) ([]client, error) {
	pw := filepath.Join(s.dir, "app.password")
	if err := os.WriteFile(pw, []byte(peerPassword+"\n"), 0o600); err != nil {
		return nil, err
	}
	to := func(attrs string, addrs ...string) load.Config {
		var hosts, ports []string
		for _, a := range addrs {
			host, port, _ := net.SplitHostPort(a) // they are ours
			hosts, ports = append(hosts, host), append(ports, port)
		}
		conn := fmt.Sprintf("host=%s port=%s user=app dbname=postgres sslmode=disable connect_timeout=%d target_session_attrs=%s",
			strings.Join(hosts, ","), strings.Join(ports, ","), int(connectTimeout.Seconds()), attrs)
		return load.Config{Spec: load.Spec{Insert: "INSERT INTO app (id) VALUES ($1)", Extra: map[string]string{"client": "pgx", "conn": conn, "password": pw}}}
	}
	return []client{
		{"direct, all hosts", connections, to("read-write", k.Addrs()...)},
		{"HAProxy", connections, to("any", k.Proxy())},
	}, nil
}

// patroniRows reads every server, the leader first.
func patroniRows(ctx context.Context, k *patroni.Cluster) ([]load.Rows, error) {
	lead, err := k.Leader(ctx)
	if err != nil {
		return nil, err
	}
	var all []load.Rows
	for i, name := range k.Names() {
		r, err := pgRows(ctx, name, k.Addrs()[i])
		if err != nil {
			return nil, err
		}
		if name == lead {
			all = slices.Insert(all, 0, r)
		} else {
			all = append(all, r)
		}
	}
	return all, nil
}

func pgRows(ctx context.Context, name, addr string) (load.Rows, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return load.Rows{}, err
	}
	conf, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres sslmode=disable connect_timeout=5", host, port))
	if err != nil {
		return load.Rows{}, err
	}
	ids, err := stage.IDs(ctx, stdlib.OpenDB(*conf), "SELECT id FROM app ORDER BY id")
	return load.Rows{Node: name, IDs: ids}, err
}
