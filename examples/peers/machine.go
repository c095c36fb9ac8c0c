package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// machine is where this runs, as far as the system tells.
func machine() report.Machine {
	return report.Machine{
		CPU:    cpuModel(),
		Cores:  runtime.NumCPU(),
		Kernel: release(),
		Go:     runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "an unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown processor"
}

// release is the kernel's version up to the first dash: what comes after names a
// build, not a version.
func release() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of an unknown version"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	return version
}

// modules are the peers, with the versions that were built in.
func modules() []report.Module {
	peers := []string{"vitess.io/vitess", "go.etcd.io/raft/v3", "github.com/hashicorp/raft"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var used []report.Module
	for _, path := range peers {
		for _, d := range info.Deps {
			if d.Path == path {
				used = append(used, report.Module{Path: path, Version: d.Version})
			}
		}
	}
	return used
}
