package acceptor_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"testing"

	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
)

// killAfter is how many moments of a child's life are tried.
const killAfter = 12

// childEnv holds the directory and the record of a child that saves.
const childEnv = "TENURE_ACCEPTOR_CHILD"

type childJob struct {
	Dir   string
	State acceptor.State
}

func TestTheFileStoreConforms(t *testing.T) {
	t.Parallel()
	leadershiptest.Store(t, func(t *testing.T) leadershiptest.Disk {
		dir := t.TempDir()
		return leadershiptest.Disk{
			Open: func() (acceptor.Store, error) { return acceptor.OpenFile(dir) },
			Crash: func(n int, s acceptor.State) bool {
				if n == killAfter {
					must(t, openFile(t, dir).Save(context.Background(), s))
					return false
				}
				killWhileSaving(t, n, childJob{dir, s})
				return true
			},
			Corrupt:    func(n int) bool { return damage(t, openFile(t, dir).Path(), n) },
			Concurrent: true,
		}
	})
}

// killWhileSaving kills a process that saves one record in a loop, when it has
// begun its n-th Save.
func killWhileSaving(t *testing.T, n int, job childJob) {
	text, err := json.Marshal(job)
	must(t, err)
	child := exec.Command(os.Args[0], "-test.run=^TestChildThatSaves$")
	child.Env = append(os.Environ(), childEnv+"="+string(text))
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewScanner(out)
	for range n + 1 {
		if !lines.Scan() {
			t.Errorf("the child ended by itself: %v", lines.Err())
			break
		}
	}
	_ = child.Process.Kill()
	_ = child.Wait() // it says that it was killed
}

// TestChildThatSaves is the process that killWhileSaving kills. It does nothing
// in an ordinary run.
func TestChildThatSaves(t *testing.T) {
	text, ok := os.LookupEnv(childEnv)
	if !ok {
		t.Skip("only for killWhileSaving")
	}
	var job childJob
	must(t, json.Unmarshal([]byte(text), &job))
	s := openFile(t, job.Dir)
	for {
		fmt.Println("saving")
		must(t, s.Save(context.Background(), job.State))
	}
}

// damage damages the record's file in the n-th way.
func damage(t *testing.T, path string, n int) bool {
	good, err := os.ReadFile(path)
	must(t, err)
	head, body, ok := bytes.Cut(good, []byte("\n"))
	if !ok {
		t.Fatalf("%q", good)
	}
	// What somebody wrote who knows how the checksum is made.
	sealed := func(magic string, body []byte) []byte {
		return append(fmt.Appendf(nil, "%s%08x\n", magic, crc32.ChecksumIEEE(body)), body...)
	}
	magic := string(head[:len(head)-8])
	ways := [][]byte{
		sealed("tenure-acceptor-2 ", body),
		sealed(magic, bytes.Replace(body, []byte("{"), []byte(`{ "unknown": 1,`), 1)),
		sealed(magic, bytes.Replace(body, []byte(`"node"`), []byte(`"Node"`), 1)),
		sealed(magic, bytes.Replace(body, []byte(`"promised"`), []byte(`"node": "n1", "promised"`), 1)),
		sealed(magic, append(bytes.Clone(body), body...)),
		sealed(magic, []byte("{}\n")),
		sealed(magic, nil),
		append(bytes.Clone(good), good...),
		make([]byte, len(good)),
	}
	// Every byte and bit is the business of TestADamagedFileIsNeverARecord.
	for i := 0; i < len(good); i += 9 {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		ways = append(ways, good[:i], flipped)
	}
	if n >= len(ways) {
		return false
	}
	must(t, os.WriteFile(path, ways[n], 0o600))
	return true
}

// The store that the tests of this package use keeps to the contract too, while
// no fault is injected.
func TestTheStoreOfTheseTestsConforms(t *testing.T) {
	t.Parallel()
	leadershiptest.Store(t, func(*testing.T) leadershiptest.Disk {
		s := &memStore{}
		return leadershiptest.Disk{
			Open:       func() (acceptor.Store, error) { return s, nil },
			Concurrent: true,
		}
	})
}
