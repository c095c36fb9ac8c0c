package tenure_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// files returns what is in the tree with the extension, by path. What a tool
// left in a folder with a dot is no part of it.
func files(t *testing.T, extension string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && len(path) > 1 && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != extension {
			return nil
		}
		b, err := os.ReadFile(path)
		found[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var commented = regexp.MustCompile(`(?m)^\s*//`)

// Code on a page is part of a file that is compiled, and of an Example where
// that says what it prints. Pages other than the README may quote any.
func TestTheCodeOnEveryPageIsCompiled(t *testing.T) {
	t.Parallel()
	var sources []string
	for _, text := range files(t, ".go") {
		sources = append(sources, unspaced(commented.ReplaceAllString(text, "")))
	}
	all := strings.Join(sources, "\n")
	for page, text := range files(t, ".md") {
		for _, m := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(all, unspaced(commented.ReplaceAllString(m[1], ""))) {
				t.Errorf("%s shows code that is in no file:\n%s", page, m[1])
			}
		}
	}
}

func TestTheLinksOfEveryPageLeadSomewhere(t *testing.T) {
	t.Parallel()
	for page, text := range files(t, ".md") {
		for _, m := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(text, -1) {
			target := filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
