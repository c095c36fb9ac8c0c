package pgnode

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tenure-go/tenure/internal/durable"
)

// LocalFiles are the files of this machine.
type LocalFiles struct{ _ struct{} }

var _ Files = LocalFiles{}

// Read implements Files.
func (LocalFiles) Read(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

// Write implements Files. Run by root, it gives the file to the owner of its
// directory.
func (LocalFiles) Write(_ context.Context, path string, content []byte) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // Debian links to files outside the data directory
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tenure-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = giveTo(f, dir)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// Remove implements Files.
func (LocalFiles) Remove(_ context.Context, path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	err := durable.SyncDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Rename implements Files.
func (LocalFiles) Rename(_ context.Context, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(filepath.Dir(to)), durable.SyncDir(filepath.Dir(from)))
}
