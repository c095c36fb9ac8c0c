//go:build unix

package pgnode

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the exclusive lock of an open file unless another has it. The
// kernel gives it back when the file is closed or its process ends.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}
