package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/tenure-go/tenure/internal/durable"
)

// Whether an fsync was made cannot be seen from its success. These tests use
// places where it cannot succeed.

// A pipe takes what is written and cannot be synced: what is not known to be on
// disk never takes the place of the old content.
func TestReplaceRenamesNothingThatWasNotSynced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	if maybe, err := durable.Replace(path, []byte("old")); err != nil || maybe {
		t.Fatalf("maybe %v, %v", maybe, err)
	}
	if err := syscall.Mkfifo(path+".tmp", 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	// Open for reading too, so that the writer does not wait for a reader.
	reader, err := os.OpenFile(path+".tmp", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	maybe, err := durable.Replace(path, []byte("new"))
	if !errors.Is(err, syscall.EINVAL) || maybe {
		t.Errorf("maybe %v, %v; want the refusal of the fsync", maybe, err)
	}
	if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
		t.Fatalf("now it is %v, %v", st, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("now it holds %q, %v", got, err)
	}
}

// A directory of which the names may be changed but not read cannot be synced:
// the new content is there, whether for good is not known.
func TestReplaceThatCannotSyncTheDirectoryIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "blind")
	if err := os.Mkdir(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // who may read everything
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		for p := filepath.Dir(dir); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
			if err := os.Chmod(p, 0o711); err != nil {
				t.Fatal(err)
			}
		}
	}
	type result struct {
		maybe bool
		err   error
		done  bool
	}
	got := make(chan result, 1)
	go func() {
		// The identity belongs to the thread, which ends with this goroutine: it
		// stays locked.
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			for _, call := range []uintptr{syscall.SYS_SETFSGID, syscall.SYS_SETFSUID} {
				if _, _, errno := syscall.RawSyscall(call, 65534, 0, 0); errno != 0 {
					got <- result{}
					return
				}
			}
		}
		maybe, err := durable.Replace(filepath.Join(dir, "record"), []byte("new"))
		got <- result{maybe, err, true}
	}()
	switch r := <-got; {
	case !r.done:
		t.Skip("this process may not change its identity")
	case !r.maybe && errors.Is(r.err, os.ErrPermission):
		t.Skip("the directory for temporary files is closed to others:", r.err)
	case !r.maybe || !errors.Is(r.err, os.ErrPermission):
		t.Errorf("maybe %v, %v; want an unknown outcome: the directory could not be synced", r.maybe, r.err)
	}
}

// The directories of processes can be opened, and not synced.
func TestSyncDirSyncs(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadDir("/proc/self"); err != nil {
		t.Skip(err)
	}
	if err := durable.SyncDir("/proc/self"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v; want the refusal of the fsync", err)
	}
}
