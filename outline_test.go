package tenure_test

import (
	"go/ast"
	"go/doc/comment"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outline is what the documentation of every package says, in this order. Other
// headings may stand between.
var outline = []string{"Guarantees", "What it does not guarantee", "Assumptions", "State model", "Failure handling"}

// packageDoc returns the documentation of the package in the files.
func packageDoc(parsed []*ast.File) (text string, d *comment.Doc) {
	for _, f := range parsed {
		if f.Doc != nil {
			text = f.Doc.Text()
		}
	}
	return text, new(comment.Parser).Parse(text)
}

// plain returns the text of a heading or a paragraph.
func plain(parts []comment.Text) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case comment.Plain:
			b.WriteString(string(p))
		case comment.Italic:
			b.WriteString(string(p))
		case *comment.Link:
			b.WriteString(plain(p.Text))
		case *comment.DocLink:
			b.WriteString(plain(p.Text))
		}
	}
	return b.String()
}

// sections returns the code blocks that the documentation has under each of its
// headings, "" being what is before the first, and the headings in order.
func sections(d *comment.Doc) (headings []string, code map[string][]string) {
	code = map[string][]string{}
	at := ""
	for _, block := range d.Content {
		switch b := block.(type) {
		case *comment.Heading:
			at = plain(b.Text)
			headings = append(headings, at)
		case *comment.Code:
			code[at] = append(code[at], b.Text)
		}
	}
	return headings, code
}

// A reader finds in every package, at the same place, what it is for, how it is
// used, what may be relied on and what may not.
func TestEveryPackageIsDocumentedByTheOutline(t *testing.T) {
	t.Parallel()
	for _, dir := range packages(t) {
		if dir == "." {
			continue // it has no code: the idea, the map and the guarantees
		}
		source, _ := parse(t, dir)
		text, d := packageDoc(source)
		purpose, _, _ := strings.Cut(text, "\n\n")
		if name := source[0].Name.Name; !strings.HasPrefix(purpose, "Package "+name+" ") || strings.Count(purpose+" ", ". ")+strings.Count(purpose, ".\n") != 1 {
			t.Errorf("%s: the purpose is not one sentence that begins with \"Package %s\": %q", dir, name, purpose)
		}
		headings, code := sections(d)
		var have []string
		for _, h := range headings {
			if slices.Contains(outline, h) {
				have = append(have, h)
			}
		}
		if !slices.Equal(have, outline) {
			t.Errorf("%s: of the outline it has %q, want %q", dir, have, outline)
		}
		if len(code[""]) == 0 {
			t.Errorf("%s: it does not show how it is used before its first heading", dir)
		}
		if len(code["State model"]) == 0 {
			t.Errorf("%s: its state model is not drawn", dir)
		}
	}
}

// The map in the documentation of the root names every package that there is.
func TestTheMapNamesEveryPackage(t *testing.T) {
	t.Parallel()
	source, _ := parse(t, ".")
	_, d := packageDoc(source)
	_, code := sections(d)
	named, parent := []string{"."}, ""
	for line := range strings.Lines(strings.Join(code["Packages"], "\n")) {
		name := strings.Fields(line)[0]
		if strings.HasPrefix(line, " ") {
			name = parent + "/" + name
		} else {
			parent = name
		}
		named = append(named, name)
	}
	there := packages(t)
	entries, err := os.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "internal" {
			there = append(there, "examples/"+e.Name())
		}
	}
	slices.Sort(named)
	slices.Sort(there)
	if !slices.Equal(named, there) {
		t.Errorf("the map names\n%q\nand there are\n%q", named, there)
	}
}

// codeLines returns the lines of code without comments and white space. A
// function of an Example that stands for a test is known by the comment that
// says which.
func codeLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if _, test, ok := strings.Cut(line, "{ // func Test"); ok {
			line = "func Test" + test
		}
		line = unspaced(lineComment.ReplaceAllString(line, ""))
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

var lineComment = regexp.MustCompile(`(^|\s)//.*`)

// within reports whether the lines are all there, in this order, with others
// between them.
func within(lines, all []string) bool {
	for _, line := range all {
		if len(lines) > 0 && lines[0] == line {
			lines = lines[1:]
		}
	}
	return len(lines) == 0
}

// What the documentation of a package shows as its use is compiled: it is part of
// an Example, but for the checks of errors.
func TestTheUsageOfEveryPackageIsCompiled(t *testing.T) {
	t.Parallel()
	for _, dir := range packages(t) {
		paths, err := filepath.Glob(filepath.Join(dir, "*example*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var examples [][]string
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			examples = append(examples, codeLines(string(b)))
		}
		source, _ := parse(t, dir)
		_, d := packageDoc(source)
		_, code := sections(d)
		for _, block := range code[""] {
			for _, part := range strings.Split(block, "\n\n") {
				lines := codeLines(part)
				if !slices.ContainsFunc(examples, func(all []string) bool { return within(lines, all) }) {
					t.Errorf("%s: no Example has\n%s", dir, part)
				}
			}
		}
	}
}

// The test above is worth what it catches.
func TestUsageThatIsNotInTheExampleIsNoticed(t *testing.T) {
	t.Parallel()
	example := codeLines("x, err := f()\nif err != nil {\n\treturn\n}\nx.Use(\"http://a\") // now\n_ = func(t *testing.T) { // func TestX(t *testing.T) {\n")
	for _, c := range []struct {
		usage string
		ok    bool
	}{
		{"x, err := f() // or not\nx.Use(\"http://a\")", true},
		{"x.Use(\"http://a\")\nx, err := f()", false},
		{"x, err := f()\nx.Use(\"http://b\")", false},
		{"x, err := f()\n...", false},
		{"func TestX(t *testing.T) {", true},
		{"func TestY(t *testing.T) {", false},
	} {
		if within(codeLines(c.usage), example) != c.ok {
			t.Errorf("%q: %v", c.usage, !c.ok)
		}
	}
}
