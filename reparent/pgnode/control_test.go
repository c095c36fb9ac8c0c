package pgnode_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

func TestPgCtlStartsAndStopsAServerHoweverItIs(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.Postgres)
	s := enginetest.Start(t, 1, func(int) (*engines.Server, error) {
		return host.Postgres(t.Context(), engines.PostgresConfig{Name: "ctl"})
	})[0]
	require.NoError(t, s.Stop(t.Context()))
	ctl := pgnode.PgCtl{Data: s.Data(), Log: s.Log()}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	running := func() bool {
		r, err := ctl.Running(ctx)
		require.NoError(t, err)
		return r
	}
	require.False(t, running())
	require.NoError(t, ctl.Stop(ctx, pgnode.StopFast), "one that does not run is fine")
	for _, mode := range []pgnode.StopMode{pgnode.StopFast, pgnode.StopImmediate, pgnode.StopKill} {
		require.NoError(t, ctl.Start(ctx))
		enginetest.Eventually(t, 20*time.Second, "it serves", func(ctx context.Context) error {
			_, err := ctl.Run(ctx, nil, "pg_isready", "-h", "127.0.0.1", "-p", portOf(s))
			return err
		})
		require.True(t, running())
		require.NoError(t, ctl.Start(ctx), "one that runs is left alone")
		if mode == pgnode.StopKill {
			require.NoError(t, s.Freeze())
			short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
			require.ErrorIs(t, ctl.Stop(short, pgnode.StopFast), context.DeadlineExceeded)
			stop()
		}
		require.NoError(t, ctl.Stop(ctx, mode))
		require.False(t, running())
	}
	require.Error(t, func() error { require.NoError(t, ctl.Start(ctx)); return ctl.Stop(ctx, "gently") }())
	require.NoError(t, ctl.Stop(ctx, pgnode.StopKill))
	_, err := ctl.Run(ctx, nil, "pg_controldata", "/nowhere")
	require.ErrorContains(t, err, "/nowhere", "the error shows what the program said")
}

func portOf(s *engines.Server) string {
	return s.Addr()[len("127.0.0.1:"):]
}

func TestLocalFilesReplaceAFileWholeAndKeepItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var files pgnode.LocalFiles
	ctx := t.Context()
	_, err := files.Read(ctx, path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, files.Write(ctx, path, []byte("a")))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, files.Write(ctx, link, []byte("b")))
	got, err := files.Read(ctx, path)
	require.NoError(t, err)
	require.Equal(t, "b", string(got), "a link is written through")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	require.NoError(t, files.Rename(ctx, path, path+"2"))
	require.NoError(t, files.Remove(ctx, path+"2"))
	require.NoError(t, files.Remove(ctx, path+"2"))
	require.NoError(t, files.Remove(ctx, filepath.Join(dir, "no", "dir")))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "only the link")
}

func TestG10_ANodeIsNotMadeOfWhatItCannotUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := pgnode.Config{ID: "n1", Conn: "host=h user=u", Addr: "h:1", Data: "/nowhere/data", Dir: dir, Controller: pgnode.PgCtl{}}
	for name, edit := range map[string]func(*pgnode.Config){
		"Conn": func(c *pgnode.Config) { c.Conn = "" }, "Addr": func(c *pgnode.Config) { c.Addr = "" },
		"Data": func(c *pgnode.Config) { c.Data = "relative" }, "Dir": func(c *pgnode.Config) { c.Data, c.Dir = dir, filepath.Join(dir, "in") },
		"Controller":     func(c *pgnode.Config) { c.Controller = nil },
		"Admit":          func(c *pgnode.Config) { c.Admit = []string{"a\nb"} },
		"Peers":          func(c *pgnode.Config) { c.Peers = map[leadership.NodeID]pgnode.Peer{"n2": {Conn: "nonsense"}} },
		"Limits.Connect": func(c *pgnode.Config) { c.Limits.Connect = -1 },
	} {
		cfg := good
		edit(&cfg)
		_, err := pgnode.New(cfg)
		var ce *pgnode.ConfigError
		require.ErrorAs(t, err, &ce, name)
		require.Equal(t, name, ce.Field)
	}
	_, err := pgnode.New(good)
	var none *acceptor.NoRecordError
	require.ErrorAs(t, err, &none)
	require.NoError(t, pgnode.Init(t.Context(), good))
	var exists *acceptor.ExistsError
	require.ErrorAs(t, pgnode.Init(t.Context(), good), &exists)
	n, err := pgnode.New(good)
	require.NoError(t, err)
	other := good
	other.ID = "n2"
	var inc *leadership.IncarnationError
	_, err = pgnode.New(other)
	require.ErrorAs(t, err, &inc)
	n.Close()
	_, err = n.Promise(t.Context(), term(1))
	require.ErrorIs(t, err, leadership.ErrClosed)
}

// TestANodeOfTheRightTermIsBroughtLevelByADonor: the candidate that is wanted lacks
// what another has, and gets it from there, acknowledging for nobody.
func TestACandidateThatIsBehindCatchesUpFromADonorBeforeItLeads(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	require.NoError(t, c.servers["n3"].Freeze())
	app := c.connect("n1", "app")
	for i := range int64(50) {
		_, err := app.Exec(t.Context(), "INSERT INTO t VALUES ($1)", i)
		require.NoError(t, err)
	}
	require.NoError(t, c.servers["n1"].Kill())
	require.NoError(t, c.servers["n3"].Thaw())
	rep := c.run(to(reparent.Emergency(), "n3"), "n2", "n3")
	require.Equal(t, leadership.NodeID("n3"), rep.To)
	require.Len(t, c.rows("n3"), 50)
	c.sweepAll()
	c.level("n3", "n1", "n2")
	require.Len(t, c.rows("n1"), 50)
}

// TestAPromiseDoesNotWaitForALowerTerm: a follow that waits for a leader that never
// comes ends, and nothing of it lands later.
func TestAPromiseEndsWhatALowerTermIsWaitingFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ended := make(chan error, 1)
	go func() {
		_, err := c.nodes["n2"].Follow(t.Context(), term(10), "n3")
		ended <- err
	}()
	enginetest.Eventually(t, 10*time.Second, "it has its source", func(ctx context.Context) error {
		st, err := c.nodes["n2"].Status(ctx)
		if err == nil && st.Promised != term(10) {
			err = errors.New("not yet")
		}
		return err
	})
	_, err := c.nodes["n2"].Promise(t.Context(), term(11))
	require.NoError(t, err)
	var stale *leadership.StaleTermError
	err = <-ended
	require.ErrorAs(t, err, &stale)
	require.False(t, leadership.NotExecuted(err), "its promise and its source were on disk")
	require.Equal(t, term(11), stale.Promised)
	require.Equal(t, "0", c.scalar("n2", receivers))
	for _, late := range []func() error{
		func() error { _, err := c.nodes["n2"].Follow(t.Context(), term(10), "n3"); return err },
		func() error {
			_, err := c.nodes["n2"].Install(t.Context(), leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs})
			return err
		},
		func() error { return c.nodes["n2"].Grant(t.Context(), term(10)) },
		func() error { _, err := c.nodes["n2"].Promise(t.Context(), term(10)); return err },
		func() error { _, err := c.nodes["n2"].StepDown(t.Context(), term(10)); return err },
		func() error { return c.nodes["n2"].Repair(t.Context(), term(10), "n3") },
		func() error { _, err := c.nodes["n2"].Drain(t.Context(), term(10), time.Second); return err },
	} {
		require.ErrorAs(t, late(), &stale)
		require.True(t, leadership.NotExecuted(stale))
	}
	require.Equal(t, "0", c.scalar("n2", receivers))
	require.Equal(t, "t", c.scalar("n2", "SELECT pg_is_in_recovery()::text::char"))
}

// TestTheNodesRoleHasWhatGrantsSaysAndNoMore is what makes every other test here one
// of the least privileges: they all run as this role.
func TestTheNodesRoleHasWhatGrantsSaysAndNoMore(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.Postgres)
	s := enginetest.Start(t, 1, func(int) (*engines.Server, error) {
		return host.Postgres(t.Context(), engines.PostgresConfig{Name: "least", Init: initSQL()})
	})[0]
	c := &cluster{t: t, servers: map[leadership.NodeID]*engines.Server{"n1": s}}
	require.Equal(t, "f", c.scalar("n1", "SELECT rolsuper::text::char FROM pg_roles WHERE rolname = current_user"))
	conn := c.connect("n1", role)
	for _, q := range []string{"ALTER SYSTEM SET work_mem = '1MB'", "SELECT pg_read_file('/etc/passwd')", "SELECT * FROM pg_authid", "CREATE TABLE public.x ()", "INSERT INTO t VALUES (1)"} {
		_, err := conn.Exec(t.Context(), q)
		require.ErrorContains(t, err, "permission denied", q)
	}
}

// TestACallBehindOneThatHangsEndsByItsContext, whether the one that hangs is in this
// process, at a server that is frozen, or in another process that is.
func TestACallBehindOneThatHangsEndsByItsContext(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	lower := func(n *pgnode.Node) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := n.Promise(ctx, term(10))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, leadership.NotExecuted(err), "it had not begun")
		require.Less(t, time.Since(began), 5*time.Second)
	}
	require.NoError(t, c.servers["n2"].Freeze())
	held := make(chan error, 1)
	go func() {
		_, err := c.nodes["n2"].Promise(t.Context(), term(20))
		held <- err
	}()
	lock, err := os.Open(filepath.Join(c.configs["n2"].Dir, "lock"))
	require.NoError(t, err)
	defer lock.Close()
	enginetest.Eventually(t, 10*time.Second, "the higher one has the node", func(context.Context) error {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			return nil
		}
		return errors.Join(errors.New("not yet"), syscall.Flock(int(lock.Fd()), syscall.LOCK_UN))
	})
	lower(c.nodes["n2"])
	other, err := pgnode.New(c.configs["n2"])
	require.NoError(t, err)
	defer other.Close()
	lower(other)
	require.NoError(t, <-held, "the frozen server was ended by force")

	// Now somebody else's process has it, and hangs.
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	var behind sync.WaitGroup
	for range 3 {
		behind.Go(func() { lower(c.nodes["n2"]) })
	}
	behind.Wait()
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_UN))
	_, err = c.nodes["n2"].Promise(t.Context(), term(21))
	require.NoError(t, err)
}
