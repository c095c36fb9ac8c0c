//go:build unix

package leadership_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

// Who writes while another process does would write over what that one wrote.
func TestAFileRegistryWaitsForTheProcessThatWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry")
	reg, err := OpenFileRegistry(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	rec, err := Record{}.Create("c", Full, ruleset(t, 1, Majority(), ids(3)...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := reg.Swap(ctx, 0, rec); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another process writes: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := reg.Swap(t.Context(), 0, rec); err != nil || got.Version != 1 {
		t.Errorf("afterwards: version %d, %v", got.Version, err)
	}
}
