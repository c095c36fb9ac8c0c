// Package machine says on what a measurement was made.
package machine

import (
	"os"
	"runtime"
	"strings"
)

// CPU returns the name of the processor, or its architecture where the system does
// not name it.
func CPU() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

// Kernel returns the system and the version of its kernel up to the first dash: what
// comes after names a build, not a version.
func Kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	return runtime.GOOS + " " + version
}
