package stage

import (
	"os/exec"
	"syscall"
)

// tie makes the kernel end the child with the thread that started it. A group of its
// own keeps a Ctrl-C of the terminal away from it: this process alone decides how the
// others end.
func tie(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
