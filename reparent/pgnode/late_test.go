package pgnode_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

func (c *cluster) pid(id leadership.NodeID, backend string) int {
	c.t.Helper()
	n, err := strconv.Atoi(c.scalar(id, "SELECT pid FROM pg_stat_activity WHERE backend_type = '"+backend+"'"))
	require.NoError(c.t, err)
	return n
}

// TestG3_AServerWhoseCommitsDoNotWaitYetIsNotInstalled: what a new session shows for
// synchronous_standby_names is not what a commit asks. The checkpointer tells
// commits that there is somebody to wait for, and it may be busy or frozen. The promise
// sees to that; somebody undoes it.
func TestG3_AServerWhoseCommitsDoNotWaitYetIsNotInstalled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
	}
	_, err := c.connect("n2", role).Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = ''")
	require.NoError(t, err)
	require.NoError(t, c.servers["n2"].Stop(ctx))
	require.NoError(t, c.servers["n2"].Start(ctx))
	pid := c.pid("n2", "checkpointer")
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	thaw := func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	t.Cleanup(thaw)
	m := leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs}
	_, err = c.nodes["n2"].Install(ctx, m)
	require.ErrorContains(t, err, "no commit is seen to wait")
	require.Error(t, c.nodes["n2"].Grant(ctx, term(10)), "no marker, no grant")
	thaw()
	_, err = c.nodes["n2"].Install(ctx, m)
	require.NoError(t, err)
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	require.Error(t, c.nodes["n2"].Grant(short, term(10)), "nobody follows")
	_, err = c.nodes["n3"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	require.NoError(t, c.nodes["n2"].Grant(ctx, term(10)))
}

// TestAPromiseAfterAFollowThatCameToNothingStopsTheLeader: the source is on disk, and
// the server still leads under the term before.
func TestAPromiseAfterAFollowThatCameToNothingStopsTheLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	_, err := c.nodes["n1"].Follow(short, term(10), "n2")
	require.Error(t, err, "n2 leads nothing")
	require.Equal(t, "f", c.scalar("n1", "SELECT pg_is_in_recovery()::text::char"))
	_, err = c.nodes["n1"].Promise(ctx, term(10))
	require.NoError(t, err)
	enginetest.Eventually(t, 20*time.Second, "n1 is a standby", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, dsn(c.servers["n1"].Addr(), role))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		var standby bool
		if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || !standby {
			return errors.Join(err, fmt.Errorf("standby %v", standby))
		}
		return nil
	})
}

// TestG1_AStatementOfAnOperationThatIsOverDoesNotLandAfterAPromise: its process was
// killed, its session has not run yet, and would attach the node to a leader that the
// promise is against.
func TestG1_AStatementOfAnOperationThatIsOverDoesNotLandAfterAPromise(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	late, err := pgx.Connect(ctx, dsn(c.servers["n2"].Addr(), role)+" application_name=tenure_op")
	require.NoError(t, err)
	defer late.Close(context.Background())
	pid := int(late.PgConn().PID())
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	ended := make(chan error, 1)
	go func() {
		_, err := late.PgConn().Exec(ctx, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'").ReadAll()
		ended <- err
	}()
	_, err = c.nodes["n2"].Promise(ctx, term(10))
	require.NoError(t, err)
	_ = syscall.Kill(pid, syscall.SIGCONT)
	require.Error(t, <-ended)
	auto, err := os.ReadFile(c.servers["n2"].Data() + "/postgresql.auto.conf")
	require.NoError(t, err)
	require.Contains(t, string(auto), "primary_conninfo = ''")
	require.NotContains(t, string(auto), "port=1")
}

// TestAServerThatRestartsBetweenItsMarkerAndItsGrantNeedsANewTerm, and everybody can
// still be compared with everybody after that.
func TestAServerThatRestartsBetweenItsMarkerAndItsGrantNeedsANewTerm(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
	}
	m := leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs}
	_, err := c.nodes["n2"].Install(ctx, m)
	require.NoError(t, err)
	require.NoError(t, c.servers["n2"].Kill())
	_, err = c.nodes["n2"].Install(ctx, m)
	var not *leadership.NotReadyError
	require.ErrorAs(t, err, &not)
	rep := c.run(forced(reparent.Emergency()))
	c.sweepAll()
	c.level(rep.To, others(c, rep.To)...)
}

// stopVar makes a Controller of this binary that stops the server in a directory.
const stopVar = "PGNODE_STOP"

// TestPgCtlThatMayNotSeeProcessesDoesNotSayThatTheyAreGone: root in a container has
// no CAP_SYS_PTRACE, without which nobody else's working directory can be read.
func TestPgCtlThatMayNotSeeProcessesDoesNotSayThatTheyAreGone(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.Postgres)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	s := enginetest.Start(t, 1, func(int) (*engines.Server, error) {
		return host.Postgres(t.Context(), engines.PostgresConfig{Name: "blind"})
	})[0]
	if info, err := os.Stat(s.Data()); err != nil || info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Skip("the server is root's")
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), setpriv, "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", exe)
	cmd.Env = append(os.Environ(), stopVar+"="+s.Data())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "CAP_SYS_PTRACE")
	require.Equal(t, 2, bytes.Count(out, []byte("cannot be seen")), "%s", out)
	require.True(t, s.Running())
}

func stopBlind(data string) {
	ctl := pgnode.PgCtl{Data: data}
	running, err := ctl.Running(context.Background())
	fmt.Println(running, err)
	fmt.Println(ctl.Stop(context.Background(), pgnode.StopFast))
}

// liar says that the server has ended, as one does that cannot see it.
type liar struct{ control }

func (liar) Stop(context.Context, pgnode.StopMode) error { return nil }

func TestAControllerIsNotBelievedWhileTheServerAnswers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	cfg := c.configs["n1"]
	cfg.Controller = liar{control{c.servers["n1"]}}
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Promise(t.Context(), term(10))
	require.ErrorContains(t, err, "and it answers")
	_, err = c.nodes["n1"].Promise(t.Context(), term(10))
	require.NoError(t, err)
}

func TestAnEraThatWasThereBeforeALeadershipIsNotNamedAfterIt(t *testing.T) {
	t.Parallel()
	old := []pgnode.Era{era(1, 0, 0)}
	last := leadership.Leadership{Leader: "n1", Term: term(3)}
	require.Equal(t, old, pgnode.NameEras(old, nil, old, last), "it has nothing of the leadership yet")
	es := []pgnode.Era{era(1, 0, 0), era(2, 0x3000, 0)}
	require.Equal(t, []pgnode.Era{era(1, 0, 0), era(2, 0x3000, 3)}, pgnode.NameEras(es, nil, old, last))
	require.False(t, strings.Contains(fmt.Sprint(old), "3.t"))
}

// TestG2_ALogThatIsNotReplayedYetIsNotReadAsIfItEnded: the startup process gets no
// time, and what the standby acknowledged is not replayed. That nothing happens for a
// while does not say that there is nothing to do.
func TestG2_ALogThatIsNotReplayedYetIsNotReadAsIfItEnded(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c.level("n1", "n2", "n3")
	require.NoError(t, c.servers["n3"].Freeze())
	startup := c.pid("n2", "startup")
	require.NoError(t, syscall.Kill(startup, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(startup, syscall.SIGCONT) })
	app := c.connect("n1", "app")
	for i := range int64(20) {
		_, err := app.Exec(ctx, "INSERT INTO t VALUES ($1)", i)
		require.NoError(t, err)
	}
	acked, err := pgnode.ParseLSN(c.scalar("n2", "SELECT pg_last_wal_receive_lsn()::text"))
	require.NoError(t, err)
	replayed, err := pgnode.ParseLSN(c.scalar("n2", "SELECT pg_last_wal_replay_lsn()::text"))
	require.NoError(t, err)
	require.Less(t, replayed, acked)
	require.NoError(t, c.servers["n1"].Kill())
	enginetest.Eventually(t, 20*time.Second, "n2 has lost its leader", func(context.Context) error {
		if n := c.scalar("n2", receivers); n != "0" {
			return errors.New(n + " receivers")
		}
		return nil
	})
	_, err = c.nodes["n2"].Promise(ctx, term(10))
	require.NoError(t, err)
	got, err := c.nodes["n2"].Read(ctx, term(10))
	require.NoError(t, err)
	require.NotNil(t, got.Read)
	require.GreaterOrEqual(t, got.Read.Point.(pgnode.Point).LSN, acked-64, "a record that was cut off may be less")
	require.Len(t, c.rows("n2"), 20)
}
