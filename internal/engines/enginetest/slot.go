package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const (
	slotsVar  = "TENURE_ENGINE_SLOTS"
	slotBound = 8 * time.Minute
)

// Slot waits until fewer than two other tests of this user hold a slot, in this
// process or another one, and takes one until the test ends. A test that has a
// slot gets no second one, so one that starts two kinds of servers cannot block
// itself. What starts servers calls it.
func Slot(t testing.TB) {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("tenure-engine-slots-%d", os.Geteuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n := 2
	if s := os.Getenv(slotsVar); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("%s=%q is not a positive number", slotsVar, s)
		}
	}
	holder := fmt.Sprintf("%d %s", os.Getpid(), t.Name())
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for i := range n {
			f, ok, err := tryLock(filepath.Join(dir, strconv.Itoa(i)), holder)
			switch {
			case err != nil:
				t.Fatal(err)
			case ok && f == nil:
				return // this test has it already
			case ok:
				t.Cleanup(func() { unlock(f) })
				return
			}
		}
		if time.Since(start) > slotBound {
			t.Fatalf("other tests have held all %d engine slots in %s for %v", n, dir, slotBound)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the test ended while it waited for an engine slot")
		}
	}
}
