package pgnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
	"github.com/tenure-go/tenure/leadership"
)

// lineage is what a node keeps beside its promise, in Dir. It changes only under
// the lock of Dir.
type lineage struct {
	// Incarnation names the record. A server's restart does not change it:
	// everything that a promise does to a server survives one.
	Incarnation string `json:"incarnation"`
	// System is the cluster's system identifier, once it was seen.
	System uint64 `json:"system,string,omitempty"`
	// Last is whom the node accepts from or accepted from last. A timeline that
	// its log has and no marker names is of that leadership.
	Last leadership.Leadership `json:"last"`
	// Noted are the terms of timelines that no marker names.
	Noted []Era `json:"noted,omitempty"`
	// Fenced is the highest term whose promise was carried out at the server.
	Fenced leadership.Term `json:"fenced"`
	// Granted is the term that the gate was opened for, in the life of the server
	// that began at Started.
	Granted leadership.Term `json:"granted"`
	Started string          `json:"started,omitempty"`
	// Told says that the server was told to promote, which it may do at any time
	// until it is stopped.
	Told bool `json:"told,omitempty"`
	// Shut says that the server led, completes nothing any more, and was not
	// stopped yet.
	Shut *shut `json:"shut,omitempty"`
	// Rebuild says that the data directory is not one log, and what it needs.
	Rebuild *rebuild `json:"rebuild,omitempty"`
}

// rebuild is the state of a repair.
type rebuild struct {
	// Copied says that the files of From are in place. They become one log when
	// the server follows From in Term, and in no other way.
	Copied bool                  `json:"copied,omitempty"`
	From   leadership.Leadership `json:"from"`
}

const lineageMagic = "tenure-pgnode-1 "

func lineagePath(dir string) string { return filepath.Join(dir, "pgnode") }

func loadLineage(dir string) (lineage, bool, error) {
	var l lineage
	b, err := os.ReadFile(lineagePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return l, false, err
	}
	body, err := durable.Unframe(lineageMagic, b)
	if err == nil {
		err = json.Unmarshal(body, &l)
	}
	if err == nil && l.Incarnation == "" {
		err = errors.New("it names no incarnation")
	}
	if err != nil {
		return l, false, &leadership.CorruptError{Path: lineagePath(dir), Reason: err.Error()}
	}
	return l, true, nil
}

func (l lineage) save(dir string) error {
	body, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	maybe, err := durable.Replace(lineagePath(dir), durable.Frame(lineageMagic, append(body, '\n')))
	if maybe {
		return fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, err)
	}
	return err
}

// lockDir takes the lock of the node's directory: of all processes that act for
// one node, one at a time does. It waits until ctx ends.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, 2*time.Millisecond, func() (bool, error) { return durable.TryLock(f) })
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// poll asks ok until it says yes, fails, or ctx ends; then it returns the cause.
func poll(ctx context.Context, every time.Duration, ok func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if done, err := ok(); err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
