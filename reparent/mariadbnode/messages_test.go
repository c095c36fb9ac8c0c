package mariadbnode_test

import (
	"context"
	"database/sql"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// account connects as the account of the package itself.
func (c *cluster) account(i int) string {
	return "tenure:" + adminPassword + "@tcp(" + c.servers[i].Addr() + ")/?interpolateParams=true"
}

func (c *cluster) number(i int, q string) int {
	c.t.Helper()
	n, err := strconv.Atoi(c.value(c.root(i), q))
	require.NoError(c.t, err, q)
	return n
}

const connections = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'CONNECTIONS'"

func TestACallGivesTheTurnBackAndLeavesItsConnectionToTheNext(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	before := c.number(1, connections)
	const calls = 20
	for i := range calls {
		if i%2 == 0 {
			_, err := c.nodes[1].Status(t.Context())
			require.NoError(t, err)
			continue
		}
		_, err := c.nodes[1].Promise(t.Context(), term(uint64(100+i)))
		require.NoError(t, err)
		require.Empty(t, c.value(c.root(1), "SELECT IS_USED_LOCK('tenure:tenure')"), "the turn of a call that is over")
	}
	// Of each value, one is root's own and one looks whether that is gone.
	require.Less(t, c.number(1, connections)-before-2*(calls/2+1), 4, "connections for %d calls", calls)
	c.run(g, reparent.Refresh())
	for i := range c.nodes {
		require.Empty(t, c.value(c.root(i), "SELECT IS_USED_LOCK('tenure:tenure')"), "after a change")
	}
}

func TestAConnectionThatAServerHasEndedIsNotTakenForOneThatWorks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	first, err := c.nodes[0].Promise(t.Context(), term(1))
	require.NoError(t, err)
	c.exec(c.root(0), "KILL USER tenure")
	_, err = c.nodes[0].Promise(t.Context(), term(2))
	require.NoError(t, err)
	pause(t, time.Second) // two starts of a server are not within one
	require.NoError(t, c.servers[0].Kill())
	require.NoError(t, c.servers[0].Start(t.Context()))
	again, err := c.nodes[0].Promise(t.Context(), term(2))
	require.NoError(t, err)
	require.NotEqual(t, first.Incarnation, again.Incarnation, "the server was restarted")
}

func TestASessionThatFailedInTheBinaryLogIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	_, err := c.nodes[0].Promise(t.Context(), term(1))
	require.NoError(t, err)
	// Its marker cannot be written: the session is in the binary log by then.
	holder, err := c.open(c.account(0)).Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"SET sql_log_bin=0", "BEGIN", "SELECT * FROM tenure.marker FOR UPDATE"} {
		_, err := holder.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	_, err = c.nodes[0].Install(t.Context(), mk(c, 0, 1))
	var step *mariadbnode.StepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.Step, "write the marker")
	_, err = holder.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	c.eventually("nobody has the turn", func() bool { return c.value(c.root(0), "SELECT IS_USED_LOCK('tenure:tenure')") == "" })
	for i := range uint64(4) {
		_, err = c.nodes[0].Promise(t.Context(), term(2+i))
		require.NoError(t, err)
	}
	require.Empty(t, c.value(c.root(0), "SELECT @@gtid_binlog_state"), "a promise was written to the binary log")
	// And one that has written its marker is out of it again.
	_, err = c.nodes[0].Install(t.Context(), mk(c, 0, 5))
	require.NoError(t, err)
	require.NoError(t, c.nodes[0].Grant(t.Context(), term(5)))
	_, err = c.nodes[0].Promise(t.Context(), term(6))
	require.NoError(t, err)
	require.Equal(t, "0-1-1", c.value(c.root(0), "SELECT @@gtid_binlog_state"), "more than the marker")
}

func TestAPromiseThatCannotBeWrittenLeavesTheLeaderAsItIs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	holder, err := c.open(c.account(0)).Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"SET sql_log_bin=0", "BEGIN", "SELECT * FROM tenure.node FOR UPDATE"} {
		_, err := holder.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	_, err = c.nodes[0].StepDown(t.Context(), term(1000))
	var blocked *mariadbnode.BlockedError
	require.NotErrorAs(t, err, &blocked, "nobody asked for read_only")
	var step *mariadbnode.StepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.Step, "write the record")
	_, err = holder.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.Equal(t, "0", c.value(c.root(0), "SELECT @@global.read_only"))
	require.NoError(t, c.insert(c.app(0), 1))
}

func TestATurnThatSomebodyElseHasIsNotWritten(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	conn, err := c.open(c.account(0)).Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"SELECT GET_LOCK('tenure:tenure', 0)", "SET sql_log_bin=0", "UPDATE tenure.turn SET conn = CONNECTION_ID(), term = '5.t'", "SELECT GET_LOCK('tenure:tenure:noted', 0)"} {
		_, err := conn.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = c.nodes[0].Promise(ctx, term(4))
	var turn *mariadbnode.TurnError
	require.ErrorAs(t, err, &turn)
	require.Equal(t, "5.t", c.value(c.root(0), "SELECT term FROM tenure.turn"))
	require.Zero(t, c.promised(0))
	require.NoError(t, conn.PingContext(t.Context()))
}

func TestAServerThatMayLeadBeginsANewBinaryLogBeforeClientsWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	db := c.app(0)
	for id := range 40 {
		_, err := db.ExecContext(t.Context(), "INSERT INTO app.kv SELECT seq, UUID() FROM seq_"+strconv.Itoa(1000*id)+"_to_"+strconv.Itoa(1000*id+99))
		require.NoError(t, err)
	}
	c.holds(1, 39000)
	c.holds(2, 39000)
	file := func(i int) string {
		var f, p, do, ignore string
		c.onConn(c.root(i), func(conn *sql.Conn) {
			require.NoError(t, conn.QueryRowContext(t.Context(), "SHOW MASTER STATUS").Scan(&f, &p, &do, &ignore))
		})
		return f
	}
	files := []string{file(0), file(1), file(2)}
	state := c.value(c.root(1), "SELECT @@gtid_binlog_state")
	for i, n := range c.nodes {
		require.NoError(t, n.Prepare(t.Context(), term(1000)))
		if i == 0 {
			require.Equal(t, files[i], file(i), "clients of a leader would wait for it")
			continue
		}
		require.NotEqual(t, files[i], file(i))
		files[i] = file(i)
		require.NoError(t, n.Prepare(t.Context(), term(1000)))
		require.Equal(t, files[i], file(i), "one that is new does")
	}
	require.Equal(t, state, c.value(c.root(1), "SELECT @@gtid_binlog_state"))
	require.NotEqual(t, term(1000), c.promised(1), "nothing is promised")
	require.NoError(t, c.insert(db, 500000))
	c.holds(1, 500000)
	_, err := c.nodes[1].Promise(t.Context(), term(1001))
	require.NoError(t, err)
	var stale *leadership.StaleTermError
	require.ErrorAs(t, c.nodes[1].Prepare(t.Context(), term(1000)), &stale)
}
