//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// group makes the command the head of a process group, which is killed as a
// whole: the go command has compilers below it, a test may have servers.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
