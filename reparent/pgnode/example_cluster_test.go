package pgnode_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// The first boot of a member, and every later one. Init is for the former alone: a
// node whose folder was lost has lost what it promised. It needs a server, so it
// is compiled and not run.
func ExampleInit() {
	ctx := context.Background()
	cfg := pgnode.Config{
		ID: "n1", Addr: "db1:5432", Data: "/var/lib/postgresql/15/main", Dir: "/var/lib/tenure",
		Conn:       "host=/run/postgresql user=tenure dbname=postgres",
		Peers:      map[leadership.NodeID]pgnode.Peer{"n2": {Conn: "host=db2 user=tenure dbname=postgres"}},
		Controller: pgnode.PgCtl{Data: "/var/lib/postgresql/15/main"},
	}
	if len(os.Args) == 2 && os.Args[1] == "init" { // once in the life of the node
		fmt.Println(pgnode.Init(ctx, cfg))
		return
	}
	n, err := pgnode.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	findings, err := n.Doctor(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range findings {
		fmt.Println(f)
	}
}

// How clients reach the leader with sqlbuffer: the connections, what their errors
// prove, what is asked before a request is sent, and how a Commit that hangs is
// ended. SQL puts the four together.
func ExampleSQL() {
	buf, err := buffer.New(buffer.Config{Counted: true}) // a PostgreSQL server cannot refuse
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buf.Close()
	connector, err := sqlbuffer.New(buf.Lane("orders"), sqlbuffer.Config{
		Nodes: func(_ leadership.NodeID, addr string) (sqlbuffer.Node, error) {
			conf, err := pgx.ParseConfig("postgres://app@" + addr + "/orders")
			if err != nil {
				return sqlbuffer.Node{}, err
			}
			return pgnode.SQL(*conf), nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	db := sql.OpenDB(connector)
	fmt.Println(db.Close())
	// Output: <nil>
}

// A node of sqlbuffer, part by part, for a host that needs one of them otherwise.
func ExampleConnector() {
	conf, err := pgx.ParseConfig("postgres://app@db1/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	node := sqlbuffer.Node{
		Connector: pgnode.Connector(*conf),
		Classify:  pgnode.Classify,
		Check:     pgnode.Check,
		Abort:     pgnode.Abort,
	}
	fmt.Println(node.Connector != nil)
	// Output: true
}

// A server that answers has answered. One that ends the session leaves open what
// became of the statement.
func ExampleClassify() {
	fmt.Println(pgnode.Classify(&pgconn.PgError{Severity: "ERROR", Code: "23505", Message: "duplicate key"}))
	fmt.Println(pgnode.Classify(&pgconn.PgError{Severity: "FATAL", Code: "57P01", Message: "terminating connection"}))
	// Output:
	// answered
	// maybe-executed
}

// PostgreSQL waits for any k of a list of standbys. A policy that wants certain
// ones is refused before a change begins.
func ExampleCanEnforce() {
	members := []leadership.Node{{ID: "n1", Zone: "a"}, {ID: "n2", Zone: "a"}, {ID: "n3", Zone: "b"}}
	majority, err := leadership.NewRuleset(leadership.Majority(), members...)
	if err != nil {
		fmt.Println(err)
		return
	}
	zones, err := leadership.NewRuleset(leadership.Zones(2), members...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pgnode.CanEnforce("n1", majority))
	fmt.Println(pgnode.CanEnforce("n1", zones) != nil)
	// Output:
	// <nil>
	// true
}

// A place in a log, as PostgreSQL prints it.
func ExampleParseLSN() {
	begin, err := pgnode.ParseLSN("0/3000148")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(begin+16, "is 16 bytes after", begin)
	_, err = pgnode.ParseLSN("3000148")
	var text *leadership.TextError
	fmt.Println(errors.As(err, &text))
	// Output:
	// 0/3000158 is 16 bytes after 0/3000148
	// true
}

// A position that was written as text, in a report or a log, is read by a catalog
// that knows this kind of node. This standby received more of timeline 1 than the
// leader had when it was promoted, so its log is no part of the leader's, although
// it is shorter.
func ExampleRegisterPoint() {
	catalog := &leadership.Catalog{}
	if err := pgnode.RegisterPoint(catalog); err != nil {
		fmt.Println(err)
		return
	}
	leader, err := catalog.ParsePosition("8.guard@pg:7,0/500,1:0/0:0,2:0/400:8.guard")
	if err != nil {
		fmt.Println(err)
		return
	}
	standby, err := catalog.ParsePosition("0@pg:7,0/410,1:0/0:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(leader.Extends(standby))
	// Output: false
}
