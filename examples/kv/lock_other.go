//go:build !unix

package kv

import (
	"os"
	"path/filepath"
)

// lockDir cannot keep a second process out on this system.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, fileLock), os.O_CREATE|os.O_RDWR, 0o600)
}
