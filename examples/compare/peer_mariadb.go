package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/examples/compare/internal/mha"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines/load"
)

// mha is a side of MHA, with frozen leaders or without, which take long.
func (c *compare) mha(name string, set mha.Settings, zombies bool) side {
	return side{mariadb + ": MHA, " + name, false, func(ctx context.Context) (err error) {
		s, err := c.scene(account.Key{Engine: mariadb, Who: "MHA", Settings: name})
		if err != nil {
			return err
		}
		k, err := mha.New(ctx, s.host, mha.Config{
			Settings: set,
			Init: "CREATE DATABASE app;\nCREATE TABLE app.t (id BIGINT PRIMARY KEY) ENGINE=InnoDB;\n" +
				"CREATE USER 'app'@'%' IDENTIFIED BY '" + peerPassword + "';\nGRANT SELECT, INSERT ON app.* TO 'app'@'%';\n",
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.Close()) }()
		return s.mha(ctx, k, zombies)
	}}
}

// mha puts a cluster through its changes.
func (s *scene) mha(ctx context.Context, k *mha.Cluster, zombies bool) error {
	s.rows = func(ctx context.Context) ([]load.Rows, error) { return mhaRows(ctx, k) }
	pw := filepath.Join(s.dir, "app.password")
	if err := os.WriteFile(pw, []byte(peerPassword+"\n"), 0o600); err != nil {
		return err
	}
	clients := []client{{"direct, all hosts", connections, load.Config{Spec: load.Spec{
		Insert: "INSERT INTO app.t (id) VALUES (?)",
		Extra:  map[string]string{"client": "mysql", "addrs": strings.Join(k.Addrs(), ","), "password": pw},
	}}}}
	err := s.plannedTimes(func() error {
		return s.change(ctx, account.Planned, clients, func(ctx context.Context, _ flows) error { return k.Switch(ctx) }, k.Settled)
	})
	if err != nil {
		return err
	}
	if s.wants(account.ServerKill) {
		err := s.mhaReplaces(ctx, k, account.ServerKill, clients, k.Kill, nil)
		if err != nil {
			return err
		}
	}
	if s.wants(account.Zombie) && zombies {
		return s.mhaReplaces(ctx, k, account.Zombie, clients, k.Freeze, k.Thaw)
	}
	return nil
}

// mhaReplaces does something to the leader that makes MHA replace it, and, when another
// one leads and writes flow, undoes it. Whoever led follows in the end, which is not
// MHA's affair.
func (s *scene) mhaReplaces(ctx context.Context, k *mha.Cluster, e account.Event, clients []client, do, undo func(name string) error) error {
	lead, err := k.Leader(ctx)
	if err != nil {
		return err
	}
	if err := k.Watch(ctx); err != nil {
		return err
	}
	return s.change(ctx, e, clients, func(ctx context.Context, flow flows) error {
		if err := do(lead); err != nil {
			return err
		}
		_, err := k.Leader(ctx, lead)
		if err != nil || undo == nil {
			return err
		}
		return errors.Join(orWait(ctx, flow), undo(lead), wait(ctx, awake))
	}, func(ctx context.Context) error { return k.Rejoin(ctx, lead) })
}

// mhaRows reads every server, the leader first.
func mhaRows(ctx context.Context, k *mha.Cluster) ([]load.Rows, error) {
	lead, err := k.Leader(ctx)
	if err != nil {
		return nil, err
	}
	var all []load.Rows
	for i, name := range k.Names() {
		c := mysql.NewConfig()
		c.User, c.Net, c.Addr = "root", "tcp", k.Addrs()[i]
		connector, err := mysql.NewConnector(c)
		if err != nil {
			return nil, err
		}
		ids, err := stage.IDs(ctx, sql.OpenDB(connector), "SELECT id FROM app.t ORDER BY id")
		if err != nil {
			return nil, err
		}
		r := load.Rows{Node: name, IDs: ids}
		if name == lead {
			all = slices.Insert(all, 0, r)
		} else {
			all = append(all, r)
		}
	}
	return all, nil
}
