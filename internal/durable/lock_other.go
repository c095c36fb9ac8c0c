//go:build !unix

package durable

import (
	"errors"
	"os"
)

// TryLock returns errors.ErrUnsupported: without a lock that a dead process
// gives back, two processes could write one file, and break every promise in it.
func TryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
