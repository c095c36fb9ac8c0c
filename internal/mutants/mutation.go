package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A mutation takes one rule out of the code.
type mutation struct {
	name string // short, unique, as a -run pattern selects it
	rule string // the rule that is taken out, in a sentence
	ids  string // the guarantees it stands behind, "G2 G4"

	// engine is the server that its tests start, "mariadb" or "postgres", and
	// "" for those that need none.
	engine string

	file  string // relative to the root of the module, with slashes
	edits []edit

	// checks run in turn until one fails: the one that notices fastest first.
	checks []check

	// hangs is for a rule without which something waits for ever. A check that
	// runs out of time counts as a catch only then.
	hangs bool
}

// An edit replaces old, which the file must have exactly once, so that a
// refactoring which moves the code is noticed instead of leaving a mutation
// that changes nothing.
type edit struct{ old, new string }

// A check is some tests of one package.
type check struct {
	pkg string   // relative to the root of the module, also when in a nested one
	run string   // the pattern of -run
	env []string // added to the environment

	tests []string // patterns of which each must match a test that there is
}

// in names tests of a package.
func in(pkg string, tests ...string) check {
	return check{pkg: pkg, run: "^(" + strings.Join(tests, "|") + ")$", tests: tests}
}

// required is the variable by which a test that finds no server fails. One that is
// skipped would notice nothing, and say so of no mutation.
const required = "TENURE_REQUIRE_ENGINES"

// on is the check with the server that it needs.
func (c check) on(engine string) check {
	if engine != "" {
		c.env = append(slices.Clone(c.env), required+"="+engine)
	}
	return c
}

// apply writes the mutated file into dir, and beside it the overlay by which
// the go command takes it in place of the file of the tree, which is not
// touched.
func (m mutation) apply(root, dir string) (overlay string, err error) {
	path := filepath.Join(root, filepath.FromSlash(m.file))
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text, err := m.mutate(string(b))
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(mutated, []byte(text), 0o600); err != nil {
		return "", err
	}
	b, err = json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

func (m mutation) mutate(text string) (string, error) {
	for i, e := range m.edits {
		switch n := strings.Count(text, e.old); {
		case n != 1:
			return "", fmt.Errorf("edit %d of %d: %s has %d times, not once: %q", i+1, len(m.edits), m.file, n, e.old)
		case e.old == e.new:
			return "", fmt.Errorf("edit %d of %d changes nothing", i+1, len(m.edits))
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, nil
}

// valid reports what a mutation lacks, without looking at the tree.
func (m mutation) valid() error {
	switch {
	case m.name == "" || strings.Trim(m.name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return fmt.Errorf("mutation %q: its name must match [a-z0-9-]+", m.name)
	case m.rule == "" || !strings.HasSuffix(m.rule, "."):
		return fmt.Errorf("mutation %s: its rule is a sentence", m.name)
	case len(m.edits) == 0:
		return fmt.Errorf("mutation %s changes nothing", m.name)
	case len(m.checks) == 0:
		return fmt.Errorf("mutation %s: no test is named that could notice it", m.name)
	case m.engine != "" && m.engine != "mariadb" && m.engine != "postgres":
		return fmt.Errorf("mutation %s: there is no engine %q", m.name, m.engine)
	}
	return nil
}
