package stage

import (
	"os/exec"
	"syscall"
)

// Tie makes the kernel end the child with the thread that starts it. A group of its
// own keeps a Ctrl-C of the terminal away from it: this process alone decides how the
// others end.
func Tie(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig, c.SysProcAttr.Setpgid = syscall.SIGKILL, true
}
