package leadership_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

const processTTL = 500 * time.Millisecond

func processLease(router string) RouterLease {
	return RouterLease{Router: RouterID(router), Session: "s", TTL: processTTL}
}

// routerProcess is the body of another process: it keeps the lease of router
// "child" until it is killed, and says each time that it has it.
func routerProcess(path string) int {
	b, err := OpenFileBarrier(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tick := time.NewTicker(processLease("child").Renew())
	defer tick.Stop()
	for {
		if _, err := b.Join(context.Background(), processLease("child")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("joined")
		<-tick.C
	}
}

func TestARouterOfAnotherProcessIsWaitedForAndForgottenWhenItIsKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "barrier")
	b, err := OpenFileBarrier(path)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), "LEADERSHIP_TEST_ROUTER="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for renewed := 0; renewed < 6; { // for longer than its TTL
		if !said.Scan() {
			t.Fatal("the other process ended early")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		rc, err := b.Wait(ctx, term(1, "c"))
		cancel()
		switch {
		case len(rc.Late) == 1 && rc.Late[0] == "child" && err != nil:
			renewed++
		case len(rc.Lapsed) == 0 && !errors.Is(err, context.DeadlineExceeded):
			// Else one of the two processes was stopped for too long.
			t.Fatalf("%+v, %v", rc, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	rc, err := b.Wait(t.Context(), term(1, "c"))
	if err != nil || len(rc.Lapsed) != 1 || rc.AllQuiet() {
		t.Errorf("%+v, %v", rc, err)
	}
}

// No clock is compared: a process that has just opened the file knows of no lease
// how old it is, and waits for it in full, however long ago its router died.
func TestAProcessThatHasJustOpenedABarrierTakesEveryLeaseForNew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "barrier")
	synctest.Test(t, func(t *testing.T) {
		open := func() *FileBarrier {
			b, err := OpenFileBarrier(path)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		first := open()
		if _, err := first.Join(t.Context(), processLease("a")); err != nil {
			t.Fatal(err)
		}
		wait := func(b *FileBarrier) time.Duration {
			start := time.Now()
			if rc, err := b.Wait(t.Context(), term(1, "c")); err != nil || len(rc.Late) > 0 {
				t.Fatalf("%+v, %v", rc, err)
			}
			return time.Since(start)
		}
		time.Sleep(time.Hour)
		if d := wait(first); d != 0 {
			t.Errorf("the process that gave the lease waits %s for it an hour later", d)
		}
		second := open()
		if d := wait(second); d != processTTL {
			t.Errorf("a process that never saw the lease waits %s, not %s", d, processTTL)
		}
		if d := wait(second); d != 0 {
			t.Errorf("the second time it waits %s", d)
		}
	})
}

func TestABarrierFileThatIsDamagedIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "barrier")
	b, err := OpenFileBarrier(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(t.Context(), processLease("a")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		bad := append([]byte{}, whole...)
		bad[i] ^= 0x40
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFileBarrier(path)
		wantAs[*CorruptError](t, err)
		_, err = b.Join(t.Context(), processLease("a"))
		wantAs[*CorruptError](t, err)
		_, err = b.Wait(t.Context(), term(1, "c"))
		wantAs[*CorruptError](t, err)
		if now, err := os.ReadFile(path); err != nil || string(now) != string(bad) {
			t.Fatalf("the file was changed: %v", err)
		}
	}
	if _, err := OpenFileBarrier(filepath.Join(path, "under a file")); err == nil {
		t.Error("opened under a file")
	}
	if _, err := OpenFileRegistry(path); err == nil {
		t.Error("a barrier was opened as a registry")
	}
}
