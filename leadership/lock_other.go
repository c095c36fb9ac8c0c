//go:build !unix

package leadership

import (
	"errors"
	"os"
)

// tryLock is not available: without a lock that a dead process gives back,
// a file cannot be a registry.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
