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

// What only the driver's own connection can do, such as a bulk copy, is run at the
// leader as a statement is.
func ExampleConn_Use() {
	n1, _, nodes := twoNodes()
	b, err := buffer.New(buffer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	lane := b.Lane("orders")
	first := lead("n1", 1)
	lane.Observe(leadership.Record{Version: 1, Active: first, Routed: first, Addr: "10.0.0.1:3306"})
	connector, err := sqlbuffer.New(lane, sqlbuffer.Config{Nodes: nodes})
	if err != nil {
		fmt.Println(err)
		return
	}
	db := sql.OpenDB(connector)
	defer db.Close()

	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		return c.(*sqlbuffer.Conn).Use(ctx, func(to leadership.Leadership, own driver.Conn) error {
			fmt.Println("at", to)
			_, err := own.(driver.ExecerContext).ExecContext(ctx, "put ?", []driver.NamedValue{{Ordinal: 1, Value: "one"}})
			return err
		})
	})
	fmt.Println(err, n1.has())
	// Output:
	// at n1@1.c1
	// <nil> [one]
}
