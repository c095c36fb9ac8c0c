package board

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a Board in a directory of a local file system: a file for each watcher,
// replaced by a rename. It is for watchers on one machine, and not synced: what a
// power failure takes is written again a moment later, but for acts that were made
// in the last seconds.
type Dir struct{ path string }

const suffix = ".json"

// OpenDir makes the directory when it is not there; the one above it must be.
func OpenDir(path string) (*Dir, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return &Dir{path}, nil
}

// Put implements Board.
func (d *Dir) Put(ctx context.Context, p Post) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if p.Observer == "" || strings.ContainsAny(p.Observer, `/\.`) {
		return fmt.Errorf("board: %q cannot be the name of a watcher", p.Observer)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(d.path, p.Observer+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, p.Observer+suffix))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// All implements Board.
func (d *Dir) All(ctx context.Context) ([]Post, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(d.path, "*"+suffix))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		_, err := os.Stat(d.path) // Glob does not tell that the directory is gone
		return nil, err
	}
	var posts []Post
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var p Post
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, fmt.Errorf("board: %s: %w", f, err)
		}
		posts = append(posts, p)
	}
	return posts, nil
}

// Close implements Board.
func (d *Dir) Close() error { return nil }
