package leadership

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
)

// FileRegistry is a Registry in one file, shared by the processes of one
// machine (the file system must honour flock; NFS does not always). A write
// holds a lock on FILE.lock, writes a temporary file, fsyncs it, renames it
// over FILE and fsyncs the directory; so a reader without the lock sees the
// old record or the new one, and a crash leaves one of the two. Who opens it, and
// who reads after a write of unknown outcome, fsyncs the directory first: the new
// record is not taken for written while a power cut may bring the old one back.
//
// It is safe for concurrent use. The zero FileRegistry is closed.
type FileRegistry struct{ sharedFile }

// fileMagic begins the file; the checksum of the rest follows it.
const fileMagic = "tenure-registry-1 "

// OpenFileRegistry returns the registry in the file at path. The directory
// must exist; the file need not. It returns a *CorruptError when the file is
// there and cannot be trusted.
func OpenFileRegistry(path string) (*FileRegistry, error) {
	f := &FileRegistry{}
	if err := f.locate(path); err != nil {
		return nil, err
	}
	// A process may have died between the rename and the fsync.
	if err := durable.SyncDir(filepath.Dir(f.path)); err != nil {
		return nil, fmt.Errorf("leadership: fsync of the registry's directory: %w", err)
	}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Load implements Registry. It returns a *CorruptError for a file that cannot
// be trusted.
func (f *FileRegistry) Load(ctx context.Context) (Record, error) {
	if err := f.usable(ctx); err != nil {
		return Record{}, err
	}
	if err := f.settled(); err != nil {
		return Record{}, err
	}
	return f.read()
}

// Swap implements Registry. Waiting for the lock ends with ctx, nothing
// written. A failure at or after the rename is an ErrUnknownOutcome.
func (f *FileRegistry) Swap(ctx context.Context, base uint64, next Record) (Record, error) {
	if err := f.usable(ctx); err != nil {
		return Record{}, err
	}
	if err := next.Validate(); err != nil {
		return Record{}, err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return Record{}, err
	}
	defer unlock()
	cur, err := f.read()
	if err != nil {
		return Record{}, err
	}
	if cur.Version != base {
		return Record{}, &ConflictError{Base: base, Current: cur.Version}
	}
	next = next.clone()
	next.Version = base + 1
	if err := f.write(next); err != nil {
		return Record{}, err
	}
	return next, nil
}

// Wait implements Registry by looking at the file every 2 ms.
func (f *FileRegistry) Wait(ctx context.Context, after uint64) (Record, error) {
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	var last []byte
	for {
		if err := f.usable(ctx); err != nil {
			return Record{}, err
		}
		if err := f.settled(); err != nil {
			return Record{}, err
		}
		// The bytes are compared, not inode and times: the file system may
		// give two renames within one clock tick the same of both.
		b, err := os.ReadFile(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Record{}, err
		}
		if err == nil && (last == nil || !bytes.Equal(b, last)) {
			r, err := f.decode(b)
			if err != nil {
				return Record{}, err
			}
			if r.Version > after {
				return r, nil
			}
			last = b
		}
		select {
		case <-ctx.Done():
			return Record{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Close makes all later calls, and a Wait under way, return ErrClosed.
func (f *FileRegistry) Close() error {
	f.closed.Store(true)
	return nil
}

func (f *FileRegistry) read() (Record, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, err
	}
	return f.decode(b)
}

func (f *FileRegistry) decode(b []byte) (Record, error) {
	r, err := decodeRecord(b)
	if err != nil {
		return Record{}, f.corrupt(err)
	}
	return r, nil
}

// encodeRecord refuses what would not be read back as it is: it must not take
// the place of a record that is.
func encodeRecord(r Record) ([]byte, error) {
	b, err := encodeFile(fileMagic, r)
	if err != nil {
		return nil, err
	}
	// A term that is not valid has no readable text, and JSON replaces what is
	// not UTF-8.
	if _, err := decodeRecord(b); err != nil {
		return nil, &TransitionError{Step: "store this record", Reason: "it would not be read back as it is: " + err.Error()}
	}
	return b, nil
}

// decodeRecord takes only the exact bytes that encodeRecord makes of the Record
// it returns.
func decodeRecord(b []byte) (Record, error) {
	var r Record
	if err := decodeFile(fileMagic, b, &r); err != nil {
		return Record{}, err
	}
	if r.Version == 0 {
		return Record{}, errors.New("its version is zero")
	}
	if err := r.Validate(); err != nil {
		return Record{}, err
	}
	return r, nil
}

func (f *FileRegistry) write(r Record) error {
	b, err := encodeRecord(r)
	if err != nil {
		return err
	}
	return f.replace(b)
}
