package pgnode

import (
	"os/exec"
	"runtime"
	"syscall"
)

// bound lets a program end with us, however we end: one that writes into the data
// directory must not go on beside whoever repairs the node next. A server that pg_ctl
// has started is no child of ours and lives on. The caller's thread must not end
// before the program: unbound is called then.
func bound(cmd *exec.Cmd) (unbound func()) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
