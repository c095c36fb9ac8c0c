package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestLaterStatementsOfAPinnedSessionAreNotMoved(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, conn.PingContext(t.Context()), "a ping does not pin")
		w.force("n2", 2)
		_, err = conn.ExecContext(t.Context(), "put ?", "a")
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, w.n2.has())
		w.force("n1", 3)
		_, err = conn.ExecContext(t.Context(), "put ?", "b")
		var restart *sqlbuffer.RestartUnitError
		require.ErrorAs(t, err, &restart)
		require.True(t, restart.Session)
		require.Equal(t, lead("n2", 2), restart.Leadership)
		require.Equal(t, term(3), restart.By)
		require.True(t, leadership.NotExecuted(err))
		w.honest(err, "b")
		require.NoError(t, conn.Close())
		require.NoError(t, w.put(t.Context(), "c"), "the next checkout is bound anew")
		require.Equal(t, []string{"c"}, w.n1.has())
	})
}

func TestAPinnedSessionThatIsHeldGoesOnOrIsRestarted(t *testing.T) {
	each(t, setup{buf: buffer.Config{Counted: true}}, func(t *testing.T, w *world) {
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		put := func(id string) func() error {
			return func() error { _, err := conn.ExecContext(t.Context(), "put ?", id); return err }
		}
		require.NoError(t, put("a")())
		w.hold(2)
		wait := w.go1(put("b"))
		time.Sleep(time.Second)
		w.route("n1", 1) // given up
		require.NoError(t, wait())
		w.hold(2)
		wait = w.go1(put("c"))
		w.force("n2", 2)
		err = wait()
		var restart *sqlbuffer.RestartUnitError
		require.ErrorAs(t, err, &restart)
		w.honest(err, "c")
		require.Equal(t, []string{"a", "b"}, w.n1.has())
	})
}

func TestAPreparedStatementFollowsTheLeader(t *testing.T) {
	for _, k := range []kind{full, bare, legacy} {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			each(t, setup{kind: k}, func(t *testing.T, w *world) {
				st, err := w.db.PrepareContext(t.Context(), "put ?")
				require.NoError(t, err)
				exec := func(id string) error { _, err := st.ExecContext(t.Context(), id); return err }
				require.NoError(t, exec("A"))
				w.force("n2", 2)
				require.NoError(t, exec("B"))
				require.NoError(t, exec("C"))
				w.force("n1", 3)
				tx, err := w.db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				_, err = tx.StmtContext(t.Context(), st).ExecContext(t.Context(), "D")
				require.NoError(t, err)
				require.NoError(t, tx.Commit())
				require.Equal(t, []string{"A", "D"}, w.n1.has())
				require.Equal(t, []string{"B", "C"}, w.n2.has())
				require.NoError(t, st.Close())
			})
		})
	}
}

func TestALeaderChangeBetweenPrepareAndExecuteIsNotSeen(t *testing.T) {
	each(t, setup{kind: full}, func(t *testing.T, w *world) {
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		st, err := conn.PrepareContext(t.Context(), "put ?")
		require.NoError(t, err)
		defer st.Close()
		w.force("n2", 2)
		_, err = st.ExecContext(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, w.n2.has())
	})
}

func TestCheckAsksBeforeAUserStatementIsAProbe(t *testing.T) {
	var checks []leadership.Leadership
	leads := func(_ context.Context, c driver.Conn, to leadership.Leadership) error {
		checks = append(checks, to)
		n := sessionOf(c).n
		var err error
		n.set(func() {
			if !n.leads {
				err = &leadership.Refusal{Term: to.Term}
			}
		})
		return err
	}
	t.Parallel()
	for _, open := range []int{0, 1, 4} { // one after the other: they share checks
		synctest.Test(t, func(t *testing.T) {
			checks = nil
			w := newWorld(t, open, setup{plain: true, node: sqlbuffer.Node{Check: leads}})
			require.NoError(t, w.put(t.Context(), "a"))
			require.NoError(t, w.put(t.Context(), "b"))
			require.Len(t, checks, 1, "once for a connection, while the lane serves")
			w.crown("n2") // and nobody says so; a new connection finds out
			w.n1.kill()
			wait := w.go1(func() error { return w.put(t.Context(), "c") })
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			require.Greater(t, len(checks), 2, "each probe is a check")
			require.Equal(t, 2, w.n1.count("exec"), "and never the statement")
			w.route("n2", 2)
			require.NoError(t, wait())
			require.Equal(t, []string{"a", "b"}, w.n1.has())
			require.Equal(t, []string{"c"}, w.n2.has())
			w.close()
		})
	}
}

func TestAPinnedSessionIsHeldWhileItsServerSaysThatItDoesNotLead(t *testing.T) {
	var answer atomic.Pointer[error] // one bubble after the other
	say := func(err error) { answer.Store(&err) }
	check := func(context.Context, driver.Conn, leadership.Leadership) error { return *answer.Load() }
	t.Parallel()
	for _, open := range []int{0, 1, 4} {
		synctest.Test(t, func(t *testing.T) {
			say(nil)
			w := newWorld(t, open, setup{node: sqlbuffer.Node{Check: check}, buf: buffer.Config{Counted: true}})
			t.Cleanup(w.abandon)
			conn, err := w.db.Conn(t.Context())
			require.NoError(t, err)
			put := func(id string) func() error {
				return func() error { _, err := conn.ExecContext(t.Context(), "put ?", id); return err }
			}
			require.NoError(t, put("a")())
			r := w.record()
			r.Fence = term(2)
			r.Intent = leadership.Intent{Term: term(2), Phase: leadership.Holding, HoldFor: 10 * time.Millisecond}
			w.observe(r)
			say(&leadership.Refusal{Term: term(1)})
			held := w.go1(put("b"))
			time.Sleep(time.Second)
			synctest.Wait()
			require.Equal(t, []string{"a"}, w.n1.has())
			say(nil) // the drain has expired
			require.NoError(t, held())
			w.hold(3)
			r = w.record()
			r.Intent = leadership.Intent{}
			say(errReset)
			w.observe(r)
			require.NoError(t, put("c")(), "not asked while the lane serves")
			require.Equal(t, []string{"a", "b", "c"}, w.n1.has())
			require.NoError(t, conn.Close())
			w.close()
		})
	}
}

func TestRawSeesTheVirtualSession(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		use := func(f func(leadership.Leadership, driver.Conn) error) error {
			return conn.Raw(func(c any) error { return c.(*sqlbuffer.Conn).Use(t.Context(), f) })
		}
		require.NoError(t, use(func(to leadership.Leadership, c driver.Conn) error {
			require.Equal(t, lead("n1", 1), to)
			require.IsType(t, fullConn{}, c)
			return nil
		}))
		err = use(func(leadership.Leadership, driver.Conn) error { return errReset })
		require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
		require.ErrorIs(t, err, errReset)
	})
}

// A leader that is installed and not granted yet refuses; the connection on which it
// does so is the one that its grant is waited for on, and is asked again even when the
// lane serves by then.
func TestAConnectionThatRefusesIsKeptAndAskedAgain(t *testing.T) {
	leads := func(_ context.Context, c driver.Conn, to leadership.Leadership) error {
		n := sessionOf(c).n
		var err error
		n.set(func() {
			n.calls = append(n.calls, "check")
			if !n.leads {
				err = &leadership.Refusal{Term: to.Term, RetryAfter: 2 * time.Millisecond}
			}
		})
		return err
	}
	each(t, setup{plain: true, node: sqlbuffer.Node{Check: leads}}, func(t *testing.T, w *world) {
		require.NoError(t, w.put(t.Context(), "a"))
		w.n1.set(func() { w.n1.leads = false })
		r := w.record()
		r.Fence, r.Active = term(2), lead("n2", 2)
		r.Intent = leadership.Intent{Term: term(2), To: "n2", Addr: "n2:1", Phase: leadership.Holding, HoldFor: time.Minute}
		w.observe(r)
		wait := w.go1(func() error { return w.put(t.Context(), "b") })
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.Greater(t, w.n2.count("check"), 2, "it may lead at any moment")
		require.Equal(t, 1, w.n2.dials(), "every time on one connection")
		w.route("n2", 2) // too early: its grant is on its way
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, w.n2.count("exec"), "nothing is sent on a connection that has only refused")
		w.crown("n2")
		require.NoError(t, wait())
		require.Equal(t, 1, w.n2.dials())
		require.Equal(t, []string{"b"}, w.n2.has())
	})
}

func TestG10_BadInputIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		nodes := func(leadership.NodeID, string) (sqlbuffer.Node, error) { return sqlbuffer.Node{}, nil }
		var bad *sqlbuffer.ConfigError
		_, err := sqlbuffer.New(nil, sqlbuffer.Config{Nodes: nodes})
		require.ErrorAs(t, err, &bad)
		for _, c := range []sqlbuffer.Config{{}, {Nodes: nodes, Bytes: -1}, {Nodes: nodes, Budget: -1}, {Nodes: nodes, Linger: -1}, {Nodes: nodes, Patience: -1}} {
			_, err = sqlbuffer.New(w.lane, c)
			require.ErrorAs(t, err, &bad)
			require.True(t, leadership.NotExecuted(err))
		}
		fn := func(context.Context, *sql.Tx) error { return nil }
		other := sql.OpenDB(dialer{w.n1, full})
		defer other.Close()
		require.ErrorAs(t, sqlbuffer.InTx(t.Context(), w.db, nil, nil), &bad)
		require.ErrorAs(t, sqlbuffer.InTx(t.Context(), nil, nil, fn), &bad)
		require.ErrorAs(t, sqlbuffer.InTx(t.Context(), other, nil, fn), &bad)
		_, err = w.con.Driver().Open("dsn")
		require.ErrorContains(t, err, "sql.OpenDB")
		con, err := sqlbuffer.New(w.lane, sqlbuffer.Config{Nodes: nodes})
		require.NoError(t, err)
		db := sql.OpenDB(con)
		defer db.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorContains(t, db.PingContext(ctx), "its Connector is nil")
		require.Zero(t, w.n1.dials())
	})
}
