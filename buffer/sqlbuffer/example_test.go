package sqlbuffer_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// twoNodes returns two fake servers, of which n1 leads, and how to dial them.
func twoNodes() (n1, n2 *server, nodes func(leadership.NodeID, string) (sqlbuffer.Node, error)) {
	n1 = &server{id: "n1", leads: true, refusal: &leadership.Refusal{}, sessions: map[*session]bool{}, faults: map[string][]fault{}}
	n2 = &server{id: "n2", refusal: &leadership.Refusal{}, sessions: map[*session]bool{}, faults: map[string][]fault{}}
	return n1, n2, func(id leadership.NodeID, addr string) (sqlbuffer.Node, error) {
		if id == "n1" {
			return sqlbuffer.Node{Connector: dialer{n1, full}}, nil
		}
		return sqlbuffer.Node{Connector: dialer{n2, full}}, nil
	}
}

// A statement that its server refuses while the leader is being changed is held
// and runs at the next leader.
func ExampleNew() {
	n1, n2, nodes := twoNodes()
	holding := make(chan struct{})
	b, err := buffer.New(buffer.Config{Hooks: buffer.Hooks{State: func(_ string, s buffer.State, _ leadership.Leadership) {
		if s == buffer.HoldAll {
			close(holding)
		}
	}}})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	lane := b.Lane("orders") // b.Follow(ctx, registry, lane) tells it who leads
	first, second := lead("n1", 1), lead("n2", 2)
	lane.Observe(leadership.Record{Version: 1, Active: first, Routed: first, Addr: "10.0.0.1:3306"})

	connector, err := sqlbuffer.New(lane, sqlbuffer.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.Exec("put ?", "one")
	fmt.Println("one:", err)

	n1.set(func() { // it steps down
		n1.leads, n1.refusal = false, &leadership.Refusal{Term: first.Term, Until: second.Term}
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := db.Exec("put ?", "two")
		fmt.Println("two:", err)
	})
	<-holding
	n2.set(func() { n2.leads = true })
	lane.Observe(leadership.Record{Version: 2, Active: second, Routed: second, Addr: "10.0.0.2:3306"})
	wg.Wait()
	fmt.Println(n1.has(), n2.has())
	// Output:
	// one: <nil>
	// two: <nil>
	// [one] [two]
}

// A transaction whose leader is replaced before it is committed is begun again
// at the next one.
func ExampleInTx() {
	_, n2, nodes := twoNodes()
	b, err := buffer.New(buffer.Config{})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	lane := b.Lane("orders")
	first, second := lead("n1", 1), lead("n2", 2)
	lane.Observe(leadership.Record{Version: 1, Active: first, Routed: first, Addr: "10.0.0.1:3306"})
	connector, err := sqlbuffer.New(lane, sqlbuffer.Config{Nodes: nodes})
	if err != nil {
		panic(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()

	tries := 0
	err = sqlbuffer.InTx(context.Background(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "put ?", "order 7"); err != nil {
			return err
		}
		if tries++; tries == 1 { // n1 crashes, n2 is promoted
			n2.set(func() { n2.leads = true })
			lane.Observe(leadership.Record{Version: 2, Active: second, Routed: second, Addr: "10.0.0.2:3306"})
		}
		return nil
	})
	fmt.Println(err, "after", tries, "tries:", n2.has())
	// Output:
	// <nil> after 2 tries: [order 7]
}
