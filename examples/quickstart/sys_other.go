//go:build !unix

package main

import (
	"errors"
	"os"
)

var errNoSignal = errors.New("quickstart: this system cannot pause a process")

func pause(*os.Process) error  { return errNoSignal }
func resume(*os.Process) error { return errNoSignal }
