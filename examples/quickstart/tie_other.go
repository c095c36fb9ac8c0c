//go:build !linux

package main

import "os/exec"

// tie relies on the child's standard input, which ends with this process.
func tie(*exec.Cmd) {}
