//go:build unix

package reparenttest

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used of its processors so far.
func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
