package durable_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/tenure-go/tenure/internal/durable"
)

// The directories of processes can be opened, and not synced.
func TestADoubtIsSettledByAnFsyncAndByNothingElse(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadDir("/proc/self"); err != nil {
		t.Skip(err)
	}
	var d durable.Doubt
	if err := d.Settle("/proc/self"); err != nil {
		t.Errorf("nothing is in doubt: %v", err)
	}
	for range 2 {
		d.Raise()
		for range 2 {
			if err := d.Settle("/proc/self"); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%v; want the refusal of the fsync", err)
			}
		}
		if err := d.Settle(t.TempDir()); err != nil {
			t.Error(err)
		}
		if err := d.Settle("/proc/self"); err != nil {
			t.Errorf("it is settled: %v", err)
		}
	}
}
