package mariadbnode_test

import (
	"os"
	"testing"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

var host *engines.Host

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, &host)) }
