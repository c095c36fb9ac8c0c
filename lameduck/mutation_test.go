package lameduck_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/race"
)

// A mutation takes one rule out of the gate.
type mutation struct {
	name string
	in   string // the scenario that notices
	file string
	with []string // what is replaced, and by what, in turn
	add  string   // appended to the file
}

// The rules that make the gate's counting exact, each taken out alone. The
// enumeration of interleavings must notice every one: it runs against a build
// of this package in which the one file is replaced.
func TestTheEnumerationNoticesEachRuleThatIsTakenOut(t *testing.T) {
	t.Parallel()
	if testing.Short() || race.Enabled {
		t.Skip("builds the package anew for each mutation")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	for _, m := range []mutation{
		{
			name: "no re-check",
			in:   "two singles, one cell",
			file: "cell.go",
			with: []string{
				"		if c.word.CompareAndSwap(w, w+one) {\n			return w, true\n		}\n",
				"		c.word.Add(one)\n		return w, true\n",
			},
		},
		{
			name: "phase read before the decrement",
			in:   "single and idle unit",
			file: "cell.go",
			with: []string{
				"	if c.step != nil {\n		c.step(\"sub\", 0)\n	}\n	if w := c.word.Add(^(activeOne - 1)); w",
				"	early := c.word.Load() & phaseFlags\n	if c.step != nil {\n		c.step(\"sub\", early)\n	}\n	if w := c.word.Add(^(activeOne-1))&^phaseFlags | early; w",
			},
		},
		{
			name: "phase read before the decrement of a single",
			in:   "two singles, one cell",
			file: "token.go",
			with: []string{
				"		if w := c.word.Add(^(activeOne - 1)); w",
				"		early := c.word.Load() & phaseFlags\n		if c.step != nil {\n			c.step(\"sub\", early)\n		}\n		if w := c.word.Add(^(activeOne-1))&^phaseFlags | early; w",
			},
		},
		{
			name: "continuation in another cell",
			in:   "single and nested continuation",
			file: "token.go",
			with: []string{
				"	ref  ref\n}", "	ref  ref\n	in   *Cell\n}",
				"	c, s := t.s.cell, t.s\n	if st :=", "	c, s := other(t), t.s\n	if st :=",
				"return Token{s: s, ref: newRef(t.ref.gen(), t.ref.epoch(), continuation)}", "return Token{s: s, in: c, ref: newRef(t.ref.gen(), t.ref.epoch(), continuation)}",
				"			c.exitActive()\n		case st&slotOpen", "			t.in.exitActive()\n		case st&slotOpen",
			},
			add: `
func other(t *Token) *Cell {
	for _, o := range t.s.cell.gate.cells {
		if t.ref.kind() == continuation && o != t.s.cell {
			return o
		}
	}
	return t.s.cell
}
`,
		},
		{
			name: "continuation in a cell of the gate above",
			in:   "single and unit at a child, child drained",
			file: "token.go",
			with: []string{
				"	c, s := t.s.cell, t.s\n	if st :=", "	c, s := other(t.s.cell), t.s\n	if st :=",
				"			c.exitActive()\n		case st&slotOpen", "			other(c).exitActive()\n		case st&slotOpen",
			},
			add: `
func other(c *Cell) *Cell {
	if p := c.gate.parent; p != nil {
		return p.cells[0]
	}
	return c
}
`,
		},
	} {
		t.Run(m.name, func(t *testing.T) {
			out := m.run(t, tool)
			for _, line := range strings.Split(out, "\n") {
				for _, seen := range []string{"sleeps for ever", "drained while", "refused while"} {
					if strings.Contains(line, seen) {
						t.Log(strings.TrimSpace(line))
						return
					}
				}
			}
			t.Fatalf("not noticed:\n%s", out)
		})
	}
}

func (m mutation) run(t *testing.T, tool string) string {
	t.Helper()
	src, err := os.ReadFile(m.file)
	require.NoError(t, err)
	mutant := string(src)
	for i := 0; i < len(m.with); i += 2 {
		if strings.Count(mutant, m.with[i]) != 1 {
			t.Fatalf("%s has changed: the mutation no longer applies to\n%s", m.file, m.with[i])
		}
		mutant = strings.Replace(mutant, m.with[i], m.with[i+1], 1)
	}
	dir := t.TempDir()
	replaced, overlay := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(replaced, []byte(mutant+m.add), 0o600))
	here, err := filepath.Abs(m.file)
	require.NoError(t, err)
	spec, err := json.Marshal(map[string]map[string]string{"Replace": {here: replaced}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, spec, 0o600))
	cmd := exec.CommandContext(t.Context(), tool, "test", "-count=1", "-vet=off", "-timeout=2m",
		"-overlay", overlay, "-run", "^TestEveryInterleavingOfEntriesDrainAndResumeIsSafe$/^"+strings.ReplaceAll(m.in, " ", "_")+"$", ".")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "the mutant passed\n" + string(out)
	}
	return string(out)
}
