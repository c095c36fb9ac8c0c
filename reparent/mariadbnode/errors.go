package mariadbnode

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// ConfigError is returned by New and SQL for what cannot be used. It never
// shows a password.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "mariadbnode: config: " + e.Field + ": " + e.Reason }

// NotExecuted reports true.
func (e *ConfigError) NotExecuted() bool { return true }

// ErrClosed is returned by every call on a Node after Close.
var ErrClosed = errors.New("mariadbnode: the node is closed")

// NotSetUpError is returned when the server holds no record of this node. Run
// Setup once on each new member; a server that lost its record is no longer the
// node that promised: it comes back under another Config.ID, which a change of the
// ruleset admits in place of the old one.
type NotSetUpError struct {
	Node   leadership.NodeID
	Schema string
	Err    error
}

func (e *NotSetUpError) Error() string {
	return fmt.Sprintf("mariadbnode: %s has no record in schema %s: run Setup on a new member; one that lost its record comes back under another ID: %v", e.Node, e.Schema, e.Err)
}

// Unwrap returns what the server said.
func (e *NotSetUpError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *NotSetUpError) NotExecuted() bool { return true }

// StepError says which step of a call failed. Whether the step, and the call,
// happened is unknown unless Err tells; the node is asked again to find out.
type StepError struct {
	Node leadership.NodeID
	Step string
	Err  error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("mariadbnode: %s: %s: %v", e.Node, e.Step, e.Err)
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Session is a client session at the server.
type Session struct {
	ID    uint64 `json:"id"`
	User  string `json:"user"`
	State string `json:"state,omitempty"`
	// For is how long it has been in that state.
	For time.Duration `json:"for"`
}

func sessionText(ss []Session) string {
	parts := make([]string, 0, len(ss))
	for _, s := range ss {
		t := fmt.Sprintf("connection %d of %s", s.ID, s.User)
		if s.State != "" {
			t += " (" + s.State + ")"
		}
		parts = append(parts, t)
		if len(parts) == 5 && len(ss) > 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(ss)-5))
			break
		}
	}
	return strings.Join(parts, ", ")
}

// BlockedError is returned when the server could not be made read-only within
// the bound: it completes whatever it was completing, and nothing was claimed.
type BlockedError struct {
	Node leadership.NodeID
	// Waiting are sessions whose commit waits for the acknowledgement of a
	// replica. Nothing that SQL offers frees them without the risk that a client
	// is told OK for what no replica has: let a replica follow, or end the server
	// with SIGKILL (Config.Controller does).
	Waiting []Session
	// Others are sessions that were running a statement.
	Others []Session
	Err    error
}

func (e *BlockedError) Error() string {
	s := fmt.Sprintf("mariadbnode: %s could not be made read-only: %v", e.Node, e.Err)
	if len(e.Waiting) > 0 {
		s += fmt.Sprintf("; %d commits wait for the acknowledgement of a replica: let one follow, or kill the server process (SIGKILL): %s", len(e.Waiting), sessionText(e.Waiting))
	}
	if len(e.Others) > 0 {
		s += "; running: " + sessionText(e.Others)
	}
	return s
}

// Unwrap returns what the server said.
func (e *BlockedError) Unwrap() error { return e.Err }

// PrivilegedError names sessions and events that write although the server is
// read-only, because their account has READ_ONLY ADMIN. A leader is not stepped
// down while there are any: it could go on completing requests.
type PrivilegedError struct {
	Node     leadership.NodeID
	Sessions []Session
	Events   []string

	promised bool // the term was promised by then, or may have been
}

// NotExecuted reports whether nothing was touched: so it is of every Drain, and of
// a StepDown or Promise of a term that the node had not promised before.
func (e *PrivilegedError) NotExecuted() bool { return !e.promised }

func (e *PrivilegedError) Error() string {
	s := fmt.Sprintf("mariadbnode: %s has writers that read_only does not stop:", e.Node)
	if len(e.Sessions) > 0 {
		s += " " + sessionText(e.Sessions)
	}
	if len(e.Events) > 0 {
		s += " events " + strings.Join(e.Events, ", ")
	}
	return s + ": end them, and revoke READ_ONLY ADMIN from their accounts"
}

// KilledError is returned when Config.Controller ended a leader that could not
// be made read-only. What its clients were waiting for is of unknown outcome to
// them, and none of it was reported as done. The node does not testify: the
// fences of the others are the proof.
type KilledError struct {
	Node leadership.NodeID
	Why  error
}

func (e *KilledError) Error() string {
	return fmt.Sprintf("mariadbnode: %s was killed: %v", e.Node, e.Why)
}

// Unwrap returns why.
func (e *KilledError) Unwrap() error { return e.Why }

// ReplicationError says that replication at a follower stopped by itself.
type ReplicationError struct {
	Node   leadership.NodeID
	Thread string // "IO" or "SQL"
	Errno  int
	Text   string
}

func (e *ReplicationError) Error() string {
	s := fmt.Sprintf("mariadbnode: %s: the %s thread stopped with error %d: %s", e.Node, e.Thread, e.Errno, e.Text)
	if e.Errno == errnoDiverged {
		s += ": this server has transactions that its source has not (see Node.Errant), or needs some that its source has purged: rebuild it"
	}
	return s
}

// errnoDiverged is ER_MASTER_FATAL_ERROR_READING_BINLOG, which a source gives
// to a replica that asks to start from a GTID that the source has not.
const errnoDiverged = 1236

// ErrantError names transactions that this server has logged and the leader has
// not: nobody was told that they are done under the leader's term, and the
// server cannot follow until they are gone.
type ErrantError struct {
	Node   leadership.NodeID
	Leader leadership.NodeID
	GTIDs  State
}

func (e *ErrantError) Error() string {
	return fmt.Sprintf("mariadbnode: %s has errant transactions up to %s that %s has not: keep what matters of them (mariadb-binlog), then undo them (mariadb-binlog --flashback) or rebuild the server from %s (mariadb-backup)",
		e.Node, e.GTIDs, e.Leader, e.Leader)
}

// SkippedError names transactions of this very server that a leader's log has
// before its marker and this one has not: a replica leaves out what has its own
// server_id, unless rpl_semi_sync_slave_enabled and gtid_strict_mode are on. The
// log has a hole; the node's word counts for nothing until it is rebuilt.
type SkippedError struct {
	Node  leadership.NodeID
	GTIDs State
}

func (e *SkippedError) Error() string {
	return fmt.Sprintf("mariadbnode: %s did not get back transactions of its own, %s: rebuild it", e.Node, e.GTIDs)
}

// PeerError is returned for a node whose replication address is not in
// Config.Peers. Nothing was touched.
type PeerError struct{ Node, Peer leadership.NodeID }

func (e *PeerError) Error() string {
	return fmt.Sprintf("mariadbnode: %s: no replication address for %q in Config.Peers", e.Node, string(e.Peer))
}

// NotExecuted reports true.
func (e *PeerError) NotExecuted() bool { return true }

// SettingError is returned when a setting that a leader must have did not take
// effect.
type SettingError struct {
	Node              leadership.NodeID
	Name, Value, Want string
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("mariadbnode: %s: %s is %q, want %s", e.Node, e.Name, e.Value, e.Want)
}

// UnsupportedError is returned for a server that this package cannot keep its
// promises on. Nothing was touched.
type UnsupportedError struct {
	Node   leadership.NodeID
	Reason string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("mariadbnode: %s is not supported: %s", e.Node, e.Reason)
}

// NotExecuted reports true.
func (e *UnsupportedError) NotExecuted() bool { return true }

// TurnError is returned when the server-side lock could not be had: another
// call at this node goes on. Nothing was touched.
type TurnError struct {
	Node   leadership.NodeID
	Holder uint64 // connection id
	Term   leadership.Term
	Err    error
}

func (e *TurnError) Error() string {
	return fmt.Sprintf("mariadbnode: %s: connection %d holds the turn for term %s: %v", e.Node, e.Holder, e.Term, e.Err)
}

// Unwrap returns the cause.
func (e *TurnError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *TurnError) NotExecuted() bool { return true }

// RepairError is returned by Repair when the rebuild failed, or when the node
// is not what it should be afterwards.
type RepairError struct {
	Node   leadership.NodeID
	Reason string
	Err    error
}

func (e *RepairError) Error() string {
	s := fmt.Sprintf("mariadbnode: %s: repair: %s", e.Node, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *RepairError) Unwrap() error { return e.Err }
