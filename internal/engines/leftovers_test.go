package engines_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

// segments returns the shared memory segments of System V on this machine.
func segments(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("/proc/sysvipc/shm")
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, line := range strings.Split(string(b), "\n")[1:] {
		if f := strings.Fields(line); len(f) > 1 {
			ids[f[1]] = true
		}
	}
	return ids
}

// segmentOf returns the one that a PostgreSQL server notes.
func segmentOf(t *testing.T, s *engines.Server) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Data(), "postmaster.pid"))
	require.NoError(t, err)
	f := strings.Fields(strings.Split(string(b), "\n")[6])
	require.Len(t, f, 2)
	return f[1]
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.MariaDB, engines.Postgres, engines.Etcd)
	enginetest.Slot(t)
	h, err := engines.NewHost()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) }) // the second one of a test that did not fail
	m, err := h.MariaDB(t.Context(), engines.MariaDBConfig{ServerID: 1})
	require.NoError(t, err)
	p, err := h.Postgres(t.Context(), engines.PostgresConfig{})
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	require.NoError(t, p.Start(t.Context()))
	_, err = h.Etcd(t.Context(), engines.EtcdConfig{})
	require.NoError(t, err)
	segment := segmentOf(t, p)
	require.Contains(t, segments(t), segment)
	require.NoError(t, p.Freeze())
	require.NotEmpty(t, processesIn(t, h.Dir()))
	require.NoError(t, h.Close())
	require.Empty(t, processesIn(t, h.Dir()))
	require.NoDirExists(t, h.Dir())
	require.NotContains(t, segments(t), segment)
	require.Error(t, m.Start(t.Context()))
	_, err = h.MariaDB(t.Context(), engines.MariaDBConfig{ServerID: 1})
	require.ErrorContains(t, err, "closed")
}

// processesIn returns the processes that mention dir in their command line or
// work there.
func processesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, p := range entries {
		line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(p, "cwd"))
		if strings.Contains(string(line), dir) || strings.HasPrefix(cwd, dir) {
			found = append(found, filepath.Base(p))
		}
	}
	return found
}

// orphan starts servers, says where, and waits to be killed.
func orphan() int {
	h, err := engines.NewHost()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitBound)
	defer cancel()
	m, err := h.MariaDB(ctx, engines.MariaDBConfig{ServerID: 1})
	if err == nil {
		err = m.Start(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	p, err := h.Postgres(ctx, engines.PostgresConfig{})
	if err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// A garbage collection, and threads that end, must not end the servers.
	fmt.Println(h.Dir())
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 1
}

func TestServersDieWithTheProcessThatStartedThem(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.MariaDB, engines.Postgres)
	enginetest.Slot(t)
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), orphanVar+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	dir, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	dir = strings.TrimSpace(dir)
	require.DirExists(t, dir)
	require.NotEmpty(t, processesIn(t, dir))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	enginetest.Eventually(t, waitBound, "the servers end", func(context.Context) error {
		if left := processesIn(t, dir); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	// The directory goes with the next Host, once it is old.
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(dir, old, old))
	h, err := engines.NewHost()
	require.NoError(t, err)
	require.NoError(t, h.Close())
	require.NoDirExists(t, dir)
}

func TestAHostThatLivesIsNotSweptAway(t *testing.T) {
	t.Parallel()
	if host == nil {
		t.Skip("no host on this system")
	}
	first, err := engines.NewHost()
	require.NoError(t, err)
	defer first.Close()
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(first.Dir(), old, old))
	second, err := engines.NewHost()
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.DirExists(t, first.Dir())
}
