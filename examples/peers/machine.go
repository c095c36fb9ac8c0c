package main

import (
	"runtime"
	"runtime/debug"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
	"github.com/tenure-go/tenure/internal/machine"
)

// here is where this runs, as far as the system tells.
func here() report.Machine {
	return report.Machine{
		CPU:    machine.CPU(),
		Cores:  runtime.NumCPU(),
		Kernel: machine.Kernel(),
		Go:     runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
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
