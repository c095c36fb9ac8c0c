package sqlbuffer_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// BenchmarkExec compares a statement through the connector with the same
// statement on the bare driver, and a unit of InTx with BeginTx and Commit.
func BenchmarkExec(b *testing.B) {
	ctx := context.Background()
	n1, _, nodes := twoNodes()
	direct := sql.OpenDB(dialer{n1, full})
	defer direct.Close()
	buf, err := buffer.New(buffer.Config{})
	if err != nil {
		b.Fatal(err)
	}
	lane := buf.Lane("k")
	lane.Observe(leadership.Record{Version: 1, Active: lead("n1", 1), Routed: lead("n1", 1), Addr: "n1:1"})
	con, err := sqlbuffer.New(lane, sqlbuffer.Config{Nodes: nodes})
	if err != nil {
		b.Fatal(err)
	}
	followed := sql.OpenDB(con)
	defer followed.Close()
	forget := func(*testing.B) { n1.set(func() { n1.applied, n1.calls = n1.applied[:0], n1.calls[:0] }) }
	exec := func(db *sql.DB) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := db.ExecContext(ctx, "put ?", "x"); err != nil {
					b.Fatal(err)
				}
				forget(b)
			}
		}
	}
	put := func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "put ?", "x")
		return err
	}
	b.Run("driver/exec", exec(direct))
	b.Run("connector/exec", exec(followed))
	b.Run("driver/tx", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tx, err := direct.BeginTx(ctx, nil)
			if err == nil {
				err = put(ctx, tx)
			}
			if err == nil {
				err = tx.Commit()
			}
			if err != nil {
				b.Fatal(err)
			}
			forget(b)
		}
	})
	b.Run("connector/in-tx", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := sqlbuffer.InTx(ctx, followed, nil, put); err != nil {
				b.Fatal(err)
			}
			forget(b)
		}
	})
}
