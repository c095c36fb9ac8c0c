package mariadbnode_test

import (
	"context"
	"fmt"
	"os"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// One node, set up and looked over, and a change of the cluster that it is in. It
// needs servers, so it is compiled and not run.
func Example() {
	ctx, password, replPassword := context.Background(), os.Getenv("TENURE_PASSWORD"), os.Getenv("REPL_PASSWORD")
	var registry leadership.Registry
	var barrier leadership.Barrier
	var n2, n3 *mariadbnode.Node // made like n1

	n1, err := mariadbnode.New(mariadbnode.Config{
		ID: "n1", DSN: "tenure:" + password + "@tcp(db1:3306)/",
		Peers:          map[leadership.NodeID]string{"n2": "db2:3306", "n3": "db3:3306"},
		Replication:    mariadbnode.Replication{User: "repl", Password: replPassword},
		RestartsFenced: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n1.Close()
	err = n1.Setup(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	findings, err := n1.Doctor(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range findings {
		fmt.Println(f)
	}
	guard, err := reparent.New("orders", registry, []reparent.Node{n1.Reparent(), n2.Reparent(), n3.Reparent()}, reparent.Config{
		Barrier: barrier, // the server checks no terms: routers say when they are quiet
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := guard.Run(ctx, reparent.Planned("n2"))
	fmt.Println(report, err)
}
