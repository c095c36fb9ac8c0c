package kv

import (
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// ConfigError is returned for a Config that no member can run with. Nothing
// was touched.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "kv: bad config: " + e.Field + " " + e.Reason }

// NotExecuted reports true.
func (e *ConfigError) NotExecuted() bool { return true }

// StorageError is returned by Open for a directory that is not that of a
// member as it was left: a part is missing, or another process has it. A
// member whose record of promises is gone while its log is there, or the
// reverse, is not the member that made the promises. It stays shut; it comes
// back under a new name as a new member, or its storage is brought back.
type StorageError struct{ Dir, Reason string }

func (e *StorageError) Error() string { return "kv: the storage in " + e.Dir + " " + e.Reason }

// NotExecuted reports true.
func (e *StorageError) NotExecuted() bool { return true }

// RemoteError is an error of a member that has no type of its own on this
// side, or of the way there.
type RemoteError struct {
	Node leadership.NodeID
	Text string
	// NotDone is the member's word that the call was not executed, or the
	// proof that it was never sent.
	NotDone bool
	err     error
	told    bool // by the member: nothing was lost on the way
}

func (e *RemoteError) Error() string { return fmt.Sprintf("kv: member %s: %s", e.Node, e.Text) }

// NotExecuted reports NotDone.
func (e *RemoteError) NotExecuted() bool { return e.NotDone }

// Unwrap returns the cause, or leadership.ErrUnknownOutcome, joined with a
// *leadership.StaleTermError when the member told of a newer attempt as well.
func (e *RemoteError) Unwrap() error { return e.err }

// wireError carries an error with its type.
type wireError struct {
	Kind      string                    `json:"kind"` // stale, notReady, diverged, unknown, read, refused, failed
	Text      string                    `json:"text"`
	Node      leadership.NodeID         `json:"node,omitempty"`
	Asked     leadership.Term           `json:"asked"`
	Promised  leadership.Term           `json:"promised"`
	Positions []leadership.NodePosition `json:"positions,omitempty"`
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Kind: "failed", Text: err.Error()}
	var stale *leadership.StaleTermError
	var notReady *leadership.NotReadyError
	var diverged *leadership.DivergedError
	var read *acceptor.ReadError
	switch {
	case errors.Is(err, leadership.ErrUnknownOutcome):
		w.Kind = "unknown"
		if top := nodecall.Highest(err); top != nil { // what became of the call it does not say, who is newer it does
			w.Node, w.Asked, w.Promised = top.Node, top.Asked, top.Promised
		}
	case errors.As(err, &stale):
		// On the other side this proves again that nothing was executed, also
		// where a notProof is around it: of a hand-over a guard asks first what
		// was promised, and takes it for one that was outrun.
		w.Kind, w.Node, w.Asked, w.Promised = "stale", stale.Node, stale.Asked, stale.Promised
	case errors.As(err, &notReady):
		w.Kind, w.Node, w.Text = "notReady", notReady.Node, notReady.Reason
	case errors.As(err, &diverged):
		w.Kind, w.Positions = "diverged", diverged.Positions
	case errors.As(err, &read):
		w.Kind, w.Node, w.Asked, w.Text = "read", read.Node, read.Term, read.Err.Error()
	case leadership.NotExecuted(err):
		w.Kind = "refused"
	}
	return w
}

func (w *wireError) toError(from leadership.NodeID) error {
	if w == nil {
		return nil
	}
	switch w.Kind {
	case "stale":
		return &leadership.StaleTermError{Node: w.Node, Asked: w.Asked, Promised: w.Promised}
	case "notReady":
		return &leadership.NotReadyError{Node: w.Node, Reason: w.Text}
	case "diverged":
		return &leadership.DivergedError{Positions: w.Positions}
	case "read":
		return &acceptor.ReadError{Node: w.Node, Term: w.Asked, Err: errors.New(w.Text)}
	case "refused":
		return &RemoteError{Node: from, Text: w.Text, NotDone: true, told: true}
	case "unknown":
		why := leadership.ErrUnknownOutcome
		if !w.Promised.IsZero() {
			why = errors.Join(why, &leadership.StaleTermError{Node: w.Node, Asked: w.Asked, Promised: w.Promised})
		}
		return &RemoteError{Node: from, Text: w.Text, err: why, told: true}
	}
	return &RemoteError{Node: from, Text: w.Text, told: true}
}
