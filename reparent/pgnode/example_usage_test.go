package pgnode_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// A node on its first boot, and the guard of the cluster that it is in. It needs
// servers, so it is compiled and not run.
func Example() {
	ctx := context.Background()
	var registry leadership.Registry
	var barrier leadership.Barrier
	var others []reparent.Node // n2, whose node runs beside its own server

	cfg := pgnode.Config{
		ID: "n1", Addr: "db1:5432", Data: "/var/lib/postgresql/15/main", Dir: "/var/lib/tenure",
		Conn:       "host=/run/postgresql user=tenure dbname=postgres",
		Peers:      map[leadership.NodeID]pgnode.Peer{"n2": {Conn: "host=db2 user=tenure dbname=postgres"}},
		Controller: pgnode.PgCtl{Data: "/var/lib/postgresql/15/main"},
	}
	err := pgnode.Init(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := pgnode.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	guard, err := reparent.New("orders", registry, append(others, n.Reparent()), reparent.Config{
		Barrier: barrier,                                  // the server checks no terms: routers say when they are quiet
		Limits:  reparent.Limits{Linger: 5 * time.Second}, // an old leader is restarted behind the change
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := guard.Run(ctx, reparent.Planned("n1"))
	fmt.Println(report, err)
}
