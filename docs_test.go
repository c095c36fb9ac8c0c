package tenure_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fenced returns the one code block of the language.
func fenced(t *testing.T, text, language string) string {
	t.Helper()
	found := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("%d code blocks of %s, want 1", len(found), language)
	}
	return found[0][1]
}

// unspaced is text with every run of white space made one blank.
func unspaced(text string) string { return strings.Join(strings.Fields(text), " ") }

// example returns the body of Example, and what it says that it prints.
func example(t *testing.T) (body, output string) {
	t.Helper()
	fset := token.NewFileSet()
	src, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(fset, "example_test.go", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "Example" {
			continue
		}
		text := string(src[fset.Position(fn.Body.Lbrace).Offset+1 : fset.Position(fn.Body.Rbrace).Offset])
		body, output, ok = strings.Cut(text, "// Output:")
		if !ok {
			t.Fatal("Example has no output")
		}
		return body, strings.ReplaceAll(output, "// ", "")
	}
	t.Fatal("there is no Example")
	return "", ""
}

func TestTheCodeInTheReadmeIsTheExample(t *testing.T) {
	t.Parallel()
	body, output := example(t)
	text := readme(t)
	code := fenced(t, text, "go")
	if unspaced(code) != unspaced(body) {
		t.Errorf("the README shows\n%s\nand the example is\n%s", code, body)
	}
	if shown := fenced(t, text, "text"); unspaced(shown) != unspaced(output) {
		t.Errorf("the README says that it prints\n%s\nand it prints\n%s", shown, output)
	}
	tidy, err := format.Source([]byte(code))
	if err != nil || !bytes.Equal(tidy, []byte(code)) {
		t.Errorf("the README's code is not formatted (%v):\n%s", err, tidy)
	}
}

// tests returns the names of all tests in the tree.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		b, err := os.ReadFile(file)
		for _, m := range declared.FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Every guarantee is in the table, with tests that exist and carry its id.
func TestTheTestsBehindTheGuaranteesExist(t *testing.T) {
	t.Parallel()
	have := tests(t)
	row := regexp.MustCompile(`(?m)^\| (G\d+) \|.*$`)
	name := regexp.MustCompile("`(Test\\w+)`")
	var ids []string
	text := readme(t)
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		id := m[1]
		ids = append(ids, id)
		if cells := strings.Count(m[0], " | "); cells != 4 {
			t.Errorf("%s has %d cells, want 5", id, cells+1)
		}
		behind := name.FindAllStringSubmatch(m[0], -1)
		if len(behind) == 0 {
			t.Errorf("nothing checks %s", id)
		}
		for _, n := range behind {
			if !regexp.MustCompile(`(Test|_)` + id + `_`).MatchString(n[1]) {
				t.Errorf("%s is in the row of %s and does not carry its id", n[1], id)
			}
		}
	}
	var want []string
	for i := range 10 {
		want = append(want, "G"+strconv.Itoa(i+1))
	}
	if !slices.Equal(ids, want) {
		t.Errorf("the table has %v, want %v", ids, want)
	}
	for _, n := range name.FindAllStringSubmatch(text, -1) {
		if !have[n[1]] {
			t.Errorf("the README names %s, which does not exist", n[1])
		}
	}
}

// What the documentation of a package claims to keep of a guarantee is checked beside
// it, by a test that carries the id.
func TestAPackageThatClaimsAGuaranteeHasATestOfIt(t *testing.T) {
	t.Parallel()
	claimed := regexp.MustCompile(`\((G\d+(?:, G\d+)*)\)`)
	err := filepath.WalkDir(".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(file) != "doc.go" {
			return err
		}
		doc, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*_test.go"))
		if err != nil {
			return err
		}
		var all []byte
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			all = append(all, b...)
		}
		for _, m := range claimed.FindAllSubmatch(doc, -1) {
			for id := range strings.SplitSeq(string(m[1]), ", ") {
				if !regexp.MustCompile(`(?m)^func Test(G\d+_)*` + id + `_`).Match(all) {
					t.Errorf("%s claims %s, and no test beside it carries that id", file, id)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheCommandsOfTheReadmeExist(t *testing.T) {
	t.Parallel()
	text := readme(t)
	run := regexp.MustCompile(`(?m)^    go run \./(\S+)$`).FindAllStringSubmatch(text, -1)
	if len(run) != 1 {
		t.Fatalf("%d commands to run", len(run))
	}
	if files, err := filepath.Glob(filepath.Join(run[0][1], "*.go")); err != nil || len(files) == 0 {
		t.Errorf("nothing to run in %s (%v)", run[0][1], err)
	}
	makes := regexp.MustCompile(`(?m)^    make (\w+)$`).FindAllStringSubmatch(text, -1)
	if len(makes) != 1 {
		t.Fatalf("%d commands to make", len(makes))
	}
	rules, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^` + makes[0][1] + `:`).Match(rules) {
		t.Errorf("the Makefile has no %s", makes[0][1])
	}
}
