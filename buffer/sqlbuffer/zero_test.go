package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// A zero value does what it says or says so with a typed error.
func TestZeroValuesAndNilArgumentsAreUsableOrRefused(t *testing.T) {
	t.Parallel()
	var none context.Context
	background := context.Background()
	config := func(t *testing.T, err error) {
		t.Helper()
		var c *sqlbuffer.ConfigError
		if !errors.As(err, &c) || !leadership.NotExecuted(err) {
			t.Errorf("got %v", err)
		}
	}
	unit := func(context.Context, *sql.Tx) error { return nil }
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Connector dials nothing", func(t *testing.T) {
			c := new(sqlbuffer.Connector)
			_, err := c.Connect(background)
			config(t, err)
			if c.Lane() != nil {
				t.Error("a lane of nobody's")
			}
			if _, err := c.Driver().Open("x"); err == nil {
				t.Error("opened")
			}
			db := sql.OpenDB(c)
			defer db.Close()
			_, err = db.ExecContext(background, "x")
			config(t, err)
			config(t, sqlbuffer.InTx(background, db, nil, unit))
		}},
		{"Conn runs nothing", func(t *testing.T) {
			c := new(sqlbuffer.Conn)
			_, err := c.ExecContext(background, "x", nil)
			config(t, err)
			_, err = c.QueryContext(background, "x", nil)
			config(t, err)
			_, err = c.Prepare("x")
			config(t, err)
			_, err = c.Begin()
			config(t, err)
			config(t, c.Ping(background))
			config(t, c.Use(background, func(leadership.Leadership, driver.Conn) error { return nil }))
			if err := errors.Join(c.ResetSession(background), c.CheckNamedValue(nil), c.Close()); err != nil || !c.IsValid() {
				t.Errorf("got %v", err)
			}
		}},
		{"nil arguments", func(t *testing.T) {
			nodes := func(leadership.NodeID, string) (sqlbuffer.Node, error) { return sqlbuffer.Node{}, nil }
			_, err := sqlbuffer.New(nil, sqlbuffer.Config{Nodes: nodes})
			config(t, err)
			_, err = sqlbuffer.New(new(buffer.Lane), sqlbuffer.Config{})
			config(t, err)
			config(t, sqlbuffer.InTx(background, nil, nil, unit))
			// A zero Lane refuses, and so does what is built on it.
			con, err := sqlbuffer.New(new(buffer.Lane), sqlbuffer.Config{Nodes: nodes})
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(con)
			defer db.Close()
			config(t, sqlbuffer.InTx(background, db, nil, nil))
			config(t, sqlbuffer.InTx(none, db, nil, unit))
			var r *buffer.RequestError
			if _, err := db.ExecContext(background, "x"); !errors.As(err, &r) || !leadership.NotExecuted(err) {
				t.Errorf("got %v", err)
			}
			if err := sqlbuffer.InTx(background, db, nil, unit); !errors.As(err, &r) {
				t.Errorf("got %v", err)
			}
			raw, err := con.Connect(none)
			if err != nil {
				t.Fatal(err)
			}
			config(t, raw.(driver.Pinger).Ping(none))
		}},
		{"errors", func(t *testing.T) {
			for _, err := range []error{
				new(sqlbuffer.ConfigError), new(sqlbuffer.NodeError), new(sqlbuffer.OutcomeError), new(sqlbuffer.RestartUnitError),
			} {
				var r *leadership.Refusal
				if err.Error() == "" || errors.As(err, &r) {
					t.Errorf("%T: %q, refusal %v", err, err, r)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
