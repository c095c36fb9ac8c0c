// Package durable keeps one small record in a file, so that a crash at any
// moment leaves the old record or the new one, and damage is noticed; and has the
// lock that keeps a second process from it.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Frame returns body behind a line of magic and its checksum.
func Frame(magic string, body []byte) []byte {
	head := fmt.Sprintf("%s%08x\n", magic, crc32.ChecksumIEEE(body))
	return append([]byte(head), body...)
}

// Unframe is the inverse of Frame and refuses everything else. A CRC-32 may not
// notice that zero bytes are missing at the end or were put there, so callers
// check that the body ends as it should.
func Unframe(magic string, b []byte) ([]byte, error) {
	head, body, ok := bytes.Cut(b, []byte("\n"))
	sum, is := bytes.CutPrefix(head, []byte(magic))
	if !ok || !is {
		return nil, fmt.Errorf("it does not begin with %q", magic)
	}
	if string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) {
		return nil, errors.New("its checksum does not match: it is torn or was edited")
	}
	return body, nil
}

// Replace puts b in the place of the file at path, by way of path.tmp, and
// returns when that is durable. The new content is on disk before the name
// points to it, and the name before the caller hears of it. When it fails, maybe
// says whether the new content may be in place nevertheless. Callers must see to
// it that no two run at once on one path.
func Replace(path string, b []byte) (maybe bool, err error) {
	temp := path + ".tmp"
	if err := writeSync(temp, b); err != nil {
		return false, errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return true, fmt.Errorf("rename: %w", err)
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return true, fmt.Errorf("fsync of the directory: %w", err)
	}
	return false, nil
}

func writeSync(path string, b []byte) error {
	w, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	if err == nil {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

// SyncDir makes what was created, renamed or removed in dir survive a power
// cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
