package leadership

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
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

// Who wrote the file may have died between the rename and the fsync.
func TestG4_ARegistryFileIsSyncedBeforeItIsOpened(t *testing.T) {
	t.Parallel()
	if _, err := OpenFileRegistry(filepath.Join(unsyncable(t), "registry")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v; want the refusal of the fsync", err)
	}
}

// Update settles a Swap of unknown outcome by a Load, and takes what that shows for
// written: a power cut must not take it back.
func TestG4_WhatMayHaveBeenWrittenIsSyncedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	none := unsyncable(t)
	dir := t.TempDir()
	f, err := OpenFileRegistry(filepath.Join(dir, "registry"))
	if err != nil {
		t.Fatal(err)
	}
	// Its name is taken: the rename fails, which may be so after it was made, too.
	if err := os.MkdirAll(filepath.Join(f.path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.replace([]byte("x")); !errors.Is(err, ErrUnknownOutcome) {
		t.Fatal(err)
	}
	f.path = filepath.Join(none, "registry")
	if _, err := f.Load(t.Context()); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Load: %v; want the refusal of the fsync", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // there is nothing to wait for
	defer cancel()
	if _, err := f.Wait(ctx, 0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Wait: %v; want the refusal of the fsync", err)
	}
	// Nothing is in doubt any more once it is synced.
	for _, at := range []string{dir, none} {
		f.path = filepath.Join(at, "another")
		if r, err := f.Load(t.Context()); err != nil || r.Version != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
