package leadership_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

// writer is the body of another process: it begins the next term over and over,
// LEADERSHIP_TEST_WRITES times or until it is killed, and prints each version
// that was confirmed to it.
func writer(path string) int {
	reg, err := OpenFileRegistry(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var writes int
	_, _ = fmt.Sscan(os.Getenv("LEADERSHIP_TEST_WRITES"), &writes)
	for i := 0; writes == 0 || i < writes; {
		cur, err := reg.Load(context.Background())
		if err == nil {
			var next Record
			if next, err = beginNext(cur, "child"); err == nil {
				next, err = reg.Swap(context.Background(), cur.Version, next)
			}
			var conflict *ConflictError
			if errors.As(err, &conflict) {
				continue
			}
			if err == nil {
				i++
				fmt.Println(next.Version)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func beginNext(r Record, by string) (Record, error) {
	tm, err := NextTerm(by, r.Fence)
	if err != nil {
		return r, err
	}
	return r.Begin(Intent{Term: tm, By: by, Kind: KindPlanned}, true)
}

func child(t *testing.T, path string, writes int) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), "LEADERSHIP_TEST_WRITER="+path, fmt.Sprintf("LEADERSHIP_TEST_WRITES=%d", writes))
	return cmd
}

func newFile(t *testing.T) (string, *FileRegistry) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registry")
	reg, err := OpenFileRegistry(path)
	if err != nil {
		t.Fatal(err)
	}
	rs := ruleset(t, 1, Majority(), ids(3)...)
	if _, err := Update(t.Context(), reg, func(r Record) (Record, error) { return r.Create("c", Full, rs) }); err != nil {
		t.Fatal(err)
	}
	return path, reg
}

func TestFileRegistryLosesNothingBetweenProcesses(t *testing.T) {
	t.Parallel()
	path, reg := newFile(t)
	const processes, each = 3, 20
	cmds := make([]*exec.Cmd, processes)
	errs := make([]bytes.Buffer, processes)
	for i := range cmds {
		cmds[i] = child(t, path, each)
		cmds[i].Stderr = &errs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, &errs[i])
		}
	}
	r, err := reg.Load(t.Context())
	if err != nil || r.Fence.Num != processes*each || r.Version != 1+processes*each {
		t.Errorf("%d processes made %d writes each: version %d, fence %s, %v", processes, each, r.Version, r.Fence, err)
	}
}

// A writer is killed at random points. What it was told is written stays
// written, the file is never torn, its lock is never left behind, and nothing
// piles up beside it.
func TestFileRegistrySurvivesKilledWriters(t *testing.T) {
	t.Parallel()
	path, reg := newFile(t)
	last := uint64(1)
	for range 25 {
		cmd := child(t, path, 0)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() { // it is writing now
			t.Fatal("the writer did not write")
		}
		confirmed := lines.Text()
		timer := time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			confirmed = lines.Text()
			if r, err := reg.Load(t.Context()); err != nil || r.Version < last {
				t.Fatalf("while it writes: version %d after %d, %v", r.Version, last, err)
			} else {
				last = r.Version
			}
		}
		_ = cmd.Wait() // killed
		timer.Stop()
		var version uint64
		if _, err := fmt.Sscan(confirmed, &version); err != nil {
			t.Fatal(err)
		}
		r, err := reg.Load(t.Context())
		if err != nil {
			t.Fatalf("after the kill: %v", err)
		}
		if r.Version < version || r.Version < last || r.Fence.Num != r.Version-1 {
			t.Fatalf("after the kill: version %d, fence %s; confirmed was %d, seen %d", r.Version, r.Fence, version, last)
		}
		// The lock of the dead is free.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		r, err = Update(ctx, reg, func(r Record) (Record, error) { return beginNext(r, "parent") })
		cancel()
		if err != nil {
			t.Fatalf("after the kill nobody can write: %v", err)
		}
		last = r.Version
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 3 {
		t.Errorf("killed writers left %d files: %v", len(files), files)
	}
}

func TestTornRegistryFileIsCorrupt(t *testing.T) {
	t.Parallel()
	path, reg := newFile(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFileRegistry(path)
		if e := wantAs[*CorruptError](t, err); e.Path != path || e.Reason == "" {
			t.Errorf("%s: %+v", what, e)
		}
		_, err = reg.Load(t.Context())
		wantAs[*CorruptError](t, err)
		_, err = reg.Swap(t.Context(), 1, Record{Mode: Full})
		wantAs[*CorruptError](t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err = reg.Wait(ctx, 0)
		cancel()
		wantAs[*CorruptError](t, err)
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, b) {
			t.Errorf("%s: a corrupt file must be left as it is (%v)", what, err)
		}
	}
	for n := range len(whole) {
		check(fmt.Sprintf("the first %d bytes", n), whole[:n])
	}
	for i := range len(whole) {
		b := bytes.Clone(whole)
		b[i] ^= 0x20
		check(fmt.Sprintf("byte %d flipped", i), b)
	}
	check("something after the end", append(bytes.Clone(whole), '{', '}'))
}

func TestG10_OpenFileRegistryRefusesBadPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenFileRegistry(filepath.Join(dir, "no", "registry")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFileRegistry(filepath.Join(dir, "file", "registry")); err == nil {
		t.Error("a directory that is a file was accepted")
	}
}
