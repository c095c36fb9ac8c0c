package reparenttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// medley is one kind of random run.
type medley struct {
	h Harness
	f Features
}

// medleys are those of all tests of random runs.
func medleys() map[string]medley {
	all := map[string]medley{
		"calm": {calm(LogStore(), false), Features{}}, "calm, led": {calm(LogStore(), true), Features{}},
		"calm, mariadb": {calm(MariaDBLike(), false), Features{}}, "calm, postgres": {calm(PostgreSQLLike(), false), Features{}},
	}
	for name, h := range kinds() {
		all[name] = medley{h, Everything()}
	}
	for name, traits := range handOverTraits() {
		all["hand-over, "+name] = medley{handingOver(traits), Everything()}
	}
	return all
}

// digest is that of one run of a seed: its steps and their times, what
// coordinators and clients were told, and whether invariants were kept.
func (m medley) digest(t *testing.T, seed uint64) string {
	got := m.h.once(t, seed, stepsim.Seed(seed, stepsim.Swarm(seed)), m.f, &tally{}, false)
	end := "kept"
	if got.err != nil {
		end = violated(got.err)
	}
	return fmt.Sprintf("%016x %016x %d %s", got.hash, got.told, got.steps, end)
}

// digests has a line for each seed of each medley.
func digests(t *testing.T, first, n uint64) string {
	var b strings.Builder
	all := medleys()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for seed := first; seed < first+n; seed++ {
			fmt.Fprintln(&b, name, seed, all[name].digest(t, seed))
		}
	}
	return b.String()
}

// digestsEnv has a process print digests, for the test below: "first:n:file".
const digestsEnv = "TENURE_DIGESTS"

// A run is a function of its seed in every process: maps are ordered otherwise
// there, timers of one instant go off in another order, and goroutines of one step
// on another processor. TENURE_SEEDS is how many seeds of each medley are run.
func TestAnotherProcessGivesTheSameRuns(t *testing.T) {
	if spec := os.Getenv(digestsEnv); spec != "" {
		p := strings.SplitN(spec, ":", 3)
		first, _ := strconv.ParseUint(p[0], 10, 64)
		n, _ := strconv.ParseUint(p[1], 10, 64)
		if err := os.WriteFile(p[2], []byte(digests(t, first, n)), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	const first = 9_000_001
	n := uint64(12)
	if testing.Short() {
		n = 3
	}
	if more, err := strconv.ParseUint(os.Getenv("TENURE_SEEDS"), 10, 64); err == nil {
		n = more
	}
	binaries := []string{os.Args[0], os.Args[0]}
	if os.Getenv("TENURE_EXPLORE") != "" {
		binaries[1] = random(t)
	}
	var runs [][]byte
	for i, procs := range []int{1, 2} {
		file := t.TempDir() + "/digests"
		cmd := exec.CommandContext(t.Context(), binaries[i], "-test.run", "^"+t.Name()+"$", "-test.timeout=0")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d:%s", digestsEnv, first, n, file), fmt.Sprintf("GOMAXPROCS=%d", procs))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, got)
	}
	a, b := bytes.Split(runs[0], []byte("\n")), bytes.Split(runs[1], []byte("\n"))
	if want := len(medleys())*int(n) + 1; len(a) != want || len(b) != want {
		t.Fatalf("%d lines and %d, want %d", len(a), len(b), want)
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			t.Errorf("one process gave\n%s\nand another\n%s", a[i], b[i])
		}
	}
	t.Logf("%d seeds of each of %d medleys gave the same runs in two processes", n, len(medleys()))
}

// random builds this test with a scheduler of Go that lets goroutines run in random
// order, as under the race detector, and is as fast as ever: it finds a seed that
// does not repeat some hundred times sooner.
func random(t *testing.T) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "runtime", "proc.go")
	code, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const rule = "const randomizeScheduler = raceenabled"
	if !bytes.Contains(code, []byte(rule)) {
		t.Fatalf("%s has no line %q", source, rule)
	}
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: dir + "/proc.go"}})
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string][]byte{"proc.go": bytes.Replace(code, []byte(rule), []byte("const randomizeScheduler = true"), 1), "overlay.json": overlay} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", dir+"/overlay.json", "-o", dir+"/random.test", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir + "/random.test"
}

// These seeds gave two runs: when goroutines that one event woke raced for the
// log, when a client was woken in the middle of what its node was told, and when two
// requests of one router were to be tried again at one instant. The first two are
// rare, and half of the time under the race detector. Not parallel: it changes
// GOMAXPROCS.
func TestSeedsThatOnceGaveTwoRuns(t *testing.T) {
	runs := 10
	if testing.Short() {
		runs = 3
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	all := medleys()
	for _, c := range []struct {
		medley string
		seed   uint64
	}{
		{"hand-over, log", 9_100_395},
		{"hand-over, local reads", 9_100_398},
		{"hand-over, local reads", 9_101_721},
		{"hand-over, local reads", 9_103_352},
		{"hand-over, leased", 9_500_812},
		{"postgres", 9_500_812},
	} {
		want := all[c.medley].digest(t, c.seed)
		for i := range runs {
			runtime.GOMAXPROCS(1 + i%2)
			if got := all[c.medley].digest(t, c.seed); got != want {
				t.Fatalf("%s, seed %d, run %d: %s, want %s", c.medley, c.seed, i+1, got, want)
			}
		}
	}
}
