package kv

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/tenure-go/tenure/internal/durable"
)

// lockDir takes the directory for this process. The kernel gives it back when
// the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, fileLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ok, err := durable.TryLock(f)
	if ok {
		return f, nil
	}
	if err == nil {
		err = &StorageError{dir, "is in use by another process"}
	}
	return nil, errors.Join(err, f.Close())
}
