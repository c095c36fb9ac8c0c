package mariadbnode_test

import (
	"os"
	"testing"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

var host *engines.Host

// TestMain also is the worker of the write load, which runs in processes of
// its own.
func TestMain(m *testing.M) {
	if code, worker := load.Main(openEngine); worker {
		os.Exit(code)
	}
	os.Exit(enginetest.Main(m, &host))
}

func openEngine(load.Spec) (load.Engine, error) {
	nodes, err := mariadbnode.SQL(mariadbnode.SQLConfig{DSN: "app:app@tcp(leader)/app?interpolateParams=true"})
	return load.Engine{Nodes: nodes}, err
}
