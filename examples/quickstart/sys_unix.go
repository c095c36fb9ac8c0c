//go:build unix

package main

import (
	"os"
	"syscall"
)

// pause is kill -STOP, resume kill -CONT.
func pause(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
