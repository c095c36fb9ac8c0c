package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary is also the members' and the coordinators'.
func TestMain(m *testing.M) {
	if code, ok := asChild(); ok {
		os.Exit(code)
	}
	// A child built with -race would linger for a second after its end.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// watched is an output that tells when something was printed.
type watched struct {
	mu   sync.Mutex // guards buf
	buf  bytes.Buffer
	want string
	seen chan struct{} // closed once, when want was printed
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(b)
	if w.seen != nil && strings.Contains(w.buf.String(), w.want) {
		close(w.seen)
		w.seen = nil
	}
	return len(b), nil
}

func TestTheWholeShowLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for some seconds")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	svg := filepath.Join(t.TempDir(), "out.svg")
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"-members", "3", "-clients", "8", "-duration", "6s", "-dir", dir, "-svg", svg}, &out, &errs)
	require.Equal(t, exitOK, code, "%s\n%s", out.String(), errs.String())
	require.NotContains(t, out.String(), "FAILED")
	for _, want := range []string{"handed over", "restored", "kill -STOP", "race", "coordinator killed", "resume", "no leader", "linearizable"} {
		require.Contains(t, out.String(), want)
	}
	require.NoDirExists(t, dir)
	b, err := os.ReadFile(svg)
	require.NoError(t, err)
	wellFormed(t, b)
}

func wellFormed(t *testing.T, b []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
}

func TestAnInterruptEndsEverythingAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	o, err := parseFlags([]string{"-members", "3", "-clients", "4", "-dir", dir}, io.Discard)
	require.NoError(t, err)
	o.acts = []act{(*script).paused} // a paused member can do nothing about its end
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := make(chan struct{})
	out := &watched{want: "kill -STOP", seen: seen}
	over := make(chan int, 1)
	go func() { over <- o.run(ctx, out, io.Discard) }()
	select {
	case <-seen:
	case code := <-over:
		t.Fatalf("it ended with %d: %s", code, out.buf.String())
	}
	begin := time.Now()
	cancel()
	require.Equal(t, exitInterrupted, <-over)
	require.Less(t, time.Since(begin), 2*time.Second)
	require.NoDirExists(t, dir)
}

func TestFlagsThatMakeNoSenseAreRefusedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "x"), nil, 0o600))
	for _, c := range []struct{ name, args, want string }{
		{"too few members", "-members 2", "-members is 2"},
		{"too many members", "-members 10", "-members is 10"},
		{"no clients", "-clients 0", "-clients is 0"},
		{"too short", "-duration 10ms", "-duration is 10ms"},
		{"no such policy", "-policy most", "-policy cannot be used"},
		{"one node suffices", "-policy any", "n1 could complete writes alone"},
		{"no node may be missing", "-policy all", "without n1 nothing could be completed"},
		{"more than there are", "-members 3 -policy at-least(4)", "-policy"},
		{"a directory in use", "-dir " + full, "-dir is not empty"},
		{"no place for the picture", "-svg " + full + "/none/out.svg", "-svg names a file"},
		{"an argument", "now", "-now is no flag"},
		{"an unknown flag", "-fast", "not defined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			require.Equal(t, exitUsage, run(context.Background(), strings.Fields(c.args), &out, &errs))
			require.Contains(t, errs.String(), c.want)
			require.Empty(t, out.String())
		})
	}
	_, err := parseFlags([]string{"-members", "1"}, io.Discard)
	require.ErrorAs(t, err, new(*flagError))
	o, err := parseFlags([]string{"-policy", "at-least(3)"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "at-least(3)", o.rules.Policy)
}
