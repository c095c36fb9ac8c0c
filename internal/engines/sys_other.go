//go:build !linux

package engines

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// NewHost refuses on these systems, so nothing below is reached.

func free(string) uint64                             { return 0 }
func flock(*os.File) error                           { return errors.ErrUnsupported }
func unprivileged(Engine) (string, error)            { return "", errors.ErrUnsupported }
func own(string, string) error                       { return errors.ErrUnsupported }
func asUser(*exec.Cmd, string, syscall.Signal) error { return errors.ErrUnsupported }
func family(string) []int                            { return nil }
func endAll(string) error                            { return errors.ErrUnsupported }
func stopAll(string) error                           { return errors.ErrUnsupported }
func contAll(string) error                           { return errors.ErrUnsupported }
func sweepDead(string)                               {}
func removeSegment(string)                           {}
func stopMain(string, syscall.Signal) error          { return errors.ErrUnsupported }
