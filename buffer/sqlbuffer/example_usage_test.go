package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// A *sql.DB that follows the leader, and a transaction that is begun again when
// the leader is replaced before it is committed. It needs a server, so it is
// compiled and not run.
func Example() {
	// What the package of a driver brings, such as reparent/pgnode.
	var connectorFor func(addr string) driver.Connector
	var classify func(error) buffer.Class
	var abort func(ctx context.Context, conn driver.Conn) error

	ctx := context.Background()
	buf, err := buffer.New(buffer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buf.Close()
	lane := buf.Lane("orders")
	connector, err := sqlbuffer.New(lane, sqlbuffer.Config{
		Nodes: func(_ leadership.NodeID, addr string) (sqlbuffer.Node, error) {
			return sqlbuffer.Node{Connector: connectorFor(addr), Classify: classify, Abort: abort}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	err = sqlbuffer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT ...")
		return err
	})
	fmt.Println(err)
}
