package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// template is a data directory that is made once and copied for each server.
type template struct {
	turn chan struct{} // held while it is made
	dir  string        // "" until it is made; guarded by turn
}

// template returns the directory for key, which make fills when it is the first.
// A failure is not remembered, so the next caller tries again.
func (h *Host) template(ctx context.Context, key, user string, fill func(dir string) error) (string, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return "", errClosed
	}
	t := h.templates[key]
	if t == nil {
		t = &template{turn: make(chan struct{}, 1)}
		h.templates[key] = t
	}
	h.mu.Unlock()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-t.turn }()
	if t.dir != "" {
		return t.dir, nil
	}
	_, dir, err := h.place("t", user)
	if err != nil {
		return "", err
	}
	if err := fill(dir); err != nil {
		return "", errors.Join(err, endAll(dir), os.RemoveAll(dir))
	}
	t.dir = dir
	return dir, nil
}

// copyTree copies a directory with the modes of its files, and gives it to the
// user. The destination must not exist.
func copyTree(from, to, user string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			err = os.Mkdir(dst, info.Mode().Perm())
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			if target, err = os.Readlink(path); err == nil {
				err = os.Symlink(target, dst)
			}
		case info.Mode().IsRegular():
			err = copyFile(path, dst, info.Mode().Perm())
		default:
			return nil // a socket of a server that ran here
		}
		if err != nil {
			return err
		}
		return own(dst, user)
	})
	if err != nil {
		return fmt.Errorf("engines: copy of %s: %w", from, err)
	}
	return nil
}

func copyFile(from, to string, perm fs.FileMode) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	_, err = io.Copy(dst, src)
	return err
}
