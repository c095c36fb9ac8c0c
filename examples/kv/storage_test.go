package kv_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

func memberConfig(dir string, create bool) kv.Config {
	return kv.Config{ID: "n1", Dir: dir, Create: create, Peers: map[leadership.NodeID]string{"n1": "127.0.0.1:0"}}
}

// written makes a member that has promised, led and written, and closes it.
func written(t *testing.T) (dir string) {
	t.Helper()
	ctx := deadline(t)
	dir = filepath.Join(t.TempDir(), "n1")
	n, err := kv.Open(ctx, memberConfig(dir, true))
	require.NoError(t, err)
	rs, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"})
	require.NoError(t, err)
	_, err = n.Install(ctx, leadership.Marker{Term: term(3), Leader: "n1", Ruleset: rs})
	require.NoError(t, err)
	require.NoError(t, n.Grant(ctx, term(3)))
	require.NoError(t, n.Close())
	return dir
}

func TestAMemberIsMadeOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := kv.Open(deadline(t), memberConfig(dir, false))
	require.ErrorAs(t, err, new(*kv.StorageError))
	n, err := kv.Open(deadline(t), memberConfig(dir, true))
	require.NoError(t, err)
	_, err = kv.Open(deadline(t), memberConfig(dir, true))
	require.ErrorAs(t, err, new(*kv.StorageError), "in use")
	require.NoError(t, n.Close())
	require.NoError(t, n.Close(), "closing twice is harmless")
}

func TestAMemberWhoseStorageIsNotWholeStaysShut(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"log", "acceptor", "incarnation"} {
		for name, damage := range map[string]func(string) error{
			"gone":    os.Remove,
			"garbage": func(p string) error { return os.WriteFile(p, []byte("garbage"), 0o600) },
			"empty":   func(p string) error { return os.Truncate(p, 0) },
		} {
			t.Run(file+" "+name, func(t *testing.T) {
				t.Parallel()
				dir := written(t)
				require.NoError(t, damage(filepath.Join(dir, file)))
				for _, create := range []bool{false, true} {
					_, err := kv.Open(deadline(t), memberConfig(dir, create))
					require.Error(t, err)
					if name == "gone" {
						require.ErrorAs(t, err, new(*kv.StorageError))
					}
				}
			})
		}
	}
}

func TestACreationThatWasCutShortStartsOver(t *testing.T) {
	t.Parallel()
	for _, left := range [][]string{{}, {"incarnation"}, {"incarnation", "log"}} {
		dir := t.TempDir()
		for _, f := range append(left, "creating") {
			require.NoError(t, os.WriteFile(filepath.Join(dir, f), []byte("half"), 0o600))
		}
		n, err := kv.Open(deadline(t), memberConfig(dir, true))
		require.NoError(t, err)
		require.NoError(t, n.Close())
		_, err = os.Stat(filepath.Join(dir, "creating"))
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestABadConfigTouchesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "n1")
	for name, edit := range map[string]func(*kv.Config){
		"no id":       func(c *kv.Config) { c.ID = "" },
		"no dir":      func(c *kv.Config) { c.Dir = "" },
		"not a peer":  func(c *kv.Config) { c.ID = "n2" },
		"bad address": func(c *kv.Config) { c.Peers = map[leadership.NodeID]string{"n1": "nowhere"} },
		"negative":    func(c *kv.Config) { c.Heartbeat = -1 },
	} {
		cfg := memberConfig(dir, true)
		edit(&cfg)
		_, err := kv.Open(context.Background(), cfg)
		require.Error(t, err, name)
		require.NoDirExists(t, dir, name)
	}
}

func TestAnAcceptedEntryBindsToItsTermAfterARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "n1")
	n, err := kv.Open(deadline(t), memberConfig(dir, true))
	require.NoError(t, err)
	require.NoError(t, n.Close())
	old, err := os.ReadFile(filepath.Join(dir, "acceptor"))
	require.NoError(t, err)
	n, err = kv.Open(deadline(t), memberConfig(dir, false))
	require.NoError(t, err)
	rs, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"})
	require.NoError(t, err)
	_, err = n.Install(deadline(t), leadership.Marker{Term: term(3), Leader: "n1", Ruleset: rs})
	require.NoError(t, err)
	require.NoError(t, n.Close())
	// The record as it was before the log had anything.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acceptor"), old, 0o600))
	n, err = kv.Open(deadline(t), memberConfig(dir, false))
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Promise(deadline(t), term(2))
	var stale *leadership.StaleTermError
	require.ErrorAs(t, err, &stale)
	require.Equal(t, term(3), stale.Promised)
}
