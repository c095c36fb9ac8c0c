package tenure_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tenure-go/tenure"

// mayImport lists, for each package directory of the library, which of our own
// packages it may import. A test kit may import what the package beside it may,
// and that package. What is not listed has no rule yet and fails.
var mayImport = map[string][]string{
	".":                           {},
	"internal/durable":            {},
	"internal/measure":            {},
	"internal/licences":           {},
	"internal/machine":            {},
	"internal/hostile":            {},
	"internal/mutants":            {},
	"internal/nils":               {},
	"internal/nodecall":           {"leadership"},
	"internal/race":               {},
	"internal/engines":            {"internal/engines/netproxy"},
	"internal/engines/netproxy":   {},
	"internal/engines/enginetest": {"internal/engines", "internal/engines/netproxy"},
	"internal/engines/load":       {"leadership", "buffer", "buffer/sqlbuffer", "internal/measure"},
	"leadership":                  {"internal/durable", "internal/nils"},
	"leadership/acceptor":         {"leadership", "internal/durable"},
	"leadership/leadershiptest":   {"leadership", "leadership/acceptor"},
	"revoke":                      {"leadership"},
	"establish":                   {"leadership"},
	"lameduck":                    {"leadership"},
	"buffer":                      {"leadership"},
	"buffer/httpbuffer":           {"leadership", "buffer"},
	"buffer/sqlbuffer":            {"leadership", "buffer"},
	"reparent":                    {"leadership", "revoke", "establish", "reparent/handover"},
	"reparent/handover":           {"leadership", "revoke"},
	"reparent/reparenttest":       {"leadership", "leadership/acceptor", "revoke", "establish", "reparent", "reparent/handover", "lameduck", "buffer"},
}

// library is what code that users compile in may import from elsewhere; kit is
// what a test kit may import besides.
var (
	library = []string{"golang.org/x/sync"}
	kit     = []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine"}
)

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file == "." {
				return nil
			}
			if strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || file == "examples" {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
				return filepath.SkipDir // a nested module has its own dependencies
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		seen++
		return checkImports(t, filepath.ToSlash(file))
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Errorf("only %d files were looked at", seen)
	}
}

func checkImports(t *testing.T, file string) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	dir := path.Dir(file)
	for _, im := range f.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			return err
		}
		if why := forbidden(dir, p); why != "" {
			t.Errorf("%s imports %s: %s", file, p, why)
		}
	}
	return nil
}

// forbidden says why the package in dir may not import p, "" when it may.
func forbidden(dir, p string) string {
	if own, ok := strings.CutPrefix(p, module+"/"); ok {
		allowed, known := mayImport[dir]
		switch {
		case strings.HasPrefix(dir, "internal/"), strings.HasPrefix(own, "internal/") && dir != "leadership":
			return ""
		case !known:
			return "give " + dir + " a rule in mayImport"
		case !slices.Contains(allowed, own):
			return "the import direction is leadership <- acceptor, revoke, establish <- reparent; lameduck and buffer know leadership only; nothing here knows an adapter"
		}
		return ""
	}
	first, _, _ := strings.Cut(p, "/")
	if !strings.Contains(first, ".") {
		return "" // standard library
	}
	allowed := library
	if strings.HasSuffix(dir, "test") {
		allowed = append(slices.Clone(library), kit...)
	}
	for _, a := range allowed {
		if p == a || strings.HasPrefix(p, a+"/") {
			return ""
		}
	}
	return "not a dependency of the library"
}

// The test above is worth what it catches.
func TestTheImportRulesRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dir, imports string
		ok           bool
	}{
		{"leadership", module + "/revoke", false},
		{"leadership", module + "/leadership/acceptor", false},
		{"leadership", module + "/internal/x", false},
		{"leadership/acceptor", module + "/leadership", true},
		{"leadership/acceptor", module + "/revoke", false},
		{"revoke", module + "/establish", false},
		{"establish", module + "/revoke", false},
		{"reparent", module + "/revoke", true},
		{"reparent", module + "/buffer", false},
		{"reparent", module + "/reparent/mariadbnode", false},
		{"reparent", module + "/reparent/reparenttest", false},
		{"lameduck", module + "/buffer", false},
		{"buffer", module + "/lameduck", false},
		{"something/new", module + "/leadership", false},
		{"leadership", "github.com/stretchr/testify/require", false},
		{"leadership", "pgregory.net/rapid", false},
		{"leadership/leadershiptest", "pgregory.net/rapid", true},
		{"leadership/leadershiptest", "github.com/stretchr/testify/require", false},
		{"reparent/reparenttest", "github.com/anishathalye/porcupine", true},
		{"revoke", "golang.org/x/sync/errgroup", true},
		{"revoke", "golang.org/x/syncthing", false},
	} {
		if why := forbidden(c.dir, c.imports); (why == "") != c.ok {
			t.Errorf("%s importing %s: %q", c.dir, c.imports, why)
		}
	}
}
