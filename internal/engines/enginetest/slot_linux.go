package enginetest

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock file, which notes its holder while it is locked. It
// returns ok without a file when holder has it already.
func tryLock(path, holder string) (f *os.File, ok bool, err error) {
	f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		b, err := os.ReadFile(path)
		return nil, string(b) == holder, errors.Join(err, f.Close())
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(holder), 0)
	}
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, true, nil
}

// unlock forgets the holder and lets go of the lock. A failure to write leaves a
// name that matches no later test.
func unlock(f *os.File) {
	_ = f.Truncate(0)
	_ = f.Close()
}
