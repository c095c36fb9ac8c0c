package pgnode_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// deaf cuts the standbys off from n1, in both ways, or lets them back.
func (c *cluster) deaf(m netproxy.Mode) {
	c.t.Helper()
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		require.NoError(c.t, c.edges[[2]leadership.NodeID{id, "n1"}].Set(m))
	}
}

func (c *cluster) db(id leadership.NodeID) *sql.DB {
	c.t.Helper()
	conf, err := clientConf(c.clients[id].Addr())
	require.NoError(c.t, err)
	db := sql.OpenDB(pgnode.Connector(conf))
	c.t.Cleanup(func() { require.NoError(c.t, db.Close()) })
	return db
}

func has(t testing.TB, conn *pgx.Conn, n int64) bool {
	t.Helper()
	var got int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM t WHERE id = $1", n).Scan(&got))
	return got == 1
}

// TestG9_ServersThatAnswerForCommitsThatNoStandbyHas is the table of what PostgreSQL
// tells a client whose commit waits for standbys.
func TestG9_ServersThatAnswerForCommitsThatNoStandbyHas(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	super := c.connect("n1", "postgres")
	db := c.db("n1")
	c.deaf(netproxy.Hold)

	free := func(how string) {
		_, err := super.Exec(t.Context(), "SELECT "+how+"(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		require.NoError(t, err)
		enginetest.Eventually(t, 10*time.Second, "nobody waits", func(ctx context.Context) error {
			var n int
			if err := super.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return fmt.Errorf("%d wait", n)
			}
			return nil
		})
	}
	async := func(f func() error) pending {
		done := make(pending, 1)
		go func() { done <- f() }()
		return done
	}
	exec := func(q string) func() error {
		return func() error { _, err := db.Exec(q); return err }
	}

	id := int64(100)
	for _, tc := range []struct {
		name string
		run  func(q string) func() error
	}{
		{"a statement", exec},
		{"a transaction", func(q string) func() error {
			return func() error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				if _, err := tx.Exec(q); err != nil {
					return err
				}
				return tx.Commit()
			}
		}},
		{"a query", func(q string) func() error {
			return func() error {
				rows, err := db.Query(q + " RETURNING id")
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
				}
				return rows.Err()
			}
		}},
		{"a prepared statement", func(q string) func() error {
			return func() error {
				st, err := db.Prepare(q)
				if err != nil {
					return err
				}
				defer st.Close()
				_, err = st.Exec()
				return err
			}
		}},
	} {
		t.Run("a cancelled wait is a success with a warning: "+tc.name+" ends as unknown", func(t *testing.T) {
			id++
			done := async(tc.run(fmt.Sprintf("INSERT INTO t VALUES (%d)", id)))
			c.waiting("n1", 1)
			free("pg_cancel_backend")
			err := <-done
			var un *pgnode.UnreplicatedError
			require.ErrorAs(t, err, &un)
			require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
			require.True(t, has(t, super, id), "it is committed on the leader")
		})
	}

	t.Run("statement_timeout does not fire while a commit waits", func(t *testing.T) {
		id++
		conn := c.connect("n1", "app")
		_, err := conn.Exec(t.Context(), "SET statement_timeout = '100ms'")
		require.NoError(t, err)
		done := async(func() error {
			_, err := conn.Exec(context.Background(), "INSERT INTO t VALUES ($1)", id)
			return err
		})
		c.waiting("n1", 1)
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		case <-time.After(time.Second):
		}
		free("pg_terminate_backend")
		require.True(t, isGone(<-done), "a session that is ended is not told that it is done")
		require.True(t, has(t, super, id))
	})

	t.Run("a client that goes away leaves its commit waiting, and nobody sees it", func(t *testing.T) {
		id++
		ctx, cancel := context.WithCancel(t.Context())
		done := async(func() error {
			_, err := db.ExecContext(ctx, fmt.Sprintf("INSERT INTO t VALUES (%d)", id))
			return err
		})
		c.waiting("n1", 1)
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		// pgx by itself would have asked the server to cancel, which shows the row.
		c.waiting("n1", 1)
		require.False(t, has(t, super, id), "no standby has it")
		free("pg_terminate_backend")
	})

	t.Run("a lost reply is not a statement that was not sent", func(t *testing.T) {
		for _, run := range []func(q string) func() error{exec, func(q string) func() error {
			return func() error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				if _, err := tx.Exec(q); err != nil {
					return err
				}
				return tx.Commit()
			}
		}} {
			id++
			require.NoError(t, db.Ping())
			done := async(run(fmt.Sprintf("INSERT INTO t VALUES (%d)", id)))
			c.waiting("n1", 1)
			require.NoError(t, c.clients["n1"].Set(netproxy.Reset))
			err := <-done
			require.Error(t, err)
			require.False(t, errors.Is(err, driver.ErrBadConn), "%v: database/sql would run it again", err)
			require.False(t, leadership.NotExecuted(err), "%v", err)
			require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
			free("pg_terminate_backend")
			require.NoError(t, c.clients["n1"].Set(netproxy.Pass))
			enginetest.Eventually(t, 10*time.Second, "it shows that it had been sent", func(context.Context) error {
				if !has(t, super, id) {
					return errors.New("not yet")
				}
				return nil
			})
		}
	})

	t.Run("a standby of another term, and a log archiver, satisfy nobody", func(t *testing.T) {
		id++
		dir, err := os.MkdirTemp(c.servers["n1"].Dir(), "wal")
		require.NoError(t, err)
		require.NoError(t, os.Chmod(dir, 0o777))
		for _, name := range []string{"n2", "n2_t0.x", "n2_t7.guard", pgnode.AckName("n2", leadership.Term{Num: 1, Proposer: "other"})} {
			cmd, err := c.servers["n1"].Command(t.Context(), c.servers["n1"].Binary("pg_receivewal"), "-D", filepath.Join(dir, ""), "--synchronous", "--no-loop",
				"-d", dsn(c.servers["n1"].Addr(), role)+" application_name="+name)
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			enginetest.Eventually(t, 10*time.Second, name+" streams", func(ctx context.Context) error {
				var n int
				if err := super.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", name).Scan(&n); err != nil {
					return err
				}
				if n == 0 {
					return errors.New("not yet")
				}
				return nil
			})
			id++
			done := async(exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", id)))
			c.waiting("n1", 1)
			select {
			case err := <-done:
				t.Fatalf("%s: it was acknowledged: %v", name, err)
			case <-time.After(300 * time.Millisecond):
			}
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			free("pg_terminate_backend")
			require.Error(t, <-done)
		}
	})

	t.Run("clearing synchronous_standby_names acknowledges what waits, which the doctor sees", func(t *testing.T) {
		id++
		done := async(exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", id)))
		c.waiting("n1", 1)
		var names string
		require.NoError(t, super.QueryRow(t.Context(), "SHOW synchronous_standby_names").Scan(&names))
		_, err := super.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = ''")
		require.NoError(t, err)
		_, err = super.Exec(t.Context(), "SELECT pg_reload_conf()")
		require.NoError(t, err)
		require.NoError(t, <-done, "the server says done, and no standby has it")
		require.Contains(t, subjects(t, c.nodes["n1"]), "synchronous_standby_names is empty")
		_, err = super.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = '*'")
		require.NoError(t, err)
		_, err = super.Exec(t.Context(), "SELECT pg_reload_conf()")
		require.NoError(t, err)
		enginetest.Eventually(t, 5*time.Second, "the doctor sees it", func(context.Context) error {
			for _, s := range subjects(t, c.nodes["n1"]) {
				if s == "synchronous_standby_names=*" {
					return nil
				}
			}
			return errors.New("no finding")
		})
		_, err = super.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'")
		require.NoError(t, err)
		_, err = super.Exec(t.Context(), "SELECT pg_reload_conf()")
		require.NoError(t, err)
	})

	t.Run("a promise ends the wait of a leader that answers, and never by an answer", func(t *testing.T) {
		var waiters []pending
		for range 20 {
			id++
			waiters = append(waiters, c.insert("n1", id))
		}
		c.waiting("n1", 20)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		got, err := c.nodes["n1"].Promise(ctx, leadership.Term{Num: 50, Proposer: "test"})
		require.NoError(t, err)
		require.False(t, got.Led.IsZero())
		for _, w := range waiters {
			require.True(t, isGone(<-w))
		}
		st, err := c.nodes["n1"].Read(ctx, leadership.Term{Num: 50, Proposer: "test"})
		require.NoError(t, err)
		require.NotNil(t, st.Read)
		conn := c.connect("n1", role)
		var standby bool
		require.NoError(t, conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby))
		require.True(t, standby)
		_, err = pgx.Connect(ctx, dsn(c.servers["n1"].Addr(), "app"))
		require.ErrorContains(t, err, "pg_hba.conf", "the gate is closed")
	})
}

func subjects(t testing.TB, n *pgnode.Node) []string {
	t.Helper()
	fs, err := n.Doctor(t.Context())
	require.NoError(t, err)
	var out []string
	for _, f := range fs {
		out = append(out, f.Subject)
		require.NotEmpty(t, f.Risk)
		require.NotEmpty(t, f.Remedy)
	}
	return out
}

// TestG9_AGrantThatFailedDoesNotSayThatItLeads: no commit gets through, and its gate is
// closed. Who says that it leads is left alone, and would serve nobody for good.
func TestG9_AGrantThatFailedDoesNotSayThatItLeads(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
	}
	n := c.nodes["n2"]
	_, err := n.Install(ctx, leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs})
	require.NoError(t, err)
	short, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	require.Error(t, n.Grant(short, term(10)), "nobody follows")
	s, err := n.Status(ctx)
	require.NoError(t, err)
	require.Zero(t, s.Leads)
	_, err = c.nodes["n3"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	require.NoError(t, n.Grant(ctx, term(10)))
	s, err = n.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, term(10), s.Leads)
}
