//go:build !linux

package stage

import "os/exec"

// Tie does nothing here: the servers of a demo are started on Linux only.
func Tie(*exec.Cmd) {}
