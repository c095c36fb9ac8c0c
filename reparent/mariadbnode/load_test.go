package mariadbnode_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// underLoad is a cluster that n1 leads, with 16 writers in two other processes.
type underLoad struct {
	*cluster
	load    *load.Load
	barrier *leadership.FileBarrier
	guard   *reparent.Guard
}

func startLoad(t *testing.T, o options, cfg reparent.Config) *underLoad {
	t.Helper()
	c := newCluster(t, 3, o)
	dir := t.TempDir()
	u := &underLoad{cluster: c}
	reg, err := leadership.OpenFileRegistry(filepath.Join(dir, "registry"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = reg.Close() })
	c.reg = reg
	u.barrier, err = leadership.OpenFileBarrier(filepath.Join(dir, "barrier"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = u.barrier.Close() })
	cfg.Barrier = u.barrier
	u.guard = c.guard(cfg)
	c.lead(u.guard, 0)
	u.load, err = load.Start(t.Context(), load.Config{Workers: 2, Spec: load.Spec{
		Dir: dir, Cluster: "test", Registry: filepath.Join(dir, "registry"), Barrier: filepath.Join(dir, "barrier"),
		Writers: 8, InTx: true, Insert: "INSERT INTO app.kv VALUES (?, 'load')",
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = u.load.Stop(ctx)
	})
	return u
}

func (u *underLoad) flows(n int) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(u.t, u.load.AwaitAcks(ctx, n), "writes are acknowledged")
}

// stop ends the load and checks what every writer was told with what the leader
// and the other servers have.
func (u *underLoad) stop(others ...int) load.Verdict {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 60*time.Second)
	defer cancel()
	h, err := u.load.Stop(ctx)
	require.NoError(u.t, err)
	lead := u.leader()
	rows := u.ids64(lead)
	var rest []load.Rows
	for _, i := range others {
		if i == lead {
			continue
		}
		want := len(rows.IDs)
		enginetest.Eventually(u.t, 30*time.Second, "a follower is level", func(context.Context) error {
			if have := u.rows(i); len(have) < want {
				var missing []int64
				for _, id := range rows.IDs {
					if !have[int(id)] && len(missing) < 10 {
						missing = append(missing, id)
					}
				}
				st := u.slaveStatus(i)
				return fmt.Errorf("%s has %d of %d rows, not %v; it logged %s, the leader %s; io %s %s, sql %s %s %s", u.ids[i], len(have), want, missing,
					u.value(u.root(i), "SELECT @@gtid_binlog_state"), u.value(u.root(lead), "SELECT @@gtid_binlog_state"),
					st["Slave_IO_Running"], st["Last_IO_Error"], st["Slave_SQL_Running"], st["Last_SQL_Error"], st["Gtid_IO_Pos"])
			}
			return nil
		})
		rest = append(rest, u.ids64(i))
	}
	v := h.Check(rows, rest...)
	u.t.Log(v)
	require.NoError(u.t, v.Err())
	return v
}

func (u *underLoad) ids64(i int) load.Rows {
	r := load.Rows{Node: string(u.ids[i])}
	for id := range u.rows(i) {
		r.IDs = append(r.IDs, int64(id))
	}
	return r
}

func (u *underLoad) leader() int {
	u.t.Helper()
	rec, err := u.reg.Load(u.t.Context())
	require.NoError(u.t, err)
	return int(rec.Routed.Leader[1] - '1')
}

func TestG7_APlannedChangeUnderLoadCostsNoError(t *testing.T) {
	t.Parallel()
	u := startLoad(t, options{}, reparent.Config{})
	for _, to := range []leadership.NodeID{"n2", "n3", "n1"} {
		u.flows(20)
		rep := u.run(u.guard, reparent.Planned(to))
		t.Log("without a leader for", rep.Gap)
	}
	u.run(u.guard, reparent.Refresh())
	u.flows(20)
	v := u.stop(0, 1, 2)
	require.Equal(t, v.Attempts, v.Acked, "%v: %s", v.Classes, v.First)
}

func TestG2_NothingAcknowledgedIsLostWhenTheLeaderIsKilled(t *testing.T) {
	t.Parallel()
	u := startLoad(t, options{}, reparent.Config{})
	u.flows(20)
	require.NoError(t, u.servers[0].Kill())
	rep := u.run(u.guard, reparent.Emergency())
	t.Log("without a leader for", rep.Gap)
	u.flows(20)
	// The old leader comes back, with its tail cut off, and follows.
	require.NoError(t, u.servers[0].Start(t.Context()))
	sw, err := u.guard.Sweep(t.Context())
	require.NoError(t, err, "%v", sw)
	u.flows(20)
	u.stop(0, 1, 2)
}

func TestG1_AZombieAcknowledgesNothingThatIsNotOnTheNewLeader(t *testing.T) {
	t.Parallel()
	u := startLoad(t, options{}, reparent.Config{})
	u.flows(20)
	direct := u.app(0)
	require.NoError(t, u.servers[0].Freeze())
	rep := u.run(u.guard, reparent.Emergency())
	t.Log("without a leader for", rep.Gap)
	u.flows(20)
	require.NoError(t, u.servers[0].Thaw())
	// A client that knows nothing of the change: its write waits, for ever.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := direct.ExecContext(ctx, "INSERT INTO app.kv VALUES (-1, 'zombie')")
	require.Error(t, err)
	u.flows(20)
	// It can be brought back by a restart only: its commits wait.
	_, err = u.guard.Sweep(t.Context())
	require.Error(t, err)
	require.NoError(t, u.servers[0].Kill())
	require.NoError(t, u.servers[0].Start(t.Context()))
	sw, err := u.guard.Sweep(t.Context())
	require.NoError(t, err, "%v", sw)
	u.stop(0, 1, 2)
}

func TestALeaderThatIsCutOffFromItsFollowersCompletesNothing(t *testing.T) {
	t.Parallel()
	u := startLoad(t, options{}, reparent.Config{})
	u.flows(20)
	// Its clients still reach it; the coordinator and the other servers do not.
	for _, p := range []*netproxy.Proxy{u.admin[0], u.edge[1][0], u.edge[2][0]} {
		require.NoError(t, p.Set(netproxy.Drop))
	}
	rep := u.run(u.guard, reparent.Emergency())
	t.Log("without a leader for", rep.Gap)
	u.flows(20)
	out := u.blocked(0, -2)
	for _, p := range []*netproxy.Proxy{u.admin[0], u.edge[1][0], u.edge[2][0]} {
		require.NoError(t, p.Set(netproxy.Pass))
	}
	u.flows(20)
	select {
	case err := <-out:
		t.Fatalf("the old leader answered a write after the change: %v", err)
	default:
	}
	require.NoError(t, u.servers[0].Kill())
	require.Error(t, <-out)
	require.NoError(t, u.servers[0].Start(t.Context()))
	sw, err := u.guard.Sweep(t.Context())
	require.NoError(t, err, "%v", sw)
	u.stop(0, 1, 2)
}
