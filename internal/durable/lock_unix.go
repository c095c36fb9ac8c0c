//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"
)

// TryLock takes the exclusive lock of an open file unless another open file
// has it. The kernel gives it back when the file is closed or its process ends.
func TryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}
