package acceptor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tenure-go/tenure/internal/durable"
	"github.com/tenure-go/tenure/leadership"
)

// fileName is the record's inside the directory.
const fileName = "acceptor"

// fileMagic begins the file; the checksum of the rest follows it.
const fileMagic = "tenure-acceptor-1 "

// FileStore is a Store in one file of a directory. Save writes a temporary
// file, fsyncs it, renames it over the record and fsyncs the directory, so that
// a crash leaves the old record or the new one. What is read back has been fsynced:
// OpenFile sees to that, and Load after a Save of unknown outcome. The directory
// belongs to one Acceptor of one process; its calls may come from any goroutine.
type FileStore struct {
	dir   string
	turn  chan struct{} // one call at a time, held across the disk write
	doubt durable.Doubt // of a Save whose outcome is unknown
}

// OpenFile returns the store in dir, which must exist. A directory without a
// record is fine: Load then says that there is none. It returns a
// *leadership.CorruptError that names the file when a record is there and
// cannot be trusted; the file is left as it is.
func OpenFile(dir string) (*FileStore, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(abs); err != nil {
		return nil, err
	} else if !st.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: abs, Err: errors.New("not a directory")}
	}
	// A process may have died between the rename and the fsync. A promise is not
	// reported while a power cut may take it back.
	if err := durable.SyncDir(abs); err != nil {
		return nil, fmt.Errorf("acceptor: fsync of the directory: %w", err)
	}
	f := &FileStore{dir: abs, turn: make(chan struct{}, 1)}
	_, _, err = f.read()
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Path returns the name of the record's file, "" for a store that OpenFile did not
// make.
func (f *FileStore) Path() string {
	if f == nil || f.dir == "" {
		return ""
	}
	return filepath.Join(f.dir, fileName)
}

// Load implements Store. It returns a *leadership.CorruptError for a record that
// cannot be trusted, and a *CanceledError when ctx ends while it waits for
// another call.
func (f *FileStore) Load(ctx context.Context) (State, bool, error) {
	if err := f.take(ctx); err != nil {
		return State{}, false, err
	}
	defer f.give()
	if err := f.doubt.Settle(f.dir); err != nil {
		return State{}, false, err
	}
	return f.read()
}

// Save implements Store. Waiting for another call ends with ctx, with a
// *CanceledError and nothing written; the write itself does not. A failure at or after the rename is a
// leadership.ErrUnknownOutcome, one before it left the old record.
func (f *FileStore) Save(ctx context.Context, s State) error {
	if err := s.Validate(); err != nil {
		return err
	}
	b, err := encode(s)
	if err != nil {
		return err
	}
	// What cannot be read back must not take the place of what can.
	if _, err := decode(b); err != nil {
		return err
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer f.give()
	return f.write(b)
}

func (f *FileStore) take(ctx context.Context) error {
	if f == nil || f.turn == nil {
		return &ArgumentError{"store", "OpenFile did not make it"}
	}
	if ctx.Err() != nil {
		return &CanceledError{context.Cause(ctx)}
	}
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &CanceledError{context.Cause(ctx)}
	}
}

func (f *FileStore) give() { <-f.turn }

func (f *FileStore) read() (State, bool, error) {
	b, err := os.ReadFile(f.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, false, nil
	}
	if err != nil {
		return State{}, false, err
	}
	s, err := decode(b)
	if err != nil {
		return State{}, false, &leadership.CorruptError{Path: f.Path(), Reason: err.Error()}
	}
	return s, true, nil
}

func (f *FileStore) write(b []byte) error {
	maybe, err := durable.Replace(f.Path(), b)
	if maybe {
		f.doubt.Raise()
		return fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	return err
}

func encode(s State) ([]byte, error) {
	body, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	return durable.Frame(fileMagic, body), nil
}

// decode takes only the exact bytes that encode makes of the State it returns.
func decode(b []byte) (State, error) {
	body, err := durable.Unframe(fileMagic, b)
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(body, &s); err != nil {
		return State{}, err
	}
	if err := s.Validate(); err != nil {
		return State{}, err
	}
	if again, err := encode(s); err != nil || !bytes.Equal(again, b) {
		return State{}, errors.New("it is not in canonical form")
	}
	return s, nil
}
