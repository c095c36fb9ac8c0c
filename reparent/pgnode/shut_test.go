package pgnode_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

const (
	isStandby = "SELECT pg_is_in_recovery()::text::char"
	life      = "SELECT pg_postmaster_start_time()::text"
)

// down steps n1 down in term 10 and returns what it testified.
func (c *cluster) down() leadership.Testimony {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	got, err := c.nodes["n1"].StepDown(ctx, term(10))
	require.NoError(c.t, err)
	require.Equal(c.t, leadership.Demoted, got.Kind)
	return got
}

// shut fails unless n1's server is one that no client gets into and that acknowledges
// nothing that is written in it.
func (c *cluster) shut() {
	c.t.Helper()
	for _, user := range []string{"app", "postgres"} {
		_, err := pgx.Connect(c.t.Context(), dsn(c.servers["n1"].Addr(), user))
		require.ErrorContains(c.t, err, "pg_hba.conf rejects", user)
	}
}

// stopped waits until n1's server is up in another life than the one that began at
// before.
func (c *cluster) stopped(before string) {
	c.t.Helper()
	enginetest.Eventually(c.t, 20*time.Second, "it was stopped and is a standby", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, dsn(c.servers["n1"].Addr(), role))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		var standby bool
		var began string
		err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery(), pg_postmaster_start_time()::text").Scan(&standby, &began)
		if err == nil && (began == before || !standby) {
			err = fmt.Errorf("standby %v, since %s", standby, began)
		}
		return err
	})
}

// TestAStepDownInOrderLeavesAPrimaryThatCompletesNothing: a standby is attached and has
// all of it, and a commit of a session that the gate lets in is not answered.
func TestAStepDownInOrderLeavesAPrimaryThatCompletesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	app := c.connect("n1", "app")
	_, err := app.Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	open := c.connect("n1", "app")
	_, err = open.Exec(ctx, "BEGIN; INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	before := c.scalar("n1", life)
	// What was completed without a wait for the disk is in the log that is handed on.
	_, err = app.Exec(ctx, "SET synchronous_commit = off; INSERT INTO t VALUES (3)")
	require.NoError(t, err)

	got := c.down()
	require.Equal(t, before, c.scalar("n1", life), "it was not stopped")
	held, err := c.nodes["n2"].Promise(ctx, term(10))
	require.NoError(t, err)
	if held.Read == nil {
		held, err = c.nodes["n2"].Read(ctx, term(10))
		require.NoError(t, err)
	}
	require.True(t, held.Read.Extends(*got.Read))
	require.ElementsMatch(t, []int64{1, 3}, c.rows("n2"))
	require.Equal(t, "f", c.scalar("n1", isStandby))
	require.NotNil(t, got.Read, "a position that is final needs no other look")
	c.shut()
	for _, conn := range []*pgx.Conn{app, open} {
		_, err := conn.Exec(ctx, "COMMIT")
		require.Error(t, err)
		require.True(t, conn.IsClosed())
	}
	c.level("n1", "n3")
	require.Equal(t, "1", c.scalar("n1", "SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'"))
	late := c.connect("n1", role)
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	_, err = late.Exec(short, "SELECT pg_logical_emit_message(true, 'late', '')")
	require.ErrorIs(t, err, context.DeadlineExceeded, "it was answered")

	st, err := c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	require.True(t, st.Leads.IsZero())
	require.Contains(t, st.Degraded, "stepped down")

	again, err := c.nodes["n1"].Promise(ctx, term(10))
	require.NoError(t, err)
	require.Equal(t, got.Read.String(), again.Read.String(), "what it wrote of its own since does not count")
	require.Equal(t, before, c.scalar("n1", life))
	require.Error(t, c.nodes["n1"].Grant(ctx, term(10)), "it does not lead in the term it stepped down for")

	// Read is the answer for whoever wants to know all that is in the log.
	all, err := c.nodes["n1"].Read(ctx, term(10))
	require.NoError(t, err)
	require.NotEqual(t, before, c.scalar("n1", life))
	require.Equal(t, "t", c.scalar("n1", isStandby))
	require.Equal(t, leadership.Ahead, all.Read.Point.Compare(got.Read.Point))
}

// TestAServerThatWasShutComesBackAsAStandbyBehindAClosedGate, whoever starts it and
// whatever ended it, while the change goes on.
func TestAServerThatWasShutComesBackAsAStandbyBehindAClosedGate(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*cluster){
		"killed and started by a service manager": func(c *cluster) {
			require.NoError(c.t, c.servers["n1"].Kill())
			require.NoError(c.t, c.servers["n1"].Start(c.t.Context()))
		},
		"stopped in order and started": func(c *cluster) {
			require.NoError(c.t, c.servers["n1"].Stop(c.t.Context()))
			require.NoError(c.t, c.servers["n1"].Start(c.t.Context()))
		},
		"a process of it was killed, and it started all anew by itself": func(c *cluster) {
			require.NoError(c.t, syscall.Kill(c.pid("n1", "walwriter"), syscall.SIGKILL))
			enginetest.Eventually(c.t, 30*time.Second, "it is up again", func(ctx context.Context) error {
				conn, err := pgx.Connect(ctx, dsn(c.servers["n1"].Addr(), role))
				if err != nil {
					return err
				}
				defer conn.Close(ctx)
				var standby bool
				if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || !standby {
					return fmt.Errorf("standby: %v, %w", standby, errors.Join(err))
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, leadership.Majority(), nil)
			c.adopt()
			_, err := c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
			require.NoError(t, err)
			c.down()
			end(c)
			require.Equal(t, "t", c.scalar("n1", isStandby))
			require.Equal(t, "0", c.scalar("n1", receivers))
			c.shut()
			// The change goes on with it as it is.
			lead := c.resume()
			c.sweepAll()
			c.level(lead, others(c, lead)...)
			require.Equal(t, []int64{1}, c.rows("n1"))
		})
	}
}

// TestAServerThatWasShutIsStoppedByAHigherPromiseOnce, and is a follower like any other
// from there on.
func TestAServerThatWasShutIsStoppedByAHigherPromiseOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	before := c.scalar("n1", life)
	c.down()
	_, err := c.nodes["n1"].Promise(t.Context(), term(11))
	require.NoError(t, err)
	c.stopped(before)
	before = c.scalar("n1", life)
	st, err := c.nodes["n1"].Status(t.Context())
	require.NoError(t, err)
	require.NotContains(t, st.Degraded, "stepped down")
	got, err := c.nodes["n1"].Read(t.Context(), term(11))
	require.NoError(t, err)
	require.NotNil(t, got.Read)
	require.Equal(t, before, c.scalar("n1", life))
}

// TestACallThatEndsWhileAServerIsRestartedLeavesItUp, or nobody could read its log when
// the next leader fails.
func TestACallThatEndsWhileAServerIsRestartedLeavesItUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	before := c.scalar("n1", life)
	c.down()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := c.configs["n1"]
	cfg.Controller = ending{cfg.Controller, cancel}
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Read(ctx, term(10))
	require.ErrorIs(t, err, context.Canceled)
	c.stopped(before)
}

// ending is a Controller whose caller is gone once the server is stopped.
type ending struct {
	pgnode.Controller
	end context.CancelFunc
}

func (e ending) Stop(ctx context.Context, mode pgnode.StopMode) error {
	defer e.end()
	return e.Controller.Stop(ctx, mode)
}

// TestWhatAShutServerWroteOfItsOwnIsDiscardedWhenItFollows: a checkpoint after its
// last position is in no other log.
func TestWhatAShutServerWroteOfItsOwnIsDiscardedWhenItFollows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	_, err := c.connect("n1", "app").Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	c.down()
	held := map[leadership.NodeID]*leadership.Position{}
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		got, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
		if got.Read == nil {
			got, err = c.nodes[id].Read(ctx, term(10))
			require.NoError(t, err)
		}
		held[id] = got.Read
	}
	if held["n3"].Extends(*held["n2"]) { // it was attached for longer
		require.NoError(t, c.nodes["n2"].CatchUp(ctx, term(10), "n3", *held["n3"]))
	}
	_, err = c.connect("n1", role).Exec(ctx, "CHECKPOINT")
	require.NoError(t, err)
	m := leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs}
	_, err = c.nodes["n2"].Install(ctx, m)
	require.NoError(t, err)
	_, err = c.nodes["n3"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	require.NoError(t, c.nodes["n2"].Grant(ctx, term(10)))
	_, err = c.connect("n2", "app").Exec(ctx, "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	_, err = c.nodes["n1"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	c.level("n2", "n1", "n3")
	require.ElementsMatch(t, []int64{1, 2}, c.rows("n1"))
	st, err := c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	require.Empty(t, st.Degraded)
	require.False(t, st.BelowFloor)
}

// TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting: what neither a gate
// nor the end of sessions stops is stopped with the server.
func TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting(t *testing.T) {
	t.Parallel()
	t.Run("a superuser's session, which the node's role may not end", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), nil)
		c.adopt()
		super := c.connect("n1", "postgres")
		before := c.scalar("n1", life)
		c.down()
		_, err := super.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		require.Error(t, err)
		require.True(t, super.IsClosed())
		c.stopped(before)
	})
	t.Run("a policy by which the leader alone is enough", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.AtLeast(1), nil)
		c.adopt()
		before := c.scalar("n1", life)
		c.down()
		c.stopped(before)
	})
	t.Run("a process that answers for a standby and does not hear that it must not", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), nil)
		c.adopt()
		before := c.scalar("n1", life)
		pid, err := strconv.Atoi(c.scalar("n1", "SELECT min(pid)::text FROM pg_stat_replication WHERE sync_priority > 0"))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		c.down()
		c.stopped(before)
	})
	t.Run("a worker that applies another cluster's changes", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), map[string]string{"wal_level": "logical"})
		super := c.connect("n1", "postgres")
		for _, q := range []string{
			"CREATE ROLE sub LOGIN REPLICATION", "CREATE TABLE u (id int PRIMARY KEY)", "GRANT SELECT ON u TO sub",
			"CREATE PUBLICATION p FOR TABLE u", "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
			"CREATE SUBSCRIPTION s CONNECTION '" + dsn(c.servers["n1"].Addr(), "sub") + "' PUBLICATION p WITH (create_slot = false, copy_data = false, enabled = false)",
		} {
			_, err := super.Exec(t.Context(), q)
			require.NoError(t, err, q)
		}
		c.adopt()
		// Adopting has restarted it.
		super = c.connect("n1", "postgres")
		_, err := super.Exec(t.Context(), "ALTER SUBSCRIPTION s ENABLE")
		require.NoError(t, err)
		super.Close(t.Context())
		enginetest.Eventually(t, 20*time.Second, "it applies", func(context.Context) error {
			if n := c.scalar("n1", "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'logical replication worker'"); n != "1" {
				return errors.New(n)
			}
			return nil
		})
		before := c.scalar("n1", life)
		c.down()
		c.stopped(before)
	})
}

// raw is a client that authenticates slowly: the server has asked it for its password.
type raw struct{ net.Conn }

func dialRaw(t *testing.T, addr, user string) raw {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	body = append(body, "user\x00"+user+"\x00database\x00postgres\x00\x00"...)
	_, err = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...))
	require.NoError(t, err)
	asked := make([]byte, 9)
	_, err = io.ReadFull(conn, asked)
	require.NoError(t, err)
	require.Equal(t, byte('R'), asked[0])
	require.EqualValues(t, 3, binary.BigEndian.Uint32(asked[5:]), "it asks for a password")
	return raw{conn}
}

// answers sends the password, and reports whether a session came of it that is there.
func (r raw) answers(password string) error {
	body := append([]byte(password), 0)
	msg := append([]byte{'p'}, binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))...)
	if _, err := r.Write(append(msg, body...)); err != nil {
		return err
	}
	return r.end()
}

// end reads until the session is over.
func (r raw) end() error {
	_, err := io.Copy(io.Discard, r)
	if err == nil {
		err = io.EOF
	}
	return err
}

// TestAClientThatAuthenticatesWhileTheGateClosesDoesNotSlipIn: the server goes on with
// it by the rules that it found.
func TestAClientThatAuthenticatesWhileTheGateClosesDoesNotSlipIn(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	super := c.connect("n1", "postgres")
	hba := filepath.Join(c.servers["n1"].Data(), "pg_hba.conf")
	b, err := os.ReadFile(hba)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(hba, append([]byte("host all slow 127.0.0.1/32 password\n"), b...), 0o600))
	for _, q := range []string{"CREATE ROLE slow LOGIN PASSWORD 'x'", "GRANT ALL ON t TO slow", "SELECT pg_reload_conf()"} {
		_, err := super.Exec(t.Context(), q)
		require.NoError(t, err)
	}
	c.adopt()

	before := c.scalar("n1", life)
	slow := dialRaw(t, c.servers["n1"].Addr(), "slow")
	ended := make(chan error, 1)
	closed := make(chan struct{})
	go func() {
		<-closed
		ended <- slow.answers("x")
	}()
	go func() {
		// It answers when the gate is closed.
		defer close(closed)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range 20_000 {
			conn, err := pgconn.Connect(t.Context(), dsn(c.servers["n1"].Addr(), "app"))
			if err != nil {
				return
			}
			conn.Close(t.Context())
			<-tick.C
		}
	}()
	c.down()
	require.Zero(t, counted(t, c, "slow"), "its session is there after the step-down")
	require.Error(t, <-ended)
	require.Equal(t, before, c.scalar("n1", life), "it took no stop")

}

func counted(t *testing.T, c *cluster, user string) int {
	t.Helper()
	n, err := strconv.Atoi(c.scalar("n1", "SELECT count(*)::text FROM pg_stat_activity WHERE usename = '"+user+"'"))
	require.NoError(t, err)
	return n
}

// TestAClientThatNeverAuthenticatesDoesNotHoldUpAChange: its server is stopped instead.
func TestAClientThatNeverAuthenticatesDoesNotHoldUpAChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	super := c.connect("n1", "postgres")
	hba := filepath.Join(c.servers["n1"].Data(), "pg_hba.conf")
	b, err := os.ReadFile(hba)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(hba, append([]byte("host all slow 127.0.0.1/32 password\n"), b...), 0o600))
	_, err = super.Exec(t.Context(), "CREATE ROLE slow LOGIN PASSWORD 'x'")
	require.NoError(t, err)
	c.adopt()
	slow := dialRaw(t, c.servers["n1"].Addr(), "slow")
	before := c.scalar("n1", life)
	c.down()
	require.Error(t, slow.end())
	c.stopped(before)
}

// dying is a Files that writes n files more, and then ends the operation: as if the
// process of the node had died there.
type dying struct {
	pgnode.LocalFiles
	left int
	end  context.CancelFunc
}

func (d *dying) Write(ctx context.Context, path string, content []byte) error {
	if d.left == 0 {
		d.end()
		return context.Canceled
	}
	d.left--
	return d.LocalFiles.Write(ctx, path, content)
}

// TestAStepDownThatDiesBetweenTwoStepsLeavesNoSecondLeader: whatever was written by
// then, the old server leads as before or is fenced when it is started again, and the
// next change goes through.
func TestAStepDownThatDiesBetweenTwoStepsLeavesNoSecondLeader(t *testing.T) {
	t.Parallel()
	for left := range 3 {
		t.Run(fmt.Sprint(left, " files are written"), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, leadership.Majority(), nil)
			c.adopt()
			_, err := c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cfg := c.configs["n1"]
			cfg.Files = &dying{left: left, end: cancel}
			half, err := pgnode.New(cfg)
			require.NoError(t, err)
			defer half.Close()
			_, err = half.StepDown(ctx, term(10))
			if left < 2 { // the gate and the settings
				require.Error(t, err)
				require.False(t, leadership.NotExecuted(err), "its promise was on disk")
			}
			// It is started by somebody who knows nothing of all that.
			require.NoError(t, c.servers["n1"].Kill())
			require.NoError(t, c.servers["n1"].Start(t.Context()))
			require.Equal(t, "t", c.scalar("n1", isStandby))
			lead := c.resume()
			c.sweepAll()
			_, err = c.connect(lead, "app").Exec(t.Context(), "INSERT INTO t VALUES (2)")
			require.NoError(t, err)
			c.level(lead, others(c, lead)...)
			for _, id := range c.ids {
				require.ElementsMatch(t, []int64{1, 2}, c.rows(id), id)
			}
		})
	}
}

// TestTheOldLeaderLeadsAgainWhenTheCandidateHangs, from the log that it has, after its
// server was shut and not stopped.
func TestTheOldLeaderLeadsAgainWhenTheCandidateHangs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	_, err := c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	var nodes []reparent.Node
	for _, id := range c.ids {
		nodes = append(nodes, c.nodes[id].Reparent())
	}
	before := c.scalar("n1", life)
	g, err := reparent.New("orders", c.reg, nodes, reparent.Config{
		Barrier: c.barrier,
		Limits:  reparent.Limits{Status: 2 * time.Second, Revoke: 20 * time.Second, Install: 3 * time.Second, Undo: 60 * time.Second},
		Hooks: reparent.Hooks{Before: func(_ context.Context, e reparent.Event) error {
			if e.Step != reparent.StepInstall || e.Kind != leadership.KindPlanned {
				return nil
			}
			require.Equal(t, before, c.scalar("n1", life), "it was not stopped for this")
			return c.servers["n2"].Freeze()
		}},
	})
	require.NoError(t, err)
	rep, err := g.Run(t.Context(), reparent.Planned("n2"))
	t.Log(rep)
	require.Error(t, err)
	require.Equal(t, reparent.Restored, rep.Outcome)
	require.Equal(t, leadership.NodeID("n1"), rep.Undo.To)
	require.NoError(t, c.servers["n2"].Thaw())
	_, err = c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	c.sweepAll()
	c.level("n1", "n2", "n3")
	for _, id := range c.ids {
		require.ElementsMatch(t, []int64{1, 2}, c.rows(id), id)
	}
}

// TestAFollowerIsAttachedToACandidateAsSoonAsItsLogIsAPartOfTheCandidates, before that is
// promoted, and not when it has more.
func TestAFollowerIsAttachedToACandidateAsSoonAsItsLogIsAPartOfTheCandidates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	promise := func(id leadership.NodeID, t uint64) {
		_, err := c.nodes[id].Promise(ctx, term(t))
		require.NoError(c.t, err)
		_, err = c.nodes[id].Read(ctx, term(t))
		require.NoError(c.t, err)
	}
	promise("n2", 10)
	_, err := c.connect("n1", "app").Exec(ctx, "INSERT INTO t VALUES (1)") // n3 has it
	require.NoError(t, err)
	promise("n3", 10)

	follow := func(id, leader leadership.NodeID, t uint64) (context.CancelFunc, chan error) {
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			_, err := c.nodes[id].Follow(ctx, term(t), leader)
			done <- err
		}()
		return stop, done
	}
	stop, done := follow("n3", "n2", 10)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		require.Equal(t, "", c.scalar("n3", "SELECT current_setting('primary_conninfo')"), "it has more than n2")
		<-tick.C
	}
	stop()
	require.Error(t, <-done)

	promise("n2", 11)
	promise("n3", 11)
	stop, done = follow("n2", "n3", 11)
	defer stop()
	enginetest.Eventually(t, 20*time.Second, "n2 receives from n3, which is no leader yet", func(context.Context) error {
		if c.scalar("n2", receivers) != "1" || c.scalar("n3", isStandby) != "t" {
			return errors.New("not yet")
		}
		return nil
	})
	_, err = c.nodes["n3"].Install(ctx, leadership.Marker{Term: term(11), Leader: "n3", Ruleset: c.rs})
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.NoError(t, c.nodes["n3"].Grant(ctx, term(11)))
}
