package pgnode_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/leadership"
)

// slowRole makes a role at n1 that has a password to say.
func (c *cluster) slowRole() {
	c.t.Helper()
	hba := filepath.Join(c.servers["n1"].Data(), "pg_hba.conf")
	b, err := os.ReadFile(hba)
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(hba, append([]byte("host all slow 127.0.0.1/32 password\n"), b...), 0o600))
	super := c.connect("n1", "postgres")
	for _, q := range []string{"CREATE ROLE slow LOGIN PASSWORD 'x'", "SELECT pg_reload_conf()"} {
		_, err := super.Exec(c.t.Context(), q)
		require.NoError(c.t, err)
	}
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
	c.slowRole()
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
	c.slowRole()
	c.adopt()
	slow := dialRaw(t, c.servers["n1"].Addr(), "slow")
	before := c.scalar("n1", life)
	c.down()
	require.Error(t, slow.end())
	c.stopped(before)
}
