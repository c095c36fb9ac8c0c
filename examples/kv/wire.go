package kv

import (
	"encoding/binary"
	"errors"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// The paths of the member's own protocol. Everything below /tenure/ is for
// coordinators and members; a real deployment puts it behind mutual TLS.
const (
	pathAppend = "/tenure/append"
	pathPull   = "/tenure/pull"
	pathNode   = "/tenure/node/" // + the call
)

// Bounds of one message.
const (
	maxValue   = 1 << 20
	maxBatch   = 1024    // entries of one append
	batchBytes = 1 << 20 // of data in one append, and one entry more
	maxMessage = 8 << 20
)

var errMessage = errors.New("kv: malformed message")

func appendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// appendRequest is what a leader sends to a follower. An empty one is a
// heartbeat: it tells the commit index and asks whether the follower still
// supports the leadership.
type appendRequest struct {
	from    leadership.Leadership
	prev    replog.At
	commit  uint64
	entries []replog.Entry
}

func (r appendRequest) encode(b []byte) []byte {
	b = replog.AppendBytes(b, []byte(r.from.Leader))
	b = replog.AppendTerm(b, r.from.Term)
	b = appendUvarint(b, r.prev.Index)
	b = replog.AppendTerm(b, r.prev.Term)
	b = appendUvarint(b, r.commit)
	return appendEntries(b, r.entries)
}

func decodeAppend(b []byte) (r appendRequest, err error) {
	leader, b, err := replog.CutBytes(b)
	if err != nil {
		return r, err
	}
	r.from.Leader = leadership.NodeID(leader)
	if r.from.Term, b, err = replog.CutTerm(b); err != nil {
		return r, err
	}
	if r.prev.Index, b, err = replog.CutUvarint(b); err != nil {
		return r, err
	}
	if r.prev.Term, b, err = replog.CutTerm(b); err != nil {
		return r, err
	}
	if r.commit, b, err = replog.CutUvarint(b); err != nil {
		return r, err
	}
	if r.entries, err = decodeEntries(b); err != nil {
		return r, err
	}
	for i, e := range r.entries {
		if e.Index != r.prev.Index+1+uint64(i) || r.from.Term.Less(e.Term) {
			return r, errMessage
		}
	}
	return r, nil
}

func appendEntries(b []byte, entries []replog.Entry) []byte {
	b = appendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = replog.AppendEntry(b, e)
	}
	return b
}

func decodeEntries(b []byte) ([]replog.Entry, error) {
	n, b, err := replog.CutUvarint(b)
	if err != nil || n > maxBatch {
		return nil, errMessage
	}
	entries := make([]replog.Entry, n)
	for i := range entries {
		if entries[i], b, err = replog.CutEntry(b); err != nil {
			return nil, err
		}
	}
	if len(b) > 0 {
		return nil, errMessage
	}
	return entries, nil
}

// appendReply is the answer to an appendRequest.
type appendReply struct {
	// Matched is the index up to which the follower's log is durable and the
	// same as the leader's.
	Matched uint64 `json:"matched,omitempty"`
	// Mismatch is the follower's position when its log does not hold prev.
	Mismatch *leadership.Position `json:"mismatch,omitempty"`
	Err      *wireError           `json:"error,omitempty"`
}

// nodeRequest is the argument of any call of the control protocol.
type nodeRequest struct {
	Term     leadership.Term      `json:"term"`
	Leader   leadership.NodeID    `json:"leader,omitempty"`
	Marker   *leadership.Marker   `json:"marker,omitempty"`
	Position *leadership.Position `json:"position,omitempty"`
	For      int64                `json:"forNanoseconds,omitempty"`

	// Of a hand-over. Tail is a pullReply: the end of the leader's log.
	Baton     *handover.Baton       `json:"baton,omitempty"`
	Release   *handover.Release     `json:"release,omitempty"`
	Retire    *handover.Retirement  `json:"retire,omitempty"`
	Relay     *handover.Relay       `json:"relay,omitempty"`
	Ask       *handover.Ask         `json:"ask,omitempty"`
	Testimony *leadership.Testimony `json:"testimony,omitempty"`
	Tail      []byte                `json:"tail,omitempty"`
}

// nodeReply is the answer. A testimony may come with an error beside it: the
// block holds and reading failed.
type nodeReply struct {
	Testimony  *leadership.Testimony  `json:"testimony,omitempty"`
	Acceptance *leadership.Acceptance `json:"acceptance,omitempty"`
	Drained    *revoke.Drained        `json:"drained,omitempty"`
	Status     *leadership.Status     `json:"status,omitempty"`
	Account    *handover.Account      `json:"account,omitempty"`
	Retired    *handover.Retired      `json:"retired,omitempty"`
	Err        *wireError             `json:"error,omitempty"`
}

// Both the member itself and its remote form are nodes of a change.
var (
	_ revoke.Promiser     = (*Node)(nil)
	_ revoke.Reader       = (*Node)(nil)
	_ revoke.StepDowner   = (*Node)(nil)
	_ establish.Candidate = (*Node)(nil)
	_ establish.Follower  = (*Node)(nil)
	_ reparent.Statuser   = (*Node)(nil)
	_ handover.Leader     = (*Node)(nil)
	_ handover.Leader     = (*Remote)(nil)
	_ handover.Retirer    = (*Node)(nil)
	_ handover.Retirer    = (*Remote)(nil)
	_ handover.Successor  = (*Node)(nil)
	_ handover.Successor  = (*Remote)(nil)
	_ revoke.Promiser     = (*Remote)(nil)
	_ revoke.Reader       = (*Remote)(nil)
	_ revoke.StepDowner   = (*Remote)(nil)
	_ establish.Candidate = (*Remote)(nil)
	_ establish.Follower  = (*Remote)(nil)
	_ reparent.Statuser   = (*Remote)(nil)
)
