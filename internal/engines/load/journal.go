package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Outcome is what a writer knows of an attempt.
type Outcome string

// The outcomes.
const (
	Acked       Outcome = "acked"
	NotExecuted Outcome = "not executed" // proven
	Unknown     Outcome = "unknown"      // said to be, or the worker was killed
	Other       Outcome = "other"        // an error that says neither; it is checked as unknown
)

// line is one line of a worker's file.
type line struct {
	// What is "start", an Outcome, or "failed" for what ended the worker's part
	// in the barrier or the registry.
	What string `json:"what"`
	ID   int64  `json:"id,omitempty"`
	// Wall is the time since the epoch of Unix. Mono is the time since the
	// worker began, by the monotonic clock.
	Wall  int64         `json:"wall"`
	Mono  time.Duration `json:"mono"`
	Class string        `json:"class,omitempty"`
	Err   string        `json:"err,omitempty"`
}

const (
	whatStart  = "start"
	whatFailed = "failed"
	errLength  = 2000
)

// journal is a worker's file. Every line is one write to a file that is open
// for appending, so that a worker which is killed loses none and halves none,
// and writers need no lock.
type journal struct {
	f     *os.File
	begun time.Time
}

func journalPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("worker-%03d.jsonl", number))
}

func openJournal(dir string, number int) (*journal, error) {
	f, err := os.OpenFile(journalPath(dir, number), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return &journal{f: f, begun: time.Now()}, nil
}

func (j *journal) note(what string, id int64, class string, cause error) error {
	mono := time.Since(j.begun)
	l := line{What: what, ID: id, Wall: j.begun.Add(mono).UnixNano(), Mono: mono, Class: class}
	if cause != nil {
		l.Err = cause.Error()
		l.Err = l.Err[:min(len(l.Err), errLength)]
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = j.f.Write(append(b, '\n'))
	return err
}

// follower reads what is new in a worker's file. One goroutine at a time uses it.
type follower struct {
	path   string
	offset int64
	lines  []line
}

// read takes in the lines that are whole by now. A part of one is left for the
// next time: a worker was killed before it was written, or writes it now.
func (f *follower) read() error {
	file, err := os.Open(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	b, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	for {
		text, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return nil
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("load: %s at %d: %w", f.path, f.offset, err)
		}
		f.lines = append(f.lines, l)
		f.offset += int64(len(text)) + 1
		b = rest
	}
}
