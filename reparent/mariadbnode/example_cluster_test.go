package mariadbnode_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// Three servers, set up once, looked over by the doctor, and a planned change of
// the cluster, which was adopted (reparent.Adopt) before. It needs the servers, so
// it is compiled and not run.
func ExampleNode_Reparent() {
	ctx := context.Background()
	peers := map[leadership.NodeID]string{"n1": "db1:3306", "n2": "db2:3306", "n3": "db3:3306"}
	var nodes []reparent.Node
	for id, addr := range peers {
		n, err := mariadbnode.New(mariadbnode.Config{
			ID: id, DSN: "tenure:" + os.Getenv("TENURE_PASSWORD") + "@tcp(" + addr + ")/",
			Peers:          peers,
			Replication:    mariadbnode.Replication{User: "repl", Password: os.Getenv("REPL_PASSWORD")},
			RestartsFenced: true, // the option files of all three say so
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer n.Close()
		if err := n.Setup(ctx); err != nil { // once; again it only looks
			fmt.Println(err)
			return
		}
		findings, err := n.Doctor(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, f := range findings {
			fmt.Println(f)
		}
		nodes = append(nodes, n.Reparent())
	}
	registry, err := leadership.OpenFileRegistry("/var/lib/tenure/orders.json") // or etcdregistry, for several machines
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	barrier, err := leadership.OpenFileBarrier("/var/lib/tenure/orders.barrier") // where routers say that they are quiet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer barrier.Close()
	guard, err := reparent.New("orders", registry, nodes, reparent.Config{Barrier: barrier})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := guard.Run(ctx, reparent.Planned("n2"))
	fmt.Println(report, err)
}

// An application whose *sql.DB follows the leader. A MariaDB server cannot refuse
// what it does not execute, so the lane counts, and joins the barrier at which a
// planned change waits until nothing is in flight.
func ExampleSQL_application() {
	ctx := context.Background()
	registry, err := leadership.OpenFileRegistry("/var/lib/tenure/orders.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	buf, err := buffer.New(buffer.Config{Counted: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buf.Close()
	lane := buf.Lane("orders")
	barrier, err := leadership.OpenFileBarrier("/var/lib/tenure/orders.barrier")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer barrier.Close()
	joined := make(chan error, 1)
	router := buffer.Router{ID: "api-1", Suspended: func(err error) {
		select {
		case joined <- err:
		default:
		}
	}}
	go func() { _ = buf.Join(ctx, barrier, registry, router, lane) }()
	<-joined
	go func() { _ = buf.Follow(ctx, registry, lane) }()

	nodes, err := mariadbnode.SQL(mariadbnode.SQLConfig{DSN: "app:" + os.Getenv("APP_PASSWORD") + "@tcp(leader)/orders"})
	if err != nil {
		fmt.Println(err)
		return
	}
	connector, err := sqlbuffer.New(lane, sqlbuffer.Config{Nodes: nodes})
	if err != nil {
		fmt.Println(err)
		return
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.ExecContext(ctx, "INSERT INTO orders (item) VALUES (?)", "tea")
	fmt.Println(err)
}

// What an application's account needs besides what the application does.
func ExampleAppGrants() {
	for _, q := range mariadbnode.AppGrants("'app'@'10.0.0.%'", "") {
		fmt.Println(q)
	}
	// Output: GRANT SELECT ON `tenure`.node TO 'app'@'10.0.0.%'
}

// Which transactions has one server and not the other?
func ExampleParseState() {
	old, err := mariadbnode.ParseState("0-1-30, 0-2-28")
	if err != nil {
		fmt.Println(err)
		return
	}
	leader, err := mariadbnode.ParseState("0-2-31")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("errant:", old.Errant(leader))
	// Output: errant: 0-1-30
}

// A position that was written as text, in a report or a record, is read by a
// catalog that knows this kind of node.
func ExampleRegisterPoint() {
	catalog := &leadership.Catalog{}
	if err := mariadbnode.RegisterPoint(catalog); err != nil {
		fmt.Println(err)
		return
	}
	behind, err := catalog.ParsePosition("3.c@mariadb:0-1-40/3.c:1:0-1-29")
	if err != nil {
		fmt.Println(err)
		return
	}
	ahead, err := catalog.ParsePosition("3.c@mariadb:0-1-44/3.c:1:0-1-29")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(behind.Rank(ahead), ahead.Extends(behind))
	// Output: behind true
}
