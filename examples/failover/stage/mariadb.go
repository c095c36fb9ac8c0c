package stage

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func mariadbCast() cast {
	return cast{
		server: func(ctx context.Context, host *engines.Host, i int) (*engines.Server, error) {
			return host.MariaDB(ctx, engines.MariaDBConfig{Name: fmt.Sprintf("n%d", i+1), ServerID: i + 1, Init: mariadbAccounts()})
		},
		section: `mariadb:
  user: tenure
  password: {file: ADMIN}
  restarts_fenced: true
  replication:
    user: repl
    password: {file: REPLICATION}
    heartbeat: 100ms
`,
		// What a node's service manager and backup tool would be asked for.
		node: func(_ *Stage, srv *engines.Server, _ leadership.NodeID) (string, error) {
			kill := `p=$(cat ` + filepath.Join(srv.Dir(), "pid") + `) && kill -9 $p && while kill -0 $p 2>/dev/null; do sleep 0.01; done`
			return fmt.Sprintf("    mariadb:\n      kill: [sh, -c, '%s']\n", kill), nil
		},
		comeBack: func(ctx context.Context, srv *engines.Server) error { return srv.Start(ctx) },
		insert:   "INSERT INTO app.t (id) VALUES (?)",
		rows: func(ctx context.Context, addr string) ([]int64, error) {
			c := mysql.NewConfig()
			c.User, c.Net, c.Addr = "root", "tcp", addr
			connector, err := mysql.NewConnector(c)
			if err != nil {
				return nil, err
			}
			return IDs(ctx, sql.OpenDB(connector), "SELECT id FROM app.t ORDER BY id")
		},
	}
}

// mariadbAccounts is the SQL of a new server.
func mariadbAccounts() string {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	stmts := []string{"CREATE USER 'tenure'@'%' IDENTIFIED BY " + quote(AdminPassword)}
	stmts = append(stmts, mariadbnode.Grants("'tenure'@'%'", "")...)
	stmts = append(stmts,
		"CREATE USER 'repl'@'%' IDENTIFIED BY "+quote(ReplicationPassword),
		"GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'",
		"CREATE DATABASE app",
		"CREATE TABLE app.t (id BIGINT PRIMARY KEY) ENGINE=InnoDB",
		"CREATE DATABASE tenure",
		"CREATE TABLE tenure.node (k TINYINT PRIMARY KEY, doc LONGTEXT NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4",
		"CREATE USER 'app'@'%' IDENTIFIED BY "+quote(AppPassword),
		"GRANT SELECT, INSERT ON app.* TO 'app'@'%'",
	)
	stmts = append(stmts, mariadbnode.AppGrants("'app'@'%'", "")...)
	return strings.Join(stmts, ";\n") + ";\n"
}

func mariadbLoad(password string) (load.Engine, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.InterpolateParams = "app", password, "tcp", "127.0.0.1:1", "app", true
	nodes, err := mariadbnode.SQL(mariadbnode.SQLConfig{DSN: c.FormatDSN(), SingleStatements: true})
	return load.Engine{Nodes: nodes}, err
}

// IDs runs a query of one column, and closes the pool.
func IDs(ctx context.Context, db *sql.DB, query string) ([]int64, error) {
	defer db.Close()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, rows.Err()
}
