package leadership_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// edge reports whether a file is part of the edge of the package, where the
// outside world is: the registries, the barriers and their locks. All others are
// the core.
func edge(name string) bool {
	what, _, _ := strings.Cut(strings.TrimSuffix(name, ".go"), "_")
	return what == "registry" || what == "barrier" || what == "lock"
}

// pureImports is everything the core may import. sync is on it for the one
// mutex of Proposal: acceptances are reported by goroutines of a mechanism, and
// the set they add to is the same whatever their order. It is a guard of a set,
// never something to wait for: sync.Mutex is the only name of sync allowed.
// maps is not on it: its iterators have no order. time is, for Duration.
var pureImports = []string{
	"cmp", "encoding/json", "errors", "fmt", "iter", "math", "math/bits", "net/url",
	"slices", "strconv", "strings", "sync", "time",
	"github.com/tenure-go/tenure/internal/nils", // one pure function
}

// waits is the one file of the core that waits: Proposal.Position returns a
// position once the round has heard it, or when its context ends. Nothing that
// decides calls it.
const waits = "proposal.go"

// pureNames restricts what may be used of a package that can do more.
var pureNames = map[string][]string{
	"sync": {"Mutex"},
	"time": {"Duration", "ParseDuration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"},
}

// TestTheCoreIsPure keeps goroutines, clocks, IO, randomness, shared mutable
// state and the order of maps out of the core, so that the same testimony gives
// the same decision, in the same words, each time.
func TestTheCoreIsPure(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	var files []*ast.File
	core := 0
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "lock_other.go" {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		if !edge(name) {
			core++
		}
	}
	if core < 15 {
		t.Fatalf("only %d files of the core were found", core)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	if _, err := conf.Check("leadership", fset, files, info); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if edge(fset.Position(f.Pos()).Filename) {
			continue
		}
		for _, bad := range impurities(fset, f, info) {
			t.Error(bad)
		}
	}
}

func impurities(fset *token.FileSet, f *ast.File, info *types.Info) (found []string) {
	report := func(n ast.Node, what string) { found = append(found, fset.Position(n.Pos()).String()+": "+what) }
	for _, im := range f.Imports {
		path, err := strconv.Unquote(im.Path.Value)
		if fset.Position(im.Pos()).Filename == waits && path == "context" {
			continue
		}
		if err != nil || !slices.Contains(pureImports, path) {
			report(im, "the core does not import "+im.Path.Value)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n, "the core starts no goroutine")
		case *ast.SelectStmt, *ast.SendStmt:
			if fset.Position(n.Pos()).Filename != waits {
				report(n, "the core waits for nobody")
			}
		case *ast.RangeStmt:
			switch info.Types[n.X].Type.Underlying().(type) {
			case *types.Map:
				report(n, "the order of a map reaches a decision")
			case *types.Chan:
				report(n, "the core waits for nobody")
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			pkg, ok := info.Uses[id].(*types.PkgName)
			if !ok {
				break
			}
			path := pkg.Imported().Path()
			if allowed, limited := pureNames[path]; limited && !slices.Contains(allowed, n.Sel.Name) {
				report(n, "the core does not use "+path+"."+n.Sel.Name)
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n, "the core has no init")
			}
		}
		return true
	})
	return found
}

// The test above is worth what it catches.
func TestThePurityTestSeesEachImpurity(t *testing.T) {
	t.Parallel()
	for what, src := range map[string]string{
		"goroutine":  "package p\nfunc f() { go f() }",
		"map":        "package p\ntype m map[int]int\nfunc f(x m) { for range x { } }",
		"time.Now":   "package p\nimport \"time\"\nvar f = time.Now",
		"time.After": "package p\nimport \"time\"\nfunc f() { <-time.After(1) }",
		`"os"`:       "package p\nimport \"os\"\nvar f = os.Args",
		"atomic":     "package p\nimport \"sync/atomic\"\nvar f atomic.Bool",
		"WaitGroup":  "package p\nimport \"sync\"\nvar f sync.WaitGroup",
		"rand":       "package p\nimport \"math/rand\"\nvar f = rand.Int",
		"waits":      "package p\nfunc f(c chan int) { select { case <-c: } }",
		"init":       "package p\nfunc init() {}",
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "p.go", src, 0)
		if err != nil {
			t.Fatal(err)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
		conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
		if _, err := conf.Check("p", fset, []*ast.File{f}, info); err != nil {
			t.Fatal(err)
		}
		if got := impurities(fset, f, info); len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), what) {
			t.Errorf("%s: not seen in\n%s\ngot %v", what, src, got)
		}
	}
}

// No file of the package is so long that it holds two ideas.
func TestNoFileIsLong(t *testing.T) {
	t.Parallel()
	err := fs.WalkDir(rootFS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := fs.ReadFile(rootFS(), path)
		if n := strings.Count(string(b), "\n"); n > 400 {
			t.Errorf("%s has %d lines", path, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
