package pgnode_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
)

// TestAServerThatWasToldToPromoteIsStoppedByAHigherPromise: its startup process gets no
// time, so that it is a standby when the promise comes, and would be a primary later.
func TestAServerThatWasToldToPromoteIsStoppedByAHigherPromise(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
		_, err = c.nodes[id].Read(ctx, term(10))
		require.NoError(t, err)
	}
	before := c.scalar("n2", life)
	startup := c.pid("n2", "startup")
	require.NoError(t, syscall.Kill(startup, syscall.SIGSTOP))
	thaw := func() { _ = syscall.Kill(startup, syscall.SIGCONT) }
	t.Cleanup(thaw)
	installing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := c.nodes["n2"].Install(installing, leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs})
		ended <- err
	}()
	enginetest.Eventually(t, 20*time.Second, "it was told to promote", func(context.Context) error {
		_, err := os.Stat(filepath.Join(c.servers["n2"].Data(), "promote"))
		return err
	})
	stop()
	require.Error(t, <-ended)
	require.Equal(t, "t", c.scalar("n2", isStandby))
	_, err := c.nodes["n2"].Promise(ctx, term(11))
	require.NoError(t, err)
	require.NotEqual(t, before, c.scalar("n2", life))
	thaw()
	require.Equal(t, "t", c.scalar("n2", isStandby))
}
