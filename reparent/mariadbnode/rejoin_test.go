package mariadbnode_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// crashWithTail makes n1 crash with a commit in its log that nobody
// acknowledged, under row 100, and has another node take over.
func crashWithTail(t *testing.T, flags ...string) (*cluster, *reparent.Guard) {
	t.Helper()
	c := newCluster(t, 3, options{flags: flags})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))
	c.stopReplicas(0)
	out := c.blocked(0, 100)
	require.NoError(t, c.servers[0].Kill())
	require.Error(t, <-out)
	rep := c.run(g, reparent.Emergency())
	require.NotEqual(t, c.ids[0], rep.To)
	require.NoError(t, c.insert(c.app(int(rep.To[1]-'1')), 2))
	return c, g
}

func TestAnOldLeaderThatTruncatesItsTailRejoins(t *testing.T) {
	t.Parallel()
	c, g := crashWithTail(t)
	require.NoError(t, c.servers[0].Start(t.Context()))
	require.False(t, c.rows(0)[100], "init_rpl_role=SLAVE took it out of the log")
	rep, err := g.Sweep(t.Context())
	require.NoError(t, err, "%v", rep)
	c.holds(0, 1, 2)
	// And leads again.
	c.run(g, reparent.Planned("n1"))
	require.NoError(t, c.insert(c.app(0), 3))
	c.holds(1, 1, 2, 3)
	c.holds(2, 1, 2, 3)
}

func TestAnOldLeaderWithErrantTransactionsIsReportedAndRebuilt(t *testing.T) {
	t.Parallel()
	c, g := crashWithTail(t, "--init-rpl-role=MASTER")
	require.NoError(t, c.servers[0].Start(t.Context()))
	require.True(t, c.rows(0)[100], "the commit that nobody acknowledged is there after the restart")
	rep, err := g.Sweep(t.Context())
	require.ErrorContains(t, err, "its adapter offers no Repairer", "%v", rep)

	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	lead := int(rec.Active.Leader[1] - '1')
	s, err := c.nodes[lead].Status(t.Context())
	require.NoError(t, err)
	e, err := c.nodes[0].Errant(t.Context(), rec.Active.Leader, s.Position)
	require.NoError(t, err)
	require.NotNil(t, e)
	require.Len(t, e.GTIDs, 1)
	require.EqualValues(t, 1, e.GTIDs[0].Server)
	require.Contains(t, e.Error(), e.GTIDs.String())
	// Pointed at the leader all the same, the server says so.
	_, err = c.nodes[0].Follow(t.Context(), rec.Active.Term, rec.Active.Leader)
	var stopped *mariadbnode.ReplicationError
	require.ErrorAs(t, err, &stopped)
	require.Equal(t, 1236, stopped.Errno)

	// A rebuild, here a copy of a stopped follower's files.
	donor := 3 - lead
	before, err := c.nodes[0].Status(t.Context())
	require.NoError(t, err)
	c.nodes[0] = c.node(0, func(_ int, cfg *mariadbnode.Config) {
		cfg.Rebuild = func(ctx context.Context, r mariadbnode.Rebuild) error {
			require.Equal(t, rec.Active.Leader, r.From)
			require.NotContains(t, c.value(c.root(0), "SELECT doc FROM tenure.node"), `"floor":"empty"`, "recorded before anything is discarded")
			return c.copyFiles(ctx, donor, 0)
		}
	})
	g = c.guard(reparent.Config{})
	rep, err = g.Sweep(t.Context())
	if err != nil { // the donor, which was restarted, is swept at the same time
		rep, err = g.Sweep(t.Context())
	}
	require.NoError(t, err, "%v", rep)
	c.holds(0, 1, 2)
	require.False(t, c.rows(0)[100])
	after, err := c.nodes[0].Status(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before.Incarnation, after.Incarnation)
	require.Equal(t, before.Promised, after.Promised)
	require.Equal(t, rec.Active, after.Source)
	require.False(t, after.BelowFloor)
}

// TestG2_ACopyThatReplicatesIsRebuiltWithoutLosingWhatItAcknowledged: a backup of a
// replica brings its source, and a server that comes back with it may have received and
// acknowledged by the time it is looked at.
func TestG2_ACopyThatReplicatesIsRebuiltWithoutLosingWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for _, applies := range []bool{true, false} {
		t.Run(map[bool]string{true: "and applies", false: "and has only received"}[applies], func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2, options{})
			c.lead(c.guard(reparent.Config{}), 0)
			rec, err := c.reg.Load(t.Context())
			require.NoError(t, err)
			n := c.node(1, func(_ int, cfg *mariadbnode.Config) {
				cfg.Rebuild = func(ctx context.Context, _ mariadbnode.Rebuild) error {
					root := c.root(1)
					if applies {
						c.exec(root, "START SLAVE")
					} else {
						c.exec(root, "STOP SLAVE SQL_THREAD", "START SLAVE IO_THREAD")
					}
					// Acknowledged by the copy: there is nobody else.
					require.NoError(t, c.insert(c.app(0), 7))
					return nil
				}
			})
			require.NoError(t, n.Repair(t.Context(), rec.Active.Term, rec.Active.Leader))
			require.True(t, c.rows(1)[7])
			require.Empty(t, c.slaveStatus(1)["Master_Host"])
			_, err = n.Follow(t.Context(), rec.Active.Term, rec.Active.Leader)
			require.NoError(t, err)
			require.NoError(t, c.insert(c.app(0), 8))
			c.holds(1, 7, 8)
		})
	}
}

// TestACopyAcknowledgesNoMoreWhileWhatItReceivedIsApplied: what it received after it was
// asked what that is would go with its relay log.
func TestACopyAcknowledgesNoMoreWhileWhatItReceivedIsApplied(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	app, follower, copied := c.app(0), c.root(1), make(chan struct{})
	row, err := follower.Conn(t.Context())
	require.NoError(t, err)
	n := c.node(1, func(_ int, cfg *mariadbnode.Config) {
		cfg.Rebuild = func(ctx context.Context, _ mariadbnode.Rebuild) error {
			defer close(copied)
			for _, q := range []string{"SET sql_log_bin=0", "BEGIN", "INSERT INTO app.kv VALUES (7, 'in the way')"} {
				if _, err := row.ExecContext(ctx, q); err != nil {
					return err
				}
			}
			if _, err := follower.ExecContext(ctx, "START SLAVE"); err != nil {
				return err
			}
			return c.insert(app, 7) // the copy acknowledges it
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	repaired := make(chan error, 1)
	go func() { repaired <- n.Repair(ctx, rec.Active.Term, rec.Active.Leader) }()
	select {
	case <-copied:
	case <-ctx.Done():
		t.Fatal(<-repaired)
	}
	c.eventually("it has acknowledged, and is stopped", func() bool {
		st := c.slaveStatus(1)
		return st["Slave_IO_Running"] == "No" && st["Slave_SQL_Running"] == "Yes"
	})
	require.NoError(t, row.Close())
	require.NoError(t, <-repaired)
	require.True(t, c.rows(1)[7])
}

// copyFiles replaces the files of one server by those of another, which is
// stopped for it. Both serve afterwards.
func (c *cluster) copyFiles(ctx context.Context, from, to int) error {
	a, b := c.servers[from], c.servers[to]
	if err := a.Stop(ctx); err != nil {
		return err
	}
	if err := b.Kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(b.Data()); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", a.Data(), b.Data()).CombinedOutput(); err != nil {
		c.t.Log(string(out))
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	return b.Start(ctx)
}

func TestAnAdministratorsStatementOnAFollowerIsErrant(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	c.exec(c.root(1), "FLUSH PRIVILEGES")
	s, err := c.nodes[0].Status(t.Context())
	require.NoError(t, err)
	e, err := c.nodes[1].Errant(t.Context(), "n1", s.Position)
	require.NoError(t, err)
	require.NotNil(t, e)
	require.EqualValues(t, 2, e.GTIDs[0].Server)
	// The next transaction of the leader's stops the applier, under strict mode.
	require.NoError(t, c.insert(c.app(0), 1))
	c.eventually("n2 is degraded", func() bool {
		s, err := c.nodes[1].Status(t.Context())
		require.NoError(t, err)
		return s.Degraded != ""
	})
	// A change goes on without it.
	rep := c.run(g, reparent.Planned("n3"))
	require.NoError(t, c.insert(c.app(2), 2))
	require.NotContains(t, rep.Accepted, leadership.NodeID("n2"))
	s, err = c.nodes[1].Status(t.Context())
	require.NoError(t, err)
	require.Contains(t, s.Degraded, "errant")
	_, err = g.Sweep(t.Context())
	require.ErrorContains(t, err, "Repairer")
}

func TestAGhostThatSharesItsNumberIsNoPrefix(t *testing.T) {
	t.Parallel()
	// n3 acknowledges nothing, and has a transaction that n1 lost when it
	// crashed. n1 leads again and gives its number to another one.
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))
	c.holds(2, 1)
	c.exec(c.root(1), "STOP SLAVE IO_THREAD")
	c.exec(c.root(2), "STOP SLAVE IO_THREAD", "SET GLOBAL rpl_semi_sync_slave_enabled=0", "START SLAVE IO_THREAD")
	out := c.blocked(0, 100)
	c.holds(2, 100)
	require.NoError(t, c.servers[0].Kill())
	require.Error(t, <-out)
	ghost, err := c.nodes[2].Status(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.servers[2].Kill())
	require.NoError(t, c.servers[0].Start(t.Context()))
	require.False(t, c.rows(0)[100])
	rep := c.run(g, reparent.Emergency())
	lead := int(rep.To[1] - '1')
	if lead != 0 {
		c.eventually("n1 follows, and nothing but n3, which is down, is the matter", func() bool {
			rep, err := g.Sweep(t.Context())
			require.Error(t, err, "n3 is down: %v", rep)
			return rep.Nodes[0].Err == nil && rep.Nodes[1].Err == nil
		})
		c.run(g, reparent.Planned("n1"))
	}
	require.NoError(t, c.insert(c.app(0), 2))
	now, err := c.nodes[0].Status(t.Context())
	require.NoError(t, err)
	p, q := now.Position.Point.(mariadbnode.Point), ghost.Position.Point.(mariadbnode.Point)
	require.Empty(t, q.State.Errant(p.State), "by its numbers, n3 looks like a prefix of n1")
	require.False(t, now.Position.Extends(ghost.Position), "and is none")

	require.NoError(t, c.servers[2].Start(t.Context()))
	// A sweep may find that it is slow to say how it is, right after its start.
	c.eventually("a sweep finds that it needs a repair", func() bool {
		sw, err := g.Sweep(t.Context())
		require.Error(t, err, "%v", sw)
		return strings.Contains(err.Error(), "Repairer")
	})
	// The server itself sees nothing wrong.
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = c.nodes[2].Follow(ctx, rec.Active.Term, rec.Active.Leader)
	t.Log("followed regardless of the guard:", err)
}

func TestAnOldLeaderRejoinsFromWhereItWasAndNotFromTheBeginning(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))
	c.holds(1, 1)
	c.holds(2, 1)
	for _, i := range []int{1, 2} {
		c.exec(c.root(i), "FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")
	}
	require.NoError(t, c.servers[0].Stop(t.Context()))
	rep := c.run(g, reparent.Emergency())
	lead := int(rep.To[1] - '1')
	root := c.root(lead)
	// The new leader no longer has what the old one wrote.
	c.eventually("the old logs are purged", func() bool {
		_, err := root.ExecContext(t.Context(), "PURGE BINARY LOGS TO 'bin.000002'")
		require.NoError(t, err)
		var name, size string
		require.NoError(t, root.QueryRowContext(t.Context(), "SHOW BINARY LOGS").Scan(&name, &size))
		return name == "bin.000002"
	})
	require.NoError(t, c.servers[0].Start(t.Context()))
	require.Empty(t, c.value(c.root(0), "SELECT @@gtid_slave_pos"), "it never was a replica")
	sw, err := g.Sweep(t.Context())
	require.NoError(t, err, "%v", sw)
	require.NoError(t, c.insert(c.app(lead), 2))
	c.holds(0, 1, 2)
}

// TestNothingIsDiscardedForASourceThatDoesNotStandByTheTerm: the rebuild is not begun.
func TestNothingIsDiscardedForASourceThatDoesNotStandByTheTerm(t *testing.T) {
	t.Parallel()
	c, _ := crashWithTail(t, "--init-rpl-role=MASTER")
	require.NoError(t, c.servers[0].Start(t.Context()))
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	lead := int(rec.Active.Leader[1] - '1')
	other := 3 - lead
	rebuilt := errors.New("the data is gone")
	n := c.node(0, func(_ int, cfg *mariadbnode.Config) {
		cfg.Rebuild = func(context.Context, mariadbnode.Rebuild) error { return rebuilt }
		cfg.PeerDSN = map[leadership.NodeID]string{}
		for _, i := range []int{1, 2} {
			cfg.PeerDSN[c.ids[i]] = c.config(i).DSN
		}
	})

	err = n.Repair(t.Context(), rec.Active.Term, c.ids[other])
	require.ErrorContains(t, err, "does not lead")
	require.NotErrorIs(t, err, rebuilt)
	require.ErrorIs(t, n.Repair(t.Context(), rec.Active.Term, rec.Active.Leader), rebuilt, "its leader stands by it")
	before, err := n.Status(t.Context())
	require.NoError(t, err)

	_, err = c.nodes[lead].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	err = n.Repair(t.Context(), rec.Active.Term, rec.Active.Leader)
	var stale *leadership.StaleTermError
	require.ErrorAs(t, err, &stale)
	require.Equal(t, c.ids[lead], stale.Node)
	require.NotErrorIs(t, err, rebuilt)

	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = n.Repair(short, term(2000), rec.Active.Leader)
	require.ErrorIs(t, err, context.DeadlineExceeded, "it may promise that yet")
	after, err := n.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Promised, after.Promised, "nothing was touched")
}

// TestACopyThatLacksTheMarkersHasItsRecordAllTheSame: it can be repaired again, and its
// floor and its new incarnation are there until it is.
func TestACopyThatLacksTheMarkersHasItsRecordAllTheSame(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	incarnation := func() string {
		return c.value(c.root(1), "SELECT JSON_VALUE(doc, '$.incarnation') FROM tenure.node")
	}
	before := incarnation()
	require.NotEmpty(t, before)
	n := c.node(1, func(_ int, cfg *mariadbnode.Config) {
		cfg.Rebuild = func(context.Context, mariadbnode.Rebuild) error {
			c.exec(c.root(1), "SET sql_log_bin=0", "STOP SLAVE", "DROP TABLE tenure.marker")
			return nil
		}
	})
	var e *mariadbnode.RepairError
	require.ErrorAs(t, n.Repair(t.Context(), rec.Active.Term, rec.Active.Leader), &e)
	require.Contains(t, e.Error(), "lacks the markers")
	require.NotEqual(t, before, incarnation())
	require.Empty(t, c.slaveStatus(1)["Master_Host"])
}
