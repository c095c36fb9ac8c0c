package kv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// The files of a member's directory, beside the acceptor's record.
const (
	fileLog         = "log"
	fileIncarnation = "incarnation"
	fileLock        = "lock"
	// fileCreating is there while a new member's files are being made. A
	// member has not spoken to anybody before it is gone.
	fileCreating = "creating"
)

// storage is what a member keeps on disk.
type storage struct {
	lock *os.File
	log  *replog.Log
	acc  *acceptor.Acceptor
}

// openStorage opens the directory of a member, or makes that of a new one when
// it is empty and create is set.
func openStorage(ctx context.Context, dir string, id leadership.NodeID, create bool) (s storage, torn int64, err error) {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return s, 0, err
		}
	}
	if s.lock, err = lockDir(dir); err != nil {
		return s, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	store, err := acceptor.OpenFile(dir)
	if err != nil {
		return s, 0, err
	}
	files := []string{filepath.Join(dir, fileLog), filepath.Join(dir, fileIncarnation), store.Path()}
	half, err := exists(filepath.Join(dir, fileCreating))
	if err != nil {
		return s, 0, err
	}
	var there []string
	for _, f := range files {
		ok, err := exists(f)
		if err != nil {
			return s, 0, err
		}
		if ok {
			there = append(there, filepath.Base(f))
		}
	}
	switch {
	case half || len(there) == 0:
		if !create {
			return s, 0, &StorageError{dir, "holds no member, and making one was not asked for"}
		}
		if err := makeMember(ctx, dir, id, store, files); err != nil {
			return s, 0, err
		}
	case len(there) < len(files):
		return s, 0, &StorageError{dir, "holds only a part of a member: " + strings.Join(there, ", ")}
	}
	b, err := os.ReadFile(filepath.Join(dir, fileIncarnation))
	if err != nil {
		return s, 0, err
	}
	if s.log, torn, err = replog.Open(filepath.Join(dir, fileLog)); err != nil {
		return s, 0, err
	}
	// An entry that was accepted binds to its term, also when the crash came
	// before the record was written.
	opts := acceptor.Options{LogTerm: s.log.Last().Term}
	s.acc, err = acceptor.Open(ctx, store, id, string(b), opts)
	return s, torn, err
}

// makeMember makes the files of a new member. A crash anywhere leaves
// fileCreating behind, and the next call starts over.
func makeMember(ctx context.Context, dir string, id leadership.NodeID, store acceptor.Store, files []string) error {
	creating := filepath.Join(dir, fileCreating)
	if err := writeFile(creating, nil); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	b := make([]byte, 8)
	rand.Read(b)
	incarnation := hex.EncodeToString(b)
	if err := writeFile(filepath.Join(dir, fileIncarnation), []byte(incarnation)); err != nil {
		return err
	}
	if err := replog.Create(filepath.Join(dir, fileLog)); err != nil {
		return err
	}
	if _, err := acceptor.Create(ctx, store, id, incarnation); err != nil {
		return err
	}
	if err := os.Remove(creating); err != nil {
		return err
	}
	return replog.SyncDir(dir)
}

func writeFile(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return replog.SyncDir(filepath.Dir(path))
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s storage) close() error {
	var err error
	if s.log != nil {
		err = s.log.Close()
	}
	// Last: the lock says that nobody else writes the files.
	return errors.Join(err, s.lock.Close())
}
