//go:build !unix

package pgnode

import (
	"errors"
	"os"
)

// tryLock fails where files cannot be locked: two processes on one record would
// break every promise in it.
func tryLock(*os.File) (bool, error) {
	return false, errors.ErrUnsupported
}
