package mariadbnode_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func ExampleNew() {
	n, err := mariadbnode.New(mariadbnode.Config{
		ID: "n1", DSN: "tenure:secret@tcp(db1:3306)/",
		Peers:          map[leadership.NodeID]string{"n2": "db2:3306", "n3": "db3:3306"},
		Replication:    mariadbnode.Replication{User: "repl", Password: "secret"},
		RestartsFenced: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	majority, _ := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	all, _ := leadership.NewRuleset(leadership.All(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	fmt.Println(n.CanEnforce(majority))
	fmt.Println(n.CanEnforce(all))
	// Output:
	// <nil>
	// mariadbnode: it completes what itself and one other member have, and {n1, n2} is not durable by all: use at-least(2), with members any one of which will do
}

func ExampleGrants() {
	for _, q := range mariadbnode.Grants("'tenure'@'10.0.0.%'", "") {
		fmt.Println(q)
	}
	// Output:
	// GRANT READ_ONLY ADMIN, BINLOG ADMIN, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, SLAVE MONITOR, BINLOG MONITOR, CONNECTION ADMIN, RELOAD, PROCESS, EVENT ON *.* TO 'tenure'@'10.0.0.%'
	// GRANT SELECT ON mysql.global_priv TO 'tenure'@'10.0.0.%'
	// GRANT SELECT ON mysql.roles_mapping TO 'tenure'@'10.0.0.%'
	// GRANT SELECT, INSERT, UPDATE, CREATE ON `tenure`.* TO 'tenure'@'10.0.0.%'
}

func ExamplePoint_Extends() {
	// n1 led under term 1 and crashed before anybody had 0-1-30; truncated, it
	// led again under term 3, whose marker has that number.
	leader, _ := mariadbnode.ParsePoint("0-1-31/1.c:1:/3.c:1:0-1-29")
	follower, _ := mariadbnode.ParsePoint("0-1-30/1.c:1:")
	term := func(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c"} }
	fmt.Println(len(follower.State.Errant(leader.State)), leader.Extends(term(3), leadership.Position{Term: term(1), Point: follower}))
	// Output: 0 false
}

func ExampleSQL() {
	nodes, err := mariadbnode.SQL(mariadbnode.SQLConfig{DSN: "app:secret@tcp(leader)/orders"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// sqlbuffer.New(lane, sqlbuffer.Config{Nodes: nodes})
	_, err = nodes("n1", "db1:3306")
	fmt.Println(err)
	// Output: <nil>
}
