package engines_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

var host *engines.Host

const (
	waitBound = 20 * time.Second
	// orphanVar makes the test binary a process that dies with servers running.
	orphanVar = "TENURE_TEST_ORPHAN"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanVar) != "" {
		os.Exit(orphan())
	}
	os.Exit(enginetest.Main(m, &host))
}

func TestServersOfEachEngineAreKilledFrozenAndRestarted(t *testing.T) {
	t.Parallel()
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		for _, s := range enginetest.MariaDB(t, host, 3, engines.MariaDBConfig{}) {
			lives(t, s)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		for _, s := range enginetest.Postgres(t, host, 3, engines.PostgresConfig{}) {
			lives(t, s)
		}
	})
	t.Run("etcd", func(t *testing.T) {
		t.Parallel()
		e := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
		for _, s := range e.Members() {
			lives(t, s)
		}
		require.NoError(t, e.Await(t.Context()))
	})
}

// lives takes a server through its life. Its port and its data outlast it.
func lives(t *testing.T, s *engines.Server) {
	t.Helper()
	addr := s.Addr()
	serves(t, s)
	require.NoError(t, s.Freeze())
	require.True(t, s.Running())
	silent(t, s)
	require.NoError(t, s.Thaw())
	serves(t, s)
	require.NoError(t, s.Kill())
	down(t, s)
	require.NoError(t, s.Kill(), "a second time")
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Start(t.Context()), "it runs already")
	require.NoError(t, s.Freeze())
	require.NoError(t, s.Kill(), "frozen")
	down(t, s)
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Freeze())
	require.NoError(t, s.Stop(t.Context()), "frozen")
	down(t, s)
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Restart(t.Context()))
	serves(t, s)
	require.Equal(t, addr, s.Addr())
}

// answers says whether the server says anything: MariaDB greets, PostgreSQL
// answers a request for TLS, etcd an HTTP one.
func answers(s *engines.Server) error {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return err
	}
	hello := "\x00\x00\x00\x08\x04\xd2\x16\x2f" // SSLRequest
	if strings.HasPrefix(s.Name(), "e") {
		hello = "GET /version HTTP/1.0\r\n\r\n"
	}
	if !strings.HasPrefix(s.Name(), "m") {
		if _, err := conn.Write([]byte(hello)); err != nil {
			return err
		}
	}
	_, err = bufio.NewReader(conn).ReadByte()
	return err
}

func serves(t *testing.T, s *engines.Server) {
	t.Helper()
	enginetest.Eventually(t, waitBound, s.Name()+" answers", func(context.Context) error { return answers(s) })
}

// silent says that the server takes connections, which the kernel does for it,
// and answers nothing.
func silent(t *testing.T, s *engines.Server) {
	t.Helper()
	err := answers(s)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "%v", err)
}

func down(t *testing.T, s *engines.Server) {
	t.Helper()
	require.False(t, s.Running())
	<-s.Exited()
	require.Error(t, answers(s))
}

func TestAStartThatFailsShowsTheLogAndLeavesNothing(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.MariaDB)
	enginetest.Slot(t)
	s, err := host.MariaDB(t.Context(), engines.MariaDBConfig{ServerID: 1, Flags: []string{"--no-such-flag"}})
	enginetest.Use(t, s, err)
	err = s.Start(t.Context())
	require.ErrorContains(t, err, "unknown option '--no-such-flag'")
	require.False(t, s.Running())
	_, err = host.MariaDB(t.Context(), engines.MariaDBConfig{})
	require.ErrorContains(t, err, "ServerID")
}

func TestAPortThatWasTakenIsReplacedBeforeItIsKnownAndNotAfter(t *testing.T) {
	t.Parallel()
	for _, e := range []engines.Engine{engines.MariaDB, engines.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			enginetest.Need(t, e)
			enginetest.Slot(t)
			var s *engines.Server
			var err error
			if e == engines.MariaDB {
				s, err = host.MariaDB(t.Context(), engines.MariaDBConfig{ServerID: 1})
			} else {
				s, err = host.Postgres(t.Context(), engines.PostgresConfig{})
			}
			enginetest.Use(t, s, err)
			taken := s.Addr()
			ln, err := net.Listen("tcp", taken)
			require.NoError(t, err)
			defer ln.Close()
			require.NoError(t, s.Start(t.Context()))
			require.NotEqual(t, taken, s.Addr())
			serves(t, s)
			addr := s.Addr()
			require.NoError(t, s.Stop(t.Context()))
			other, err := net.Listen("tcp", addr)
			require.NoError(t, err)
			err = s.Start(t.Context())
			require.NoError(t, other.Close())
			require.ErrorContains(t, err, "lready in use")
			require.Equal(t, addr, s.Addr())
			require.NoError(t, s.Start(t.Context()))
			serves(t, s)
		})
	}
}

func TestStopKillAndFreezeReachWhatSomebodyElseStarted(t *testing.T) {
	t.Parallel()
	s := enginetest.Postgres(t, host, 1, engines.PostgresConfig{})[0]
	require.NoError(t, s.Stop(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), waitBound)
	defer cancel()
	cmd, err := s.Command(ctx, s.Binary("pg_ctl"), "-D", s.Data(), "-w", "-l", s.Log(), "start")
	require.NoError(t, err)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.True(t, s.Running())
	require.NoError(t, s.Freeze())
	silent(t, s)
	require.NoError(t, s.Kill())
	require.False(t, s.Running())
	cmd, err = s.Command(ctx, s.Binary("pg_ctl"), "-D", s.Data(), "-w", "-l", s.Log(), "start")
	require.NoError(t, err)
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, s.Stop(t.Context()))
	require.Contains(t, s.LogTail(), "database system is shut down", "cleanly")
	require.False(t, s.Running())
	require.NoError(t, s.Start(t.Context()))
	serves(t, s)
}

// The signal at the death of a parent comes at the death of the thread that
// started the child.
func TestServersOutliveThreadsOfOurs(t *testing.T) {
	t.Parallel()
	s := enginetest.MariaDB(t, host, 1, engines.MariaDBConfig{})[0]
	for range 8 {
		var threads sync.WaitGroup
		for range 200 {
			threads.Go(func() {
				runtime.LockOSThread() // and not unlocked, which ends the thread
				_, _ = os.Stat("/")
			})
		}
		threads.Wait()
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-s.Exited():
			t.Fatal("the server died with a thread")
		case <-timer.C:
		}
		require.NoError(t, s.Kill())
		require.NoError(t, s.Start(t.Context()))
	}
}

func TestACancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.MariaDB)
	enginetest.Slot(t)
	s, err := host.MariaDB(t.Context(), engines.MariaDBConfig{ServerID: 1})
	enginetest.Use(t, s, err)
	why := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, why)
	defer cancel()
	require.ErrorIs(t, s.Start(ctx), why)
	require.False(t, s.Running())
	require.NoError(t, s.Start(t.Context()))
}

func TestAMissingBinaryIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := engines.Find("oracle")
	require.ErrorContains(t, err, "oracle")
	if _, err := os.Stat("/usr/bin/etcd"); err == nil {
		found, err := engines.Find(engines.Etcd)
		require.NoError(t, err, "it is where the packages put it")
		require.Equal(t, "/usr/bin/etcd", found["etcd"])
		return
	}
	_, err = engines.Find(engines.Etcd)
	var missing *engines.NotFound
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "etcd", missing.Binary)
}
