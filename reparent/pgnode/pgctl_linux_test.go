package pgnode_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

// TestAProgramDoesNotOutliveTheNodeThatIsKilled: the lock of the node's directory is
// gone with the node, and the next one repairs.
func TestAProgramDoesNotOutliveTheNodeThatIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	note := filepath.Join(dir, "pid")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\necho $$ > "+note+"\nexec sleep 120\n"), 0o755))
	exe, err := os.Executable()
	require.NoError(t, err)
	node := exec.Command(exe)
	node.Env = append(os.Environ(), runVar+"="+dir)
	require.NoError(t, node.Start())
	var pid int
	enginetest.Eventually(t, 30*time.Second, "the program runs", func(context.Context) error {
		b, err := os.ReadFile(note)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err
	})
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	require.NoError(t, node.Process.Kill())
	require.Error(t, node.Wait())
	enginetest.Eventually(t, 10*time.Second, "the program has ended, too", func(context.Context) error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return nil // gone, or ended and not waited for by whoever inherited it
		}
		return fmt.Errorf("it is there: %s", b)
	})
}
