package tenure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unshown are the exported functions without an Example of their own, each with
// the reason why a reader misses nothing.
var unshown = map[string]string{}

// packages returns the folders with a package that others import, nested modules
// included: no internal ones, no programs, no examples.
func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for path, text := range files(t, ".go") {
		dir := filepath.ToSlash(filepath.Dir(path))
		parts := strings.Split(dir, "/")
		if strings.HasSuffix(path, "_test.go") || slices.Contains(parts, "internal") || parts[0] == "examples" ||
			slices.Contains(parts, "testdata") || strings.Contains(text, "\npackage main\n") {
			continue
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// exported returns the exported functions that the files declare, methods left
// out, and the name of their package.
func exported(parsed []*ast.File) (names []string, pkg string) {
	for _, f := range parsed {
		pkg = f.Name.Name
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() {
				names = append(names, fn.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names, pkg
}

// shown returns what the Examples in the files are named for, or use of the
// package.
func shown(parsed []*ast.File, pkg string) map[string]bool {
	names := map[string]bool{}
	for _, f := range parsed {
		if f.Name.Name != pkg+"_test" {
			continue
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Example") {
				continue
			}
			names[strings.Split(strings.TrimPrefix(fn.Name.Name, "Example"), "_")[0]] = true
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg {
						names[s.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	return names
}

// parse returns the files of a folder, tests apart from the rest.
func parse(t *testing.T, dir string) (source, tests []*ast.File) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".go" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), "_test.go") {
			tests = append(tests, f)
		} else {
			source = append(source, f)
		}
	}
	return source, tests
}

// Whoever meets a function in the documentation of its package finds it used
// there.
func TestEveryExportedFunctionIsInAnExample(t *testing.T) {
	t.Parallel()
	missed := map[string]bool{}
	for _, dir := range packages(t) {
		source, tests := parse(t, dir)
		names, pkg := exported(source)
		have := shown(tests, pkg)
		for _, name := range names {
			if have[name] {
				continue
			}
			name = dir + "." + name
			missed[name] = true
			if unshown[name] == "" {
				t.Errorf("%s is in no Example of its package", name)
			}
		}
	}
	for name, why := range unshown {
		if !missed[name] {
			t.Errorf("%s is listed as without an Example (%s) and has one, or is gone", name, why)
		}
	}
}
