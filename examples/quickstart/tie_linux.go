package main

import (
	"os/exec"
	"syscall"
)

// tie makes the kernel kill the child when the thread that started it dies,
// also when the child is paused and cannot notice the end of its standard
// input. A group of its own keeps a Ctrl-C of the terminal away from it: this
// process alone decides how the others end.
func tie(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
