package leadership_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
	. "github.com/tenure-go/tenure/leadership"
)

// A checksum only tells that a file is as it was written: what was written by
// somebody else's hand, or by another version, must be a record too.
func TestAWholeFileThatIsNoRecordIsCorrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, magic, old, with, reason string
		open                           func(path string) error
		make                           func(t *testing.T, path string)
	}{
		{"a version of zero", "tenure-registry-1 ", `"version": 1,`, `"version": 0,`, "version is zero", openRegistry, writeRegistry},
		{"a mode of later", "tenure-registry-1 ", `"mode": "full"`, `"mode": "half"`, "unknown mode", openRegistry, writeRegistry},
		{"a field of later", "tenure-registry-1 ", `"version": 1,`, `"version": 1, "later": 1,`, "", openRegistry, writeRegistry},
		{"a lease of no length", "tenure-barrier-1 ", `"ttl": 500000000`, `"ttl": 0`, "TTL", openBarrier, writeBarrier},
		{"a renewal of later", "tenure-barrier-1 ", `"renewed": 1`, `"renewed": 7`, "renewed 7 times of 2", openBarrier, writeBarrier},
		{"routers out of order", "tenure-barrier-1 ", `"router": "a"`, `"router": "c"`, "out of order", openBarrier, writeBarrier},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			c.make(t, path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := durable.Unframe(c.magic, b)
			if err != nil || !strings.Contains(string(body), c.old) {
				t.Fatalf("%v: %s", err, body)
			}
			b = durable.Frame(c.magic, []byte(strings.Replace(string(body), c.old, c.with, 1)))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if e := wantAs[*CorruptError](t, c.open(path)); e.Path != path || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("got %v", e)
			}
		})
	}
}

func openRegistry(path string) error { _, err := OpenFileRegistry(path); return err }
func openBarrier(path string) error  { _, err := OpenFileBarrier(path); return err }

func writeRegistry(t *testing.T, path string) {
	reg, err := OpenFileRegistry(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Swap(t.Context(), 0, must(Record{}.Create("c", Full, ruleset(t, 1, Majority(), ids(3)...)))); err != nil {
		t.Fatal(err)
	}
}

func writeBarrier(t *testing.T, path string) {
	b, err := OpenFileBarrier(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{"a", "b"} {
		if _, err := b.Join(t.Context(), processLease(r)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARecordThatWouldNotBeReadBackIsNotWritten(t *testing.T) {
	t.Parallel()
	path, reg := newFile(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := reg.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *Record){
		"a name that is not UTF-8": func(r *Record) { r.Cluster = "c\xff" },
		"an address of no text":    func(r *Record) { r.Addr = "\xff:1" },
	} {
		next := rec
		change(&next)
		_, err := reg.Swap(t.Context(), rec.Version, next)
		if e := wantAs[*TransitionError](t, err); !strings.Contains(e.Reason, "read back") {
			t.Errorf("%s: %v", name, e)
		}
		if !NotExecuted(err) {
			t.Errorf("%s: it was not executed: %v", name, err)
		}
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
}

// A call that cannot reach the files says so; nothing it was asked to do is
// taken for done.
func TestFilesThatWentAwayFailEveryCall(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	reg, err := OpenFileRegistry(filepath.Join(dir, "registry"))
	if err != nil {
		t.Fatal(err)
	}
	bar, err := OpenFileBarrier(filepath.Join(dir, "barrier"))
	if err != nil {
		t.Fatal(err)
	}
	rec := must(Record{}.Create("c", Full, ruleset(t, 1, Majority(), ids(3)...)))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Swap(t.Context(), 0, rec); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("swap without a directory: %v", err)
	}
	if _, err := bar.Join(t.Context(), processLease("a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("join without a directory: %v", err)
	}

	// A directory in the place of the file can be neither read nor replaced.
	for _, d := range []string{"registry", "barrier"} {
		if err := os.MkdirAll(filepath.Join(dir, d, "full"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, call := range map[string]func() error{
		"load": func() error { _, err := reg.Load(ctx); return err },
		"wait": func() error { _, err := reg.Wait(ctx, 0); return err },
		"swap": func() error { _, err := reg.Swap(ctx, 0, rec); return err },
		"open": func() error { return openRegistry(filepath.Join(dir, "registry")) },
		"join": func() error { _, err := bar.Join(ctx, processLease("a")); return err },
		"ack":  func() error { return bar.Ack(ctx, processLease("a"), term(1, "c")) },
		"call": func() error { _, err := bar.Wait(ctx, term(1, "c")); return err },
		"file": func() error { return openBarrier(filepath.Join(dir, "barrier")) },
	} {
		if err := call(); err == nil || ctx.Err() != nil {
			t.Errorf("%s of a directory: %v", name, err)
		}
	}
}

func TestWhoWaitsForAFileStopsWithItsContext(t *testing.T) {
	t.Parallel()
	path, reg := newFile(t)
	bar, err := OpenFileBarrier(path + ".barrier")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + ".barrier"} {
		lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if ok, err := durable.TryLock(lock); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	before, err := reg.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the caller went away")
	for name, call := range map[string]func(ctx context.Context) error{
		"swap": func(ctx context.Context) error { _, err := reg.Swap(ctx, before.Version, before); return err },
		"wait": func(ctx context.Context) error { _, err := reg.Wait(ctx, before.Version); return err },
		"join": func(ctx context.Context) error { _, err := bar.Join(ctx, processLease("a")); return err },
	} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, gone)
		if err := call(ctx); !errors.Is(err, gone) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if now, err := reg.Load(t.Context()); err != nil || !now.Equal(before) {
		t.Errorf("it became %+v, %v", now, err)
	}
}
