package mariadbnode_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// The tests of this file show what a server does that a node must not rest on.

// stopReplicas stops the IO threads of all replicas but the leader, as an
// operator would, so that commits wait.
func (c *cluster) stopReplicas(leader int) {
	c.t.Helper()
	for i := range c.servers {
		if i != leader {
			c.exec(c.root(i), "STOP SLAVE IO_THREAD")
		}
	}
}

func (c *cluster) startReplicas(leader int) {
	c.t.Helper()
	for i := range c.servers {
		if i != leader {
			c.exec(c.root(i), "START SLAVE IO_THREAD")
		}
	}
}

func TestEverySQLWayToFreeAWaitingCommitMayAnswerItFalsely(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	c.stopReplicas(0)
	root := c.root(0)
	waiter := "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'Waiting for semi-sync ACK from slave' LIMIT 1"

	out := c.blocked(0, 1)
	id := c.value(root, waiter)
	c.exec(root, "KILL SOFT CONNECTION "+id)
	require.Error(t, <-out)
	require.Equal(t, "1", c.value(root, countWaiting), "its client is gone, and the commit still waits")
	c.startReplicas(0)
	c.eventually("it is acknowledged", func() bool { return c.value(root, countWaiting) == "0" })
	c.stopReplicas(0)

	out = c.blocked(0, 2)
	c.exec(root, "KILL QUERY "+c.value(root, waiter))
	require.NoError(t, <-out, "KILL QUERY answers OK")
	out = c.blocked(0, 3)
	c.exec(root, "SET GLOBAL rpl_semi_sync_master_enabled=0")
	require.NoError(t, <-out, "switching semi-synchronous replication off answers OK")
	require.False(t, c.rows(1)[2] || c.rows(2)[2] || c.rows(1)[3] || c.rows(2)[3], "no replica has the rows")
}

func TestTheStatusSaysONWhileCommitsWaitForNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	root := c.root(0)
	c.exec(root, "SET GLOBAL rpl_semi_sync_master_wait_no_slave=0")
	c.stopReplicas(0)
	c.eventually("no replica is attached", func() bool {
		return c.value(root, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='RPL_SEMI_SYNC_MASTER_CLIENTS'") == "0"
	})
	require.NoError(t, c.insert(c.app(0), 1), "the commit returns at once")
	require.False(t, c.rows(1)[1])
	// The doctor sees it, and so does a grant.
	found, err := c.nodes[0].Doctor(t.Context())
	require.NoError(t, err)
	var got []string
	for _, f := range found {
		if f.Severity == reparent.SeverityLoss {
			got = append(got, f.Subject)
		}
	}
	require.Contains(t, got, "rpl_semi_sync_master_wait_no_slave=OFF")
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	var set *mariadbnode.SettingError
	require.ErrorAs(t, c.nodes[0].Grant(t.Context(), rec.Active.Term), &set)
	require.Equal(t, "rpl_semi_sync_master_wait_no_slave", set.Name)
}

func TestARestartedReplicaThrowsAwayWhatItAcknowledgedUnlessItIsRescued(t *testing.T) {
	t.Parallel()
	for _, rescued := range []bool{false, true} {
		t.Run(fmt.Sprintf("rescued=%t", rescued), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, options{})
			g := c.guard(reparent.Config{})
			c.lead(g, 0)
			for _, i := range []int{1, 2} {
				c.exec(c.root(i), "STOP SLAVE SQL_THREAD")
			}
			for id := 1; id <= 20; id++ {
				require.NoError(t, c.insert(c.app(0), id), "acknowledged by a replica that applies nothing")
			}
			require.NoError(t, c.servers[0].Kill())
			for _, i := range []int{1, 2} {
				require.NoError(t, c.servers[i].Kill())
				require.NoError(t, c.servers[i].Start(t.Context()))
			}
			if !rescued {
				c.exec(c.root(1), "START SLAVE SQL_THREAD")
				c.exec(c.root(2), "START SLAVE SQL_THREAD")
				for _, i := range []int{1, 2} {
					root := c.root(i)
					c.eventually("the SQL thread has nothing to do", func() bool {
						return c.value(root, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Slave has read all relay log%'") == "1"
					})
					require.Empty(t, c.rows(i), "acknowledged rows are gone")
				}
				return
			}
			rep := c.run(g, reparent.Emergency())
			require.Len(t, c.rows(int(rep.To[1]-'1')), 20)
		})
	}
}

func TestAReplicaWithADeadApplierAcknowledges(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	// A row of n2's own makes its applier fail; it goes on acknowledging.
	c.exec(c.root(1), "SET sql_log_bin=0", "INSERT INTO app.kv VALUES (1, 'errant')")
	c.exec(c.root(2), "STOP SLAVE IO_THREAD")
	require.NoError(t, c.insert(c.app(0), 1), "n2 acknowledges")
	root := c.root(1)
	c.eventually("n2's applier is dead", func() bool {
		s, err := c.nodes[1].Status(t.Context())
		require.NoError(t, err)
		return s.Degraded != ""
	})
	require.NoError(t, c.insert(c.app(0), 2), "and still does")
	require.NoError(t, c.servers[0].Kill())

	tm, err := c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	require.Nil(t, tm.Read, "what it received is not what it has")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = c.nodes[1].Read(ctx, term(1000))
	var rep *mariadbnode.ReplicationError
	require.ErrorAs(t, err, &rep)
	require.Equal(t, "SQL", rep.Thread)
	// Mended, it is read, and leads with everything.
	c.exec(root, "SET sql_log_bin=0", "DELETE FROM app.kv WHERE id = 1")
	tm, err = c.nodes[1].Read(t.Context(), term(1000))
	require.NoError(t, err)
	require.Equal(t, leadership.Statement, tm.Kind)
	require.Subset(t, keys(c.rows(1)), []int{1, 2})
}

func keys(m map[int]bool) []int {
	var out []int
	for k := range m {
		out = append(out, k)
	}
	return out
}

func TestAFollowerOfAHungLeaderIsFencedAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))
	best := time.Hour
	for round := range 3 {
		for _, i := range []int{1, 2} {
			_, err := c.nodes[i].Status(t.Context()) // a connection is open
			require.NoError(t, err)
		}
		require.NoError(t, c.servers[0].Freeze())
		for _, i := range []int{1, 2} {
			began := time.Now()
			tm, err := c.nodes[i].Promise(t.Context(), term(uint64(1000+round)))
			took := time.Since(began)
			require.NoError(t, err)
			require.Equal(t, leadership.Promised, tm.Kind)
			// On a busy machine the thread that was killed seldom goes on to end its
			// dump thread itself, which takes rpl_semi_sync_slave_kill_conn_timeout,
			// 1 s here. Without the KILL each of them would.
			require.Less(t, took, 3*time.Second)
			require.Equal(t, "No", c.ioRunning(i))
			best = min(best, took)
			t.Log("fenced in", took)
		}
		require.NoError(t, c.servers[0].Thaw())
		c.run(g, reparent.Refresh())
	}
	require.Less(t, best, 50*time.Millisecond)
}

func (c *cluster) ioRunning(i int) string {
	c.t.Helper()
	return c.slaveStatus(i)["Slave_IO_Running"]
}

func (c *cluster) slaveStatus(i int) map[string]string {
	c.t.Helper()
	rows, err := c.root(i).QueryContext(c.t.Context(), "SHOW SLAVE STATUS")
	require.NoError(c.t, err)
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	require.NoError(c.t, err)
	out := map[string]string{}
	for rows.Next() {
		vals, ptrs := make([]*string, len(names)), make([]any, len(names))
		for k := range vals {
			ptrs[k] = &vals[k]
		}
		require.NoError(c.t, rows.Scan(ptrs...))
		for k, name := range names {
			if vals[k] != nil {
				out[name] = *vals[k]
			}
		}
	}
	require.NoError(c.t, rows.Err())
	return out
}

func TestAFenceEndsWithARestartWithoutSkipSlaveStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{flags: []string{"--skip-slave-start=0"}})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	before, err := c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	require.Equal(t, "No", c.ioRunning(1))
	waitForNextSecond(t)
	require.NoError(t, c.servers[1].Restart(t.Context()))
	c.eventually("the server follows its old leader by itself", func() bool { return c.ioRunning(1) == "Yes" })
	s, err := c.nodes[1].Status(t.Context())
	require.NoError(t, err)
	require.Contains(t, s.Degraded, "although it follows nobody")
	require.Equal(t, term(1000), s.Promised, "the promise is durable")
	again, err := c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	require.NotEqual(t, before.Incarnation, again.Incarnation, "a round voids what the earlier life said")
	require.Equal(t, "No", c.ioRunning(1), "asked again, it is fenced again")
	// Who cannot state that restarts are fenced gets held promises only.
	loose := c.node(1, func(_ int, cfg *mariadbnode.Config) { cfg.RestartsFenced = false })
	tm, err := loose.Promise(t.Context(), term(1001))
	require.NoError(t, err)
	require.True(t, tm.Held)
	require.Error(t, loose.CanEnforce(c.rs))
}

// waitForNextSecond lets the clock's second pass: the start of a server is
// known in seconds.
func waitForNextSecond(t testing.TB) {
	t.Helper()
	began := time.Now().Unix()
	enginetest.Eventually(t, 3*time.Second, "the next second", func(context.Context) error {
		if time.Now().Unix() <= began+1 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
}

func TestAReplicaLeavesOutItsOwnTransactionsUnlessItsSwitchIsOn(t *testing.T) {
	t.Parallel()
	// n1 crashes with a commit that n2 acknowledged and n1's engine had not
	// written yet: its restart takes it out of its log, and it has to get it back.
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprintf("on=%t", on), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, options{})
			g := c.guard(reparent.Config{})
			c.lead(g, 0)
			for id := range 5 {
				require.NoError(t, c.insert(c.app(0), id))
			}
			require.NoError(t, c.servers[0].Kill())
			c.run(g, reparent.Emergency())
			rec, err := c.reg.Load(t.Context())
			require.NoError(t, err)
			lead := int(rec.Active.Leader[1] - '1')
			// Rebuilt from nothing, n1 lacks all that it wrote.
			require.NoError(t, c.servers[0].Wipe(t.Context()))
			require.NoError(t, c.servers[0].Start(t.Context()))
			n := c.node(0, nil)
			require.NoError(t, n.Setup(t.Context()))
			if on {
				_, err = n.Promise(t.Context(), rec.Active.Term)
				require.NoError(t, err)
				s, err := c.nodes[lead].Status(t.Context())
				require.NoError(t, err)
				require.NoError(t, n.CatchUp(t.Context(), rec.Active.Term, rec.Active.Leader, s.Position))
				_, err = n.Follow(t.Context(), rec.Active.Term, rec.Active.Leader)
				require.NoError(t, err)
				c.holds(0, 0, 1, 2, 3, 4)
				require.NoError(t, c.insert(c.app(lead), 10))
				c.holds(0, 10)
				return
			}
			// Straight to Follow, a node that is no member by its own log does not
			// acknowledge, and leaves out its own.
			_, err = n.Follow(t.Context(), rec.Active.Term, rec.Active.Leader)
			var skipped *mariadbnode.SkippedError
			require.ErrorAs(t, err, &skipped)
			require.False(t, c.rows(0)[0])
			s, err := n.Status(t.Context())
			require.NoError(t, err)
			require.True(t, s.BelowFloor, "its log is no evidence")
			require.Contains(t, s.Degraded, "lacks")
			tm, err := n.Promise(t.Context(), term(1000))
			require.NoError(t, err)
			require.True(t, tm.BelowFloor)
		})
	}
}
