package mariadbnode_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// tailed returns a cluster in which n1 leads and was frozen while it wrote, with
// which n2 and n3 have something in their relay logs.
func tailed(t *testing.T) *cluster {
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	db := c.app(0)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	t.Cleanup(func() { stop(); writers.Wait() })
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil && i < 1000; i++ {
				_, _ = db.ExecContext(ctx, "INSERT INTO kv VALUES (?, 'v')", w*1000+i)
			}
		})
	}
	pause(t, 50*time.Millisecond)
	require.NoError(t, c.servers[0].Freeze())
	t.Cleanup(func() { _ = c.servers[0].Thaw() })
	return c
}

func TestG1_APositionDoesNotDependOnWhatAChangeOfTheSourceHadBegun(t *testing.T) {
	t.Parallel()
	// Ended by KILL or by a crash in the middle of CHANGE MASTER, the server may have
	// emptied gtid_slave_pos and not filled it again.
	c := tailed(t)
	root := c.root(2)
	before, err := c.nodes[2].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	if before.Read == nil {
		before, err = c.nodes[2].Read(t.Context(), term(1000))
		require.NoError(t, err)
	}
	c.exec(root, "STOP SLAVE", "SET GLOBAL gtid_slave_pos = ''")
	require.NotEmpty(t, c.slaveStatus(2)["Gtid_IO_Pos"], "the server knows what it received")

	_, err = c.nodes[2].Promise(t.Context(), term(1001))
	require.NoError(t, err)
	after, err := c.nodes[2].Read(t.Context(), term(1001))
	require.NoError(t, err)
	require.Equal(t, before.Read, after.Read)
	require.Equal(t, 0, c.number(2, "SELECT @@gtid_slave_pos <> ''"), "nothing was applied twice")

	// A leader that it follows finds it as it was.
	other, err := c.nodes[1].Promise(t.Context(), term(1001))
	require.NoError(t, err)
	if other.Read == nil {
		_, err = c.nodes[1].Read(t.Context(), term(1001))
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.nodes[2].Follow(ctx, term(1001), "n2")
	require.Error(t, err, "n2 has no marker of that term")
	require.Equal(t, "Yes", c.slaveStatus(2)["Slave_SQL_Running"])
	require.Equal(t, 1, c.number(2, "SELECT @@gtid_slave_pos <> ''"))
}

func TestG1_AFollowThatIsEndedInTheMiddleLeavesAServerThatCanBeRead(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		wait := rand.N(2 * time.Millisecond)
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Logf("a Follow is ended after %v", wait)
			c := tailed(t)
			first, second := c.node(2, nil), c.node(2, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			low, high := term(1000), term(1001)
			_, err := first.Promise(ctx, low)
			require.NoError(t, err)
			_, err = first.Read(ctx, low)
			require.NoError(t, err)
			// A server that led is made a slave of by what empties gtid_slave_pos.
			c.exec(c.root(2), "STOP SLAVE", "SET GLOBAL gtid_slave_pos = ''")
			var following sync.WaitGroup
			defer following.Wait()
			following.Go(func() {
				_, err := first.Follow(ctx, low, "n2")
				if err == nil {
					t.Error("n2 has no marker of that term")
				}
			})
			pause(t, wait)
			tm, err := second.Promise(ctx, high)
			require.NoError(t, err)
			if tm.Read == nil {
				tm, err = second.Read(ctx, high)
				require.NoError(t, err, "%v", c.slaveStatus(2))
			}
			require.NotNil(t, tm.Read)
			var stale *leadership.StaleTermError
			_, err = first.Follow(ctx, low, "n2")
			require.True(t, errors.As(err, &stale), "%v", err)
		})
	}
}

func TestG2_WhatIsInTheBinaryLogAndNotCommittedYetIsNotTakenForApplied(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	c.holds(2)
	// As the disk may, this keeps a transaction between the binary log and its commit,
	// where no SELECT finds it: not the marker that it may be, either.
	root := c.root(2)
	c.exec(root, "SET GLOBAL rpl_semi_sync_master_timeout=600000, GLOBAL rpl_semi_sync_master_wait_no_slave=1, GLOBAL rpl_semi_sync_master_wait_point=AFTER_SYNC, GLOBAL rpl_semi_sync_master_enabled=1")
	require.NoError(t, c.insert(c.app(0), 7))
	// n3 received it, since n1 waits for whichever is first, and has it in its log.
	end := c.value(c.root(0), "SELECT @@gtid_binlog_pos")
	c.eventually("n3 received it", func() bool { return c.slaveStatus(2)["Gtid_IO_Pos"] == end })
	c.eventually("n3 logged it", func() bool { return c.value(root, "SELECT @@gtid_binlog_pos") == end })
	require.False(t, c.rows(2)[7], "it is not committed")
	settled, err := mariadbnode.Settled(t.Context(), c.nodes[2])
	require.NoError(t, err)
	require.False(t, settled)

	c.exec(root, "SET GLOBAL rpl_semi_sync_master_enabled=0")
	c.holds(2, 7)
	c.eventually("it is applied", func() bool {
		settled, err := mariadbnode.Settled(t.Context(), c.nodes[2])
		return err == nil && settled
	})
}

// TestG2_ARescueThatGoesOnIsWaitedFor: what a call that gave up had begun to apply is in
// the log before it is committed, and may be the marker that the next call reads.
func TestG2_ARescueThatGoesOnIsWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.received(func() { require.NoError(t, c.insert(c.app(0), 7)) })
	_, err := c.nodes[2].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	// A server that was restarted does not know what it has received.
	require.NoError(t, c.servers[2].Kill())
	require.NoError(t, c.servers[2].Start(t.Context()))
	root := c.root(2)
	c.exec(root, "SET GLOBAL rpl_semi_sync_master_timeout=600000, GLOBAL rpl_semi_sync_master_wait_no_slave=1, GLOBAL rpl_semi_sync_master_wait_point=AFTER_SYNC, GLOBAL rpl_semi_sync_master_enabled=1")
	read := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.nodes[2].Read(ctx, term(1000))
		return err
	}
	before := c.value(root, "SELECT @@gtid_binlog_pos")
	require.ErrorIs(t, read(), context.DeadlineExceeded)
	require.NotEqual(t, before, c.value(root, "SELECT @@gtid_binlog_pos"), "it is in the log")
	require.False(t, c.rows(2)[7], "and not committed")
	require.ErrorIs(t, read(), context.DeadlineExceeded, "and so not read")
	c.exec(root, "SET GLOBAL rpl_semi_sync_master_enabled=0")
	require.NoError(t, read())
	require.True(t, c.rows(2)[7])
}
