package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A refactoring that moves the code of a rule must take its mutation along.
func TestEveryMutationAppliesToTheTree(t *testing.T) {
	t.Parallel()
	root, err := module(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	ms, _, err := pick(t.Context(), root, mutations(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(ms) < 40 {
		t.Errorf("%d mutations, want 40 or more", len(ms))
	}
	for _, m := range ms {
		if _, err := m.apply(root, t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for _, c := range m.checks {
			for _, name := range c.tests {
				if !declares(t, filepath.Join(root, filepath.FromSlash(c.pkg)), name) {
					t.Errorf("%s: no test of %s matches %s", m.name, c.pkg, name)
				}
			}
		}
		if !regexp.MustCompile(`^G\d+( G\d+)*$`).MatchString(m.ids) {
			t.Errorf("%s: guarantees %q", m.name, m.ids)
		}
	}
}

// declares reports whether a test of the package in dir matches the pattern.
func declares(t *testing.T, dir, pattern string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(`(?m)^func (` + pattern + `)\(`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if re.Match(b) {
			return true
		}
	}
	return false
}

// tiny writes a module of one function and one test, and returns its directory.
func tiny(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module tiny\n\ngo 1.25\n",
		"p/p.go": "package p\n\nfunc Min(a, b int) int {\n\tif a < b {\n\t\treturn a\n\t}\n\treturn b\n}\n\nfunc Wait(done chan struct{}) {\n\tclose(done)\n}\n",
		"p/p_test.go": `package p

import "testing"

func TestMin(t *testing.T) {
	t.Run("lower", func(t *testing.T) {
		if Min(1, 2) != 1 {
			t.Error("not the lower")
		}
	})
}

func TestNothing(*testing.T) {}

func TestWait(*testing.T) {
	done := make(chan struct{})
	go Wait(done)
	<-done
}

func TestBroken(t *testing.T) { t.Error("always") }

func TestPanics(*testing.T) {
	if Min(2, 2) == 3 {
		panic("three")
	}
}
`,
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEachMutationGetsTheVerdictItDeserves(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and runs tests")
	}
	root := tiny(t)
	before, err := os.ReadFile(filepath.Join(root, "p", "p.go"))
	if err != nil {
		t.Fatal(err)
	}
	turned := one("a < b", "a > b")
	three := one("	return b\n", "	return 3\n")
	for _, tc := range []struct {
		name  string
		edits []edit
		tests []string
		hangs bool

		want verdict
		by   string // the test, when caught
		says string // in what is printed
	}{
		{name: "caught", edits: turned, tests: []string{"TestMin"}, want: caught, by: "TestMin/lower"},
		{name: "caught-by-the-second-check", edits: turned, tests: []string{"TestNothing", "TestMin"}, want: caught, by: "TestMin/lower"},
		{name: "caught-by-a-panic", edits: three, tests: []string{"TestPanics"}, want: caught, by: "TestPanics"},
		{name: "survives", edits: turned, tests: []string{"TestNothing"}, want: survived},
		{name: "does-not-compile", edits: one("a < b", "a < nobody"), tests: []string{"TestMin"}, want: broken, says: "do not compile"},
		{name: "not-there", edits: one("a <= b", "a > b"), tests: []string{"TestMin"}, want: broken, says: "0 times, not once"},
		{name: "there-twice", edits: one("return", "return 1 +"), tests: []string{"TestMin"}, want: broken, says: "2 times, not once"},
		{name: "the-same", edits: one("a < b", "a < b"), tests: []string{"TestMin"}, want: broken, says: "changes nothing"},
		{name: "no-such-test", edits: turned, tests: []string{"TestRenamed"}, want: broken, says: "no test matches"},
		{name: "fails-anyway", edits: turned, tests: []string{"TestBroken"}, want: broken, says: "without the mutation"},
		{name: "out-of-time", edits: one("	close(done)\n", ""), tests: []string{"TestWait"}, want: broken, says: "ran out of time"},
		{name: "hangs-as-it-should", edits: one("	close(done)\n", ""), tests: []string{"TestWait"}, hangs: true, want: caught, by: "TestWait", says: "by hanging"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := mutation{name: tc.name, rule: "A rule.", ids: "G1", file: "p/p.go", edits: tc.edits, hangs: tc.hangs}
			for _, test := range tc.tests {
				m.checks = append(m.checks, in("p", test))
			}
			s := &suite{root: root, temp: t.TempDir(), limit: 2 * time.Second, workers: 1}
			var out bytes.Buffer
			got := s.run(t.Context(), []mutation{m}, func(r result) { r.print(&out, false) })[0]
			code := summary(&out, []result{got}, 0, false)
			if got.verdict != tc.want || got.test != tc.by || !strings.Contains(out.String(), tc.says) {
				t.Errorf("%s by %q, want %s by %q and %q in\n%s", got.verdict, got.test, tc.want, tc.by, tc.says, out.String())
			}
			if (code == 0) != (tc.want == caught) {
				t.Errorf("exit code %d for %s", code, got.verdict)
			}
			if left, err := os.ReadDir(s.temp); err != nil || len(left) > 1 { // the baseline's binary
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Cleanup(func() {
		after, err := os.ReadFile(filepath.Join(root, "p", "p.go"))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("the tree was touched: %v\n%s", err, after)
		}
	})
}

func TestAShardIsTheSameForACommitAndTogetherTheyAreAll(t *testing.T) {
	t.Parallel()
	root, err := module(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	all := those(mutations(), false)
	n := map[string]int{}
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		ms, _, err := pick(t.Context(), root, all, "", shard)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			n[m.name]++
		}
	}
	for _, m := range all {
		if n[m.name] != 1 {
			t.Errorf("%s is in %d of the three parts", m.name, n[m.name])
		}
	}
	for _, bad := range []string{"0/3", "4/3", "1", "1/0", "x/3", "commit/", "/"} {
		if _, _, err := pick(t.Context(), root, all, "", bad); err == nil {
			t.Errorf("shard %q is taken", bad)
		}
	}
}

// What a commit selects must not depend on the mutations of the engines.
func TestMutationsOfTheEnginesAreSelectedByThemselves(t *testing.T) {
	t.Parallel()
	m := func(name, engine string) mutation {
		return mutation{name: name, rule: "A rule.", ids: "G1", engine: engine, edits: one("a", "b"), checks: []check{in("p", "TestA")}}
	}
	all := []mutation{m("a", ""), m("b", "mariadb"), m("c", ""), m("d", "postgres"), m("e", "")}
	for args, want := range map[string]string{
		"-list": "a c e", "-list -engines": "b d", "-list -run [abd]": "a", "-list -run [abd] -engines": "b d",
		"-list -shard 1/2": "a e", "-list -shard 2/2": "c", "-list -shard 2/2 -engines": "d",
	} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), strings.Fields(args), all, &out, &errs); code != 0 {
			t.Fatalf("%s: exit code %d, said %q", args, code, errs.String())
		}
		got := strings.Join(regexp.MustCompile(`(?m)^[a-e]\b`).FindAllString(out.String(), -1), " ")
		if got != want {
			t.Errorf("%s: selects %q, want %q", args, got, want)
		}
	}
	var none, some int
	for i, m := range mutations() {
		dir, _ := moduleOf(".", m.file)
		switch {
		case m.engine == "" && some > 0:
			t.Errorf("%s comes after those of the engines, at %d", m.name, i)
		case m.engine == "":
			none++
		default:
			some++
		}
		if (m.engine != "") != strings.HasPrefix(m.file, "reparent/mariadbnode/") && (m.engine != "") != strings.HasPrefix(m.file, "reparent/pgnode/") {
			t.Errorf("%s: engine %q of %s in %s", m.name, m.engine, m.file, dir)
		}
	}
	if none < 40 || some < 20 {
		t.Errorf("%d mutations without engines and %d with, want 40 and 20 or more", none, some)
	}
}

func TestAPackageIsCompiledInTheModuleThatItIsIn(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"a/b/c", "a/bb"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{".", "a/b"} {
		if err := os.WriteFile(filepath.Join(root, dir, "go.mod"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pkg, want := range map[string][2]string{
		"a": {".", "a"}, "a/b": {"a/b", ""}, "a/b/c": {"a/b", "c"}, "a/bb": {".", "a/bb"}, ".": {".", "."},
	} {
		dir, rest := moduleOf(root, pkg)
		if dir != filepath.Join(root, want[0]) || rest != want[1] {
			t.Errorf("%s: %s in %s, want %q", pkg, rest, dir, want)
		}
	}
}

// A test that is skipped notices nothing, and must not be taken for one that passes.
func TestATestWithoutItsServerIsAnError(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and runs tests")
	}
	root := tiny(t)
	for name, text := range map[string]string{
		"go.mod": "module nested\n\ngo 1.25\n",
		"p.go":   "package p\n\nfunc Two() int { return 2 }\n",
		"p_test.go": `package p

import (
	"os"
	"testing"
)

func TestNeeds(t *testing.T) {
	if os.Getenv("TENURE_REQUIRE_ENGINES") == "mariadb" {
		t.Fatal("there is no server")
	}
	t.Skip("there is no server")
}

func TestTwo(t *testing.T) {
	if Two() != 2 {
		t.Error("not two")
	}
}
`,
	} {
		if err := os.MkdirAll(filepath.Join(root, "p", "n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "p", "n", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for test, want := range map[string]verdict{"TestNeeds": broken, "TestTwo": caught} {
		s := &suite{root: root, temp: t.TempDir(), limit: 10 * time.Second, workers: 1}
		m := mutation{name: "three", rule: "A rule.", ids: "G1", engine: "mariadb", file: "p/n/p.go", edits: one("return 2", "return 3"), checks: []check{in("p/n", test)}}
		if got := s.run(t.Context(), []mutation{m}, func(result) {})[0]; got.verdict != want {
			t.Errorf("%s: %s, want %s: %v\n%s", test, got.verdict, want, got.err, got.output)
		}
	}
}

func TestBadListsAndArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	good := mutation{name: "a", rule: "A rule.", edits: one("a", "b"), checks: []check{in("p", "TestA")}}
	for what, ms := range map[string][]mutation{
		"two of one name": {good, good},
		"no name":         {{rule: "A rule.", edits: good.edits, checks: good.checks}},
		"no rule":         {{name: "a", edits: good.edits, checks: good.checks}},
		"no edit":         {{name: "a", rule: "A rule.", checks: good.checks}},
		"no check":        {{name: "a", rule: "A rule.", edits: good.edits}},
		"no such engine":  {{name: "a", rule: "A rule.", engine: "sqlite", edits: good.edits, checks: good.checks}},
	} {
		if _, _, err := pick(t.Context(), ".", ms, "", ""); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	for _, args := range [][]string{{"-run", "("}, {"-run", "no-such"}, {"-workers", "3"}, {"-workers", "0"}, {"-timeout", "0s"}, {"-budget", "-1s"}, {"extra"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, []mutation{good}, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, said %q", args, code, errs.String())
		}
	}
}

// What is killed takes what it started along, and is not counted as caught.
func TestAnInterruptEndsEverythingAndCatchesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and runs tests")
	}
	m := mutation{name: "hangs", rule: "A rule.", ids: "G1", file: "p/p.go", edits: one("	close(done)\n", ""), checks: []check{in("p", "TestWait")}, hangs: true}
	s := &suite{root: tiny(t), temp: t.TempDir(), limit: time.Hour, workers: 2}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for range look.C { // until the tests run
			if found, _ := filepath.Glob(filepath.Join(s.temp, "m0", "tmp-*")); len(found) > 0 || t.Context().Err() != nil {
				return
			}
		}
	}()
	rs := s.run(ctx, []mutation{m, m, m}, func(result) {})
	for i, r := range rs {
		if r.verdict != notRun {
			t.Errorf("%d: %s", i, r.verdict)
		}
	}
	if code := summary(&bytes.Buffer{}, rs, 0, true); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(s.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
