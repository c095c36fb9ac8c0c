package reparenttest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edits make a Go whose goroutines run in random order, as under the race
// detector, and give up the processor now and then wherever they meet: at a lock, at
// a channel, where one starts another. It finds a seed that does not repeat some
// thousand times sooner than the race detector does.
func edits() map[string][][2]string {
	return map[string][][2]string{
		"runtime/proc.go": {
			{"const randomizeScheduler = raceenabled", "const randomizeScheduler = true"},
			{"		if mainStarted {\n			wakep()\n		}\n	})\n}\n", `		if mainStarted {
			wakep()
		}
	})
	jolt()
}

//go:linkname sync_jolt sync.runtime_jolt
func sync_jolt() { jolt() }

func jolt() {
	gp := getg()
	if gp.bubble != nil && gp.m.curg == gp && gp.m.locks == 0 && cheaprandn(3) == 0 {
		Gosched()
	}
}
`},
		},
		"runtime/chan.go": {
			{"	chansend(c, elem, true, sys.GetCallerPC())\n", "	chansend(c, elem, true, sys.GetCallerPC())\n	jolt()\n"},
			{"		gp.schedlink = 0\n		goready(gp, 3)\n	}\n}\n", "		gp.schedlink = 0\n		goready(gp, 3)\n	}\n	jolt()\n}\n"},
		},
		"sync/mutex.go": {
			{"	m.mu.Lock()\n", "	runtime_jolt()\n	m.mu.Lock()\n"},
			{"	m.mu.Unlock()\n}\n", "	m.mu.Unlock()\n	runtime_jolt()\n}\n\nfunc runtime_jolt()\n"},
		},
	}
}

// random builds this test with that Go.
func random(t *testing.T) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for name, changes := range edits() {
		source := filepath.Join(strings.TrimSpace(string(root)), "src", filepath.FromSlash(name))
		b, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		code := string(b)
		for _, c := range changes {
			if strings.Count(code, c[0]) != 1 {
				t.Fatalf("%s has %q %d times", source, c[0], strings.Count(code, c[0]))
			}
			code = strings.Replace(code, c[0], c[1], 1)
		}
		replace[source] = filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(replace[source], []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/overlay.json", overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", dir+"/overlay.json", "-o", dir+"/random.test", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir + "/random.test"
}
