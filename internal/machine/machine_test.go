package machine_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/machine"
)

func TestAMachineIsNamedWithoutItsBuild(t *testing.T) {
	t.Parallel()
	kernel := machine.Kernel()
	if !strings.HasPrefix(kernel, runtime.GOOS) || strings.Contains(kernel, "-") {
		t.Errorf("kernel %q", kernel)
	}
	if machine.CPU() == "" {
		t.Error("the processor has no name")
	}
}
