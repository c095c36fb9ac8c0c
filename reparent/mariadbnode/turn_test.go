package mariadbnode_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func TestOfConcurrentPromisesTheHighestStands(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	const n = 8
	var mu sync.Mutex
	var order []leadership.Term // in which they were reported
	var wg sync.WaitGroup
	for i := range n {
		node := c.node(0, nil)
		wg.Go(func() {
			tm, err := node.Promise(t.Context(), term(uint64(i+1)))
			var stale *leadership.StaleTermError
			if errors.As(err, &stale) {
				return
			}
			if err != nil {
				t.Log(i+1, err) // its connection was ended by a higher term
				return
			}
			mu.Lock()
			defer mu.Unlock()
			order = append(order, tm.Term)
		})
	}
	wg.Wait()
	require.Equal(t, term(n), c.promised(0))
	require.Contains(t, order, term(n))
	_, err := c.nodes[0].Promise(t.Context(), term(n-1))
	var stale *leadership.StaleTermError
	require.ErrorAs(t, err, &stale)
}

func TestAHigherTermEndsTheCallOfALowerOneAtTheServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	// A coordinator that froze in the middle of a call: it has the turn, and a
	// statement runs.
	conn, err := c.open("tenure:" + adminPassword + "@tcp(" + c.servers[0].Addr() + ")/").Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"SELECT GET_LOCK('tenure:tenure', 0)", "SET sql_log_bin=0", "UPDATE tenure.turn SET conn = CONNECTION_ID(), term = '5.t'", "SELECT GET_LOCK('tenure:tenure:noted', 0)"} {
		_, err := conn.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	busy := make(chan error, 1)
	running, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := conn.ExecContext(running, "SELECT SLEEP(60)")
		busy <- err
	})
	t.Cleanup(func() { end(); wg.Wait() })
	root := c.root(0)
	c.eventually("the statement runs", func() bool {
		return c.value(root, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(60)' AND COMMAND = 'Query' AND ID <> CONNECTION_ID()") == "1"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.nodes[0].Promise(ctx, term(4))
	var turn *mariadbnode.TurnError
	require.ErrorAs(t, err, &turn, "a lower term waits")
	require.Equal(t, term(5), turn.Term)
	bound, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	_, err = c.nodes[0].Promise(bound, term(6))
	require.NoError(t, err)
	require.Error(t, <-busy)
	require.Equal(t, "0", c.value(root, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(60)' AND ID <> CONNECTION_ID()"))
}

// Connections are kept: the note of one that has the turn may be of a call before.
func TestACallIsNotEndedForATermThatItsConnectionHadBefore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.Stolen = time.Minute }})
	kept := c.node(0, nil)
	_, err := kept.Promise(t.Context(), term(5))
	require.NoError(t, err)
	// The next call has the turn and cannot say so yet, as where disks are slow.
	slow, err := c.open(c.account(0)).Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"BEGIN", "SELECT * FROM tenure.turn FOR UPDATE"} {
		_, err := slow.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	higher := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := kept.Promise(t.Context(), term(7))
		higher <- err
	})
	t.Cleanup(wg.Wait)
	c.eventually("it has the turn", func() bool { return c.value(c.root(0), "SELECT IS_USED_LOCK('tenure:tenure')") != "" })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.nodes[0].Promise(ctx, term(6))
	var turn *mariadbnode.TurnError
	require.ErrorAs(t, err, &turn)
	_, err = slow.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, <-higher, "a lower term ended its connection")
	require.Equal(t, term(7), c.promised(0))
}

// Who was seen to have the turn may have given it back by the time it is ended.
func TestWhoHasNotTheTurnAnyMoreIsNotEnded(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	conn, err := c.open(c.account(0)).Conn(t.Context())
	require.NoError(t, err)
	var id uint64
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	run := func(qs ...string) {
		for _, q := range qs {
			_, err := conn.ExecContext(t.Context(), q)
			require.NoError(t, err, q)
		}
	}
	run("SET sql_log_bin=0", "UPDATE tenure.turn SET conn = CONNECTION_ID(), term = '5.t'")
	require.NoError(t, mariadbnode.Evict(t.Context(), c.nodes[0], id, term(5)))
	run("SELECT GET_LOCK('tenure:tenure', 0)") // it has it again
	require.NoError(t, mariadbnode.Evict(t.Context(), c.nodes[0], id, term(5)))
	run("UPDATE tenure.turn SET term = '7.t'", "SELECT GET_LOCK('tenure:tenure:noted', 0)") // for another call
	require.NoError(t, mariadbnode.Evict(t.Context(), c.nodes[0], id, term(5)))
	require.NoError(t, conn.PingContext(t.Context()))
	require.NoError(t, mariadbnode.Evict(t.Context(), c.nodes[0], id, term(7)))
	require.Error(t, conn.PingContext(t.Context()))
	require.NoError(t, mariadbnode.Evict(t.Context(), c.nodes[0], id, term(7)), "it is gone")
}

func TestAFrozenCoordinatorLosesTheTurn(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.Stolen = 50 * time.Millisecond }})
	// It has the lock and never said its term.
	conn, err := c.open("tenure:" + adminPassword + "@tcp(" + c.servers[0].Addr() + ")/").Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "SELECT GET_LOCK('tenure:tenure', 0)")
	require.NoError(t, err)
	_, err = c.nodes[0].Promise(t.Context(), term(1))
	require.NoError(t, err)
	require.Error(t, conn.PingContext(t.Context()))
}

func TestNothingOfALowerTermLandsAfterAPromise(t *testing.T) {
	t.Parallel()
	// Follow of a lower term and Promise of a higher one race, with everything
	// that the one sends delayed, held and delivered late.
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	slow := c.node(2, nil)
	fast := c.node(2, func(_ int, cfg *mariadbnode.Config) {
		cfg.DSN = "tenure:" + adminPassword + "@tcp(" + c.servers[2].Addr() + ")/"
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 12 {
		low, high := term(uint64(1000+2*round)), term(uint64(1001+2*round))
		_, err := fast.Promise(t.Context(), low)
		require.NoError(t, err)
		c.admin[2].Delay(time.Duration(rng.IntN(4)) * time.Millisecond)
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		wg.Go(func() {
			_, err := slow.Follow(ctx, low, "n2")
			require.Error(t, err, "n2 has no marker of that term")
		})
		wg.Go(func() {
			pause(t, time.Duration(rng.IntN(40))*time.Millisecond)
			if round%3 == 0 {
				require.NoError(t, c.admin[2].Set(netproxy.Hold))
			}
			tm, err := fast.Promise(t.Context(), high)
			require.NoError(t, err)
			require.Equal(t, high, tm.Term)
			before := c.slaveStatus(2)
			require.Equal(t, "No", before["Slave_IO_Running"])
			require.NoError(t, c.admin[2].Set(netproxy.Pass))
			pause(t, 150*time.Millisecond)
			after := c.slaveStatus(2)
			require.Equal(t, "No", after["Slave_IO_Running"], "a late START SLAVE landed")
			require.Equal(t, before["Master_Port"], after["Master_Port"], "a late CHANGE MASTER landed")
			require.Equal(t, high, c.promised(2))
		})
		wg.Wait()
		cancel()
		c.admin[2].Delay(0)
	}
}

// pause lets time pass between two things that race.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func TestADuplicateOfAPromiseDoesNotUnseatTheLeaderOfItsTerm(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	for i := range c.nodes {
		tm, err := c.nodes[i].Promise(t.Context(), rec.Active.Term)
		require.NoError(t, err)
		require.Equal(t, leadership.Promised, tm.Kind)
		if i == 0 {
			require.Equal(t, rec.Active.Term, tm.Led)
		}
	}
	for id := range 5 {
		require.NoError(t, c.insert(c.app(0), id))
	}
	m := mk(c, 0, 1)
	m.Term = rec.Active.Term
	_, err = c.nodes[0].Install(t.Context(), m)
	require.NoError(t, err, "a duplicate of the installation")
	require.NoError(t, c.nodes[0].Grant(t.Context(), rec.Active.Term))
	for i := 1; i < 3; i++ {
		_, err := c.nodes[i].Follow(t.Context(), rec.Active.Term, "n1")
		require.NoError(t, err)
	}
	require.NoError(t, c.insert(c.app(0), 10))
	require.Equal(t, "1", c.value(c.root(1), "SELECT COUNT(*) FROM tenure.marker"))
}

func TestG4_ThePromiseIsOutsideTheBinaryLogAndSurvivesACrash(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	for i := range 5 {
		_, err := c.nodes[0].Promise(t.Context(), term(uint64(i+1)))
		require.NoError(t, err)
	}
	require.Empty(t, c.value(c.root(0), "SELECT @@gtid_binlog_state"))
	require.NoError(t, c.servers[0].Kill())
	require.NoError(t, c.servers[0].Start(t.Context()))
	require.Equal(t, term(5), c.promised(0))
}

func TestDataThatWasCopiedWithItsRecordIsNotThisNode(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	other, err := mariadbnode.New(mariadbnode.Config{ID: "other", DSN: "tenure:" + adminPassword + "@tcp(" + c.servers[0].Addr() + ")/"})
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	var in *leadership.IncarnationError
	_, err = other.Promise(t.Context(), term(1))
	require.ErrorAs(t, err, &in)
	require.ErrorAs(t, other.Setup(t.Context()), &in)
	require.NoError(t, c.nodes[0].Setup(t.Context()), "again, on the right one")
}

func TestPasswordsAreInNoError(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, options{})
	// The server quotes what it cannot parse; the quoting here is what breaks it.
	n := c.node(0, func(_ int, cfg *mariadbnode.Config) {
		cfg.Peers = map[leadership.NodeID]string{"n2": "127.0.0.1:1"}
		cfg.Replication.User = string(make([]byte, 300))
	})
	_, err := n.Promise(t.Context(), term(1))
	require.NoError(t, err)
	_, err = n.Follow(t.Context(), term(1), "n2")
	require.Error(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), replPassword)
	cfg := c.config(0)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %v %+v", cfg, cfg, cfg, cfg, cfg.Replication, cfg.Replication), "s3cret")
	cfg.DSN = "tenure:" + adminPassword + "@broken(((" // the driver's error quotes it
	_, err = mariadbnode.New(cfg)
	require.Error(t, err)
	require.NotContains(t, err.Error(), adminPassword)
	cfg = c.config(0)
	cfg.DSN = "tenure:Wr0ng-" + adminPassword + "@tcp(" + c.servers[0].Addr() + ")/"
	bad, err := mariadbnode.New(cfg)
	require.NoError(t, err)
	defer func() { _ = bad.Close() }()
	_, err = bad.Status(t.Context())
	require.ErrorContains(t, err, "Access denied")
	require.NotContains(t, err.Error(), "s3cret")
}
