package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines/load"
)

// openClient is how a worker of a load reaches the leader: with this library, or as
// any application does.
func openClient(spec load.Spec) (load.Engine, error) {
	kind := spec.Extra["client"]
	if kind == "" {
		return stage.OpenLoad(spec)
	}
	b, err := os.ReadFile(spec.Extra["password"])
	if err != nil {
		return load.Engine{}, err
	}
	password := strings.TrimSpace(string(b))
	switch kind {
	case "pgx":
		conf, err := pgx.ParseConfig(spec.Extra["conn"])
		if err != nil {
			return load.Engine{}, err
		}
		conf.Password = password
		return load.Engine{Connector: stdlib.GetConnector(*conf)}, nil
	case "mysql":
		m := &anyOf{}
		for addr := range strings.SplitSeq(spec.Extra["addrs"], ",") {
			c := mysql.NewConfig()
			c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.InterpolateParams = "app", password, "tcp", addr, "app", true
			c.RejectReadOnly = true // a server that became read-only is left
			c.Timeout = connectTimeout
			// The driver's Commit heeds no context.
			c.ReadTimeout, c.WriteTimeout = patience, patience
			connector, err := mysql.NewConnector(c)
			if err != nil {
				return load.Engine{}, err
			}
			m.all = append(m.all, connector)
		}
		return load.Engine{Connector: m}, nil
	}
	return load.Engine{}, fmt.Errorf("there is no client %q", kind)
}

// anyOf connects to the first of several MariaDB servers that can be written to, as
// target_session_attrs=read-write does for PostgreSQL.
type anyOf struct{ all []driver.Connector }

func (m *anyOf) Driver() driver.Driver { return m.all[0].Driver() }

func (m *anyOf) Connect(ctx context.Context) (driver.Conn, error) {
	var errs []error
	for _, c := range m.all {
		conn, err := writable(ctx, c)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

var errReadOnly = errors.New("the server is read-only")

// writable connects, and asks.
func writable(ctx context.Context, c driver.Connector) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "SELECT @@global.read_only", nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	v := make([]driver.Value, 1)
	err = errors.Join(rows.Next(v), rows.Close())
	if err == nil && fmt.Sprint(v[0]) != "0" && fmt.Sprintf("%s", v[0]) != "0" {
		err = errReadOnly
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
