package mariadbnode_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// received has n2 and n3 receive, and not apply, what f writes at n1, and then
// kills n1 and n2.
func (c *cluster) received(f func()) {
	c.t.Helper()
	c.lead(c.guard(reparent.Config{}), 0)
	for _, i := range []int{1, 2} {
		c.exec(c.root(i), "STOP SLAVE SQL_THREAD")
	}
	f()
	at := c.value(c.root(0), "SELECT @@gtid_binlog_pos")
	c.eventually("both have received it", func() bool {
		return c.slaveStatus(1)["Gtid_IO_Pos"] == at && c.slaveStatus(2)["Gtid_IO_Pos"] == at
	})
	require.NoError(c.t, c.servers[0].Kill())
	require.NoError(c.t, c.servers[1].Kill())
}

func TestARelayLogThatCannotBeReadToItsEndIsNoPosition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.received(func() {
		for id := 1; id <= 10; id++ {
			require.NoError(t, c.insert(c.app(0), id))
		}
	})
	// The server was killed while it wrote an event.
	files, err := filepath.Glob(filepath.Join(c.servers[1].Data(), "relay.0*"))
	require.NoError(t, err)
	slices.Sort(files)
	last := files[len(files)-1]
	b, err := os.ReadFile(last)
	require.NoError(t, err)
	require.Greater(t, len(b), 1000, "it holds the rows")
	f, err := os.OpenFile(last, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.Write(b[4:44])
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, c.servers[1].Start(t.Context()))

	tm, err := c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	require.Nil(t, tm.Read)
	read := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := c.nodes[1].Read(ctx, term(1000))
		return err
	}
	var unread *mariadbnode.RelayLogError
	require.ErrorAs(t, read(), &unread)
	require.Equal(t, filepath.Base(last), unread.File)
	// What can be read is applied, if need be by asking again.
	c.eventually("the acknowledged rows are there", func() bool {
		require.ErrorAs(t, read(), &unread)
		return len(c.rows(1)) == 10
	})
	// The operator saw that the rest was never acknowledged.
	c.exec(c.root(1), "RESET SLAVE")
	require.NoError(t, read())
}

func TestAPreparedTransactionInARelayLogIsRescued(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.received(func() {
		xa, err := c.app(0).Conn(t.Context())
		require.NoError(t, err)
		for _, q := range []string{"XA START 'x'", "INSERT INTO app.kv VALUES (1, 'xa')", "XA END 'x'", "XA PREPARE 'x'"} {
			_, err := xa.ExecContext(t.Context(), q)
			require.NoError(t, err, q)
		}
		require.NoError(t, c.insert(c.app(0), 2))
		_, err = xa.ExecContext(t.Context(), "XA COMMIT 'x'")
		require.NoError(t, err)
	})
	require.NoError(t, c.servers[1].Start(t.Context()))
	_, err := c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = c.nodes[1].Read(ctx, term(1000))
	require.NoError(t, err)
	require.Equal(t, map[int]bool{1: true, 2: true}, c.rows(1))
}

func TestAStoppedApplierIsFencedWithoutLosingItsRelayLog(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.received(func() { require.NoError(t, c.insert(c.app(0), 1)) })
	_, err := c.nodes[2].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	require.Equal(t, "No", c.slaveStatus(2)["Slave_SQL_Running"], "it is started with the relay log named, or not at all")
	tm, err := c.nodes[2].Read(t.Context(), term(1000))
	require.NoError(t, err)
	require.NotNil(t, tm.Read)
	require.True(t, c.rows(2)[1])
}

func TestAServerRebuiltFromABackupTakesPart(t *testing.T) {
	t.Parallel()
	c, _ := crashWithTail(t, "--init-rpl-role=MASTER")
	require.NoError(t, c.servers[0].Start(t.Context()))
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	donor := 3 - int(rec.Active.Leader[1]-'1')
	rebuilds, forget := 0, true
	c.nodes[0] = c.node(0, func(_ int, cfg *mariadbnode.Config) {
		cfg.Rebuild = func(ctx context.Context, r mariadbnode.Rebuild) error {
			rebuilds++
			require.Equal(t, rec.Active, leadership.Leadership{Leader: r.From, Term: r.Term})
			if err := c.copyFiles(ctx, donor, 0); err != nil {
				return err
			}
			at := c.value(c.root(0), "SELECT @@gtid_binlog_pos")
			// A backup has no binary log, and no replication.
			if err := c.servers[0].Stop(ctx); err != nil {
				return err
			}
			out, err := exec.CommandContext(ctx, "find", c.servers[0].Data(), "-maxdepth", "1", "(", "-name", "bin.*", "-o", "-name", "relay*", "-o", "-name", "*.info", ")", "-delete").CombinedOutput()
			require.NoError(t, err, string(out))
			if err := c.servers[0].Start(ctx); err != nil {
				return err
			}
			require.Empty(t, c.value(c.root(0), "SELECT @@gtid_binlog_state"))
			pos := at
			if forget {
				pos, forget = "", false
			}
			_, err = c.root(0).ExecContext(ctx, "SET GLOBAL gtid_slave_pos='"+pos+"'")
			return err
		}
	})
	c.holds(donor, 2)
	var bad *mariadbnode.RepairError
	require.ErrorAs(t, c.nodes[0].Repair(t.Context(), rec.Active.Term, rec.Active.Leader), &bad)
	require.Contains(t, bad.Error(), "gtid_slave_pos")
	// Repaired again, with the position, it is a follower as any other, although
	// its binary log never had what it wrote itself.
	g := c.guard(reparent.Config{})
	rep, err := g.Sweep(t.Context())
	if err != nil { // the donor, which was restarted, is swept at the same time
		rep, err = g.Sweep(t.Context())
	}
	require.NoError(t, err, "%v", rep)
	require.Equal(t, 2, rebuilds)
	c.holds(0, 1, 2)
	c.run(g, reparent.Planned("n1"))
	require.NoError(t, c.insert(c.app(0), 3))
	c.holds(1, 1, 2, 3)
	c.holds(2, 1, 2, 3)
}
