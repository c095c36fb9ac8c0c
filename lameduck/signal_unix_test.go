//go:build unix

package lameduck_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/tenure-go/tenure/lameduck"
)

// The loop of package os/signal, once started, stays for the life of the
// process. It is started before any test, so that none is blamed for it.
func init() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	signal.Stop(c)
}

func raise(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(os.Getpid(), s))
}

func TestTheFirstSignalStopsAndTheSecondForces(t *testing.T) {
	t.Parallel()
	err := lameduck.OnSignal(t.Context(), func(ctx context.Context, stop <-chan struct{}) error {
		raise(t, syscall.SIGUSR1)
		receive(t, stop, "the first signal did not arrive")
		require.NoError(t, ctx.Err(), "a stop is no force")
		raise(t, syscall.SIGUSR1)
		receive(t, ctx.Done(), "the second signal did not arrive")
		return context.Cause(ctx)
	}, syscall.SIGUSR1)
	var forced *lameduck.SignalError
	require.ErrorAs(t, err, &forced)
	require.Equal(t, os.Signal(syscall.SIGUSR1), forced.Signal)
	require.Contains(t, err.Error(), "user defined signal 1")
}

func TestWithoutSignalsOnlyTheContextAndTheFunctionEndIt(t *testing.T) {
	t.Parallel()
	sentinel := errors.New("over")
	require.ErrorIs(t, lameduck.OnSignal(t.Context(), func(context.Context, <-chan struct{}) error { return sentinel }), sentinel)
	require.NoError(t, lameduck.OnSignal(t.Context(), nil))
	ctx, cancel := context.WithCancelCause(t.Context())
	err := lameduck.OnSignal(ctx, func(ctx context.Context, stop <-chan struct{}) error {
		cancel(sentinel)
		receive(t, ctx.Done(), "the context goes on")
		select {
		case <-stop:
			t.Error("stopped without a signal")
		default:
		}
		return context.Cause(ctx)
	}, syscall.SIGUSR2)
	require.ErrorIs(t, err, sentinel)
}

// TestSignalChild is the process that the test below sends signals to.
func TestSignalChild(t *testing.T) {
	how := os.Getenv("LAMEDUCK_SIGNAL_CHILD")
	if how == "" {
		t.Skip("runs as a child only")
	}
	_ = lameduck.OnSignal(context.Background(), func(ctx context.Context, stop <-chan struct{}) error {
		fmt.Println("serving")
		<-stop
		fmt.Println("stopping")
		if how == "returns" {
			return nil
		}
		<-ctx.Done()
		fmt.Println("forced")
		select {}
	})
	fmt.Println("returned")
	select {}
}

func TestSignalsAreGivenBackAtTheReturnAndAtTheSecond(t *testing.T) {
	t.Parallel()
	for how, lines := range map[string][]string{
		"hangs":   {"serving", "stopping", "forced"},
		"returns": {"serving", "stopping", "returned"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel() // kills a child that ignores what it was sent
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSignalChild$")
		cmd.Env = append(os.Environ(), "LAMEDUCK_SIGNAL_CHILD="+how)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		r := bufio.NewScanner(out)
		for _, want := range lines {
			require.True(t, r.Scan(), "the child ended before it was", want)
			require.Equal(t, want, r.Text(), how)
			if want != "returned" && (how != "returns" || want != "stopping") {
				require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			}
		}
		if how == "returns" {
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		}
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &exit, how)
		status := exit.Sys().(syscall.WaitStatus)
		require.True(t, status.Signaled() && status.Signal() == syscall.SIGTERM, how, status)
	}
}
