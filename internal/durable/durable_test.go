package durable_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenure-go/tenure/internal/durable"
)

func TestReplaceLeavesTheNewContentAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	for _, want := range []string{"one", "two, longer", ""} {
		if maybe, err := durable.Replace(path, []byte(want)); err != nil || maybe {
			t.Fatalf("maybe %v, %v", maybe, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%v are left, %v", files, err)
	}
}

func TestReplaceThatCannotWriteLeavesTheOldContentAndSaysSo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "record")
	maybe, err := durable.Replace(path, []byte("x"))
	if err == nil || maybe {
		t.Errorf("maybe %v, %v", maybe, err)
	}
	// A name that is a directory: the content is there, the rename fails.
	taken := filepath.Join(t.TempDir(), "record")
	if err := os.MkdirAll(filepath.Join(taken, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	if maybe, err := durable.Replace(taken, []byte("x")); err == nil || !maybe {
		t.Errorf("maybe %v, %v", maybe, err)
	}
}

func TestUnframeTakesOnlyWhatFrameMade(t *testing.T) {
	t.Parallel()
	b := durable.Frame("magic-1 ", []byte("the body\n"))
	if body, err := durable.Unframe("magic-1 ", b); err != nil || string(body) != "the body\n" {
		t.Fatalf("%q, %v", body, err)
	}
	if _, err := durable.Unframe("magic-2 ", b); err == nil {
		t.Error("another magic")
	}
	for i := range b {
		if _, err := durable.Unframe("magic-1 ", b[:i]); err == nil {
			t.Errorf("torn at %d", i)
		}
		flipped := bytes.Clone(b)
		flipped[i] ^= 1
		if _, err := durable.Unframe("magic-1 ", flipped); err == nil {
			t.Errorf("flipped at %d", i)
		}
	}
}

// FuzzUnframe: what is taken out of a frame are the very bytes that were put in.
func FuzzUnframe(f *testing.F) {
	f.Add([]byte("the body\n"))
	f.Add(durable.Frame("magic-1 ", []byte("the body\n")))
	f.Add([]byte("magic-1 00000000\n"))
	f.Add([]byte("magic-1 FFFFFFFF\n"))
	f.Add([]byte("\xff\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if body, err := durable.Unframe("magic-1 ", b); err == nil && !bytes.Equal(durable.Frame("magic-1 ", body), b) {
			t.Fatalf("%q is taken for a frame of %q", b, body)
		}
		framed := durable.Frame("magic-1 ", b)
		if body, err := durable.Unframe("magic-1 ", framed); err != nil || !bytes.Equal(body, b) {
			t.Fatalf("%q comes back as %q, %v", b, body, err)
		}
	})
}
