package tenure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// In a bubble of testing/synctest a sleep is how time passes. Outside one it makes
// a test slow, and one that fails when the machine is.
func TestNoTestSleepsInRealTime(t *testing.T) {
	t.Parallel()
	dirs := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && len(d.Name()) > 1 && (d.Name()[0] == '.' || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		dirs[filepath.Dir(file)] = append(dirs[filepath.Dir(file)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) < 20 {
		t.Errorf("tests were found in %d directories only", len(dirs))
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		for _, way := range sleeps(dirs[dir]) {
			t.Errorf("%s: %s, which sleeps in real time; wait for what it waits for, or use a bubble", dir, way)
		}
	}
}

func TestSleepsInRealTimeAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, code, want string }{
		{"in a test", `func TestA(t *testing.T) { time.Sleep(1) }`, "TestA"},
		{"in what a test calls", `func TestA(t *testing.T) { b() }; func b() { func() { time.Sleep(1) }() }`, "TestA calls b"},
		{"beside a bubble", `func TestA(t *testing.T) { bubble(t, func() {}); b() }; func b() { time.Sleep(1) }
			func bubble(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { f() }) }`, "TestA calls b"},
		{"in a bubble", `func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { b() }) }; func b() { time.Sleep(1) }`, ""},
		{"in one of ours", `func TestA(t *testing.T) { bubble(t, func() { b() }); bubble(t, b) }; func b() { time.Sleep(1) }
			func bubble(t *testing.T, f func()) { synctest.Test(t, func(*testing.T) { f() }) }`, ""},
		{"in a table that a bubble reads", `func TestA(t *testing.T) { for _, f := range []func(){func() { time.Sleep(1) }} {
			t.Run("b", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f() }) }) } }`, ""},
		{"beside a bubble of a subtest", `func TestA(t *testing.T) { t.Run("b", func(t *testing.T) { time.Sleep(1)
			synctest.Test(t, func(t *testing.T) {}) }) }`, "TestA"},
		{"nowhere", `func TestA(t *testing.T) { b() }; func b() {}; func c() { time.Sleep(1) }`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := parser.ParseFile(token.NewFileSet(), "a_test.go", "package a\n"+c.code, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(sleeps([]*ast.File{f}), "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// awake is what a function does outside any bubble that it begins itself.
type awake struct {
	sleeps bool
	calls  map[string]bool
}

// sleeps returns how the tests of one directory come to sleep in real time: in
// their own code or in that of functions they call; methods are not followed.
func sleeps(files []*ast.File) (ways []string) {
	decls := map[string][]*ast.FuncDecl{}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Recv == nil {
				decls[fn.Name.Name] = append(decls[fn.Name.Name], fn)
			}
		}
	}
	bubbles := bubbles(decls)
	does := map[string]*awake{}
	for name, fns := range decls {
		a := &awake{calls: map[string]bool{}}
		for _, fn := range fns {
			outside(fn.Body, bubbles, func(id string) {
				a.sleeps = a.sleeps || id == "time.Sleep"
				a.calls[id] = true
			})
		}
		does[name] = a
	}
	for _, name := range slices.Sorted(maps.Keys(decls)) {
		isTest := slices.ContainsFunc([]string{"Test", "Benchmark", "Fuzz"}, func(s string) bool { return strings.HasPrefix(name, s) })
		if way := reaches(does, name, map[string]bool{}); isTest && way != nil {
			ways = append(ways, strings.Join(way, " calls "))
		}
	}
	return ways
}

// reaches returns the calls by which a function comes to sleep, or nothing.
func reaches(does map[string]*awake, name string, seen map[string]bool) (way []string) {
	a := does[name]
	if a == nil || seen[name] {
		return nil
	}
	seen[name] = true
	if a.sleeps {
		return []string{name}
	}
	for _, c := range slices.Sorted(maps.Keys(a.calls)) {
		if way := reaches(does, c, seen); way != nil {
			return append([]string{name}, way...)
		}
	}
	return nil
}

// bubbles returns the functions that take functions and begin a bubble, or call
// one that does.
func bubbles(decls map[string][]*ast.FuncDecl) map[string]bool {
	found := map[string]bool{"synctest.Test": true, "rapid.SyncTest": true, "reparenttest.Direct": true}
	for more := true; more; {
		more = false
		for name, fns := range decls {
			for _, fn := range fns {
				takes := slices.ContainsFunc(fn.Type.Params.List, func(p *ast.Field) bool {
					_, ok := p.Type.(*ast.FuncType)
					return ok
				})
				outside(fn.Body, found, func(id string) {
					if takes && found[id] && !found[name] {
						found[name], more = true, true
					}
				})
			}
		}
	}
	return found
}

// outside calls see with all that a body calls outside the bubbles it begins. When
// it begins one, the functions it only writes down are taken to run in there.
func outside(body ast.Node, bubbles map[string]bool, see func(id string)) {
	begins := false
	run := map[ast.Node]bool{}
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			begins = begins || bubbles[called(call.Fun)]
			run[call.Fun] = true
			for _, a := range call.Args {
				run[a] = run[a] || called(call.Fun) == "t.Run"
			}
		}
		return true
	})
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			see(called(n.Fun))
			return !bubbles[called(n.Fun)]
		case *ast.FuncLit:
			return !begins || run[n]
		}
		return true
	})
}

func called(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return x.Name + "." + e.Sel.Name
		}
		return "." + e.Sel.Name
	}
	return ""
}
