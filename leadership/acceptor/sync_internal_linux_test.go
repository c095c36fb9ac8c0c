package acceptor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

// unsyncable is a directory that can be opened, and not synced: whether an fsync was
// made shows only where it fails.
func unsyncable(t *testing.T) string {
	t.Helper()
	if _, err := os.ReadDir("/proc/self"); err != nil {
		t.Skip(err)
	}
	return "/proc/self"
}

// The process before may have died between the rename and the fsync: a promise that
// a power cut can take back is not reported.
func TestG4_APromiseFoundAtTheStartIsSyncedBeforeItIsReported(t *testing.T) {
	t.Parallel()
	if _, err := OpenFile(unsyncable(t)); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v; want the refusal of the fsync", err)
	}
}

func TestG4_APromiseThatMayHaveBeenSavedIsSyncedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	none := unsyncable(t)
	ctx := context.Background()
	f, err := OpenFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := f.dir
	// Its name is taken: the rename fails, which may be so after it was made, too.
	if err := os.MkdirAll(filepath.Join(f.Path(), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(ctx, State{Node: "n1", Incarnation: "d1"}); !errors.Is(err, leadership.ErrUnknownOutcome) {
		t.Fatal(err)
	}
	f.dir = none
	if _, _, err := f.Load(ctx); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v; want the refusal of the fsync", err)
	}
	// Nothing is in doubt any more once it is synced.
	if err := os.RemoveAll(filepath.Join(dir, fileName)); err != nil {
		t.Fatal(err)
	}
	for _, f.dir = range []string{dir, none} {
		if _, ok, err := f.Load(ctx); err != nil || ok {
			t.Errorf("%v, %v", ok, err)
		}
	}
}
