package leadership

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
)

// filePoll is how often a waiter looks at a file, and a writer at a lock that
// another process holds.
const filePoll = 2 * time.Millisecond

// sharedFile is one file of framed JSON that the processes of a machine share:
// what FileRegistry and FileBarrier have in common.
type sharedFile struct {
	path   string
	closed atomic.Bool
	doubt  durable.Doubt // of a replace whose outcome is unknown
}

// locate sets the path, whose directory must exist.
func (f *sharedFile) locate(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if st, err := os.Stat(filepath.Dir(abs)); err != nil {
		return err
	} else if !st.IsDir() {
		return &fs.PathError{Op: "open", Path: filepath.Dir(abs), Err: errors.New("not a directory")}
	}
	f.path = abs
	return nil
}

func (f *sharedFile) usable(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.path == "" || f.closed.Load() { // a zero one would be a file of no name here
		return ErrClosed
	}
	return nil
}

// settled returns nil once what a replace may have put in the file survives a power
// cut: what is read after that may be taken for written.
func (f *sharedFile) settled() error { return f.doubt.Settle(filepath.Dir(f.path)) }

// lock takes the lock of the file, or returns the cause of ctx.
func (f *sharedFile) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(f.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		ok, err := durable.TryLock(file)
		if err != nil {
			_ = file.Close()
			return nil, err
		}
		if ok {
			// Closing the file gives the lock back, also when we die.
			return func() { _ = file.Close() }, nil
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// corrupt says that the file cannot be trusted, and why.
func (f *sharedFile) corrupt(why error) error {
	return &CorruptError{Path: f.path, Reason: why.Error()}
}

// replace puts b in the file. The caller holds the lock.
func (f *sharedFile) replace(b []byte) error {
	maybe, err := durable.Replace(f.path, b)
	if maybe {
		f.doubt.Raise()
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// encodeFile frames v as JSON that a person can read.
func encodeFile(magic string, v any) ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return durable.Frame(magic, append(body, '\n')), nil
}

// decodeFile takes only the exact bytes that encodeFile makes of what it puts
// into v.
func decodeFile(magic string, b []byte, v any) error {
	body, err := durable.Unframe(magic, b)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return err
	}
	if again, err := encodeFile(magic, v); err != nil || !bytes.Equal(again, b) {
		return errors.New("it is not in canonical form")
	}
	return nil
}
