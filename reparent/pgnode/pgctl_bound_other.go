//go:build !linux

package pgnode

import "os/exec"

// bound cannot bind a program to our life on this system: see Controller.Run.
func bound(*exec.Cmd) (unbound func()) { return func() {} }
