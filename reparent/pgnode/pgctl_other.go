//go:build !unix

package pgnode

import (
	"errors"
	"os"
	"os/exec"
)

func asOwner(*exec.Cmd, string) error    { return errors.ErrUnsupported }
func giveTo(*os.File, string) error      { return nil }
func family(string) ([]int, error)       { return nil, errors.ErrUnsupported }
func launching(string) (bool, error)     { return false, errors.ErrUnsupported }
func lingers(string) bool                { return false }
func tell(string, []int, StopMode) error { return errors.ErrUnsupported }
