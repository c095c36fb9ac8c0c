package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

var errNoContext error = &ConfigError{"ctx", "is nil"}

// ConfigError is returned by New, and by InTx, for an argument that cannot be
// used, and by a Connector or a Conn that nobody made. Nothing was done.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "sqlbuffer: config: " + e.Field + " " + e.Reason }

// NotExecuted reports true.
func (e *ConfigError) NotExecuted() bool { return true }

// NodeError is why a leader could not be dialled: Config.Nodes has no usable
// node for it. It is seen as the last error in the buffer's own.
type NodeError struct {
	Leader leadership.NodeID
	Addr   string
	Err    error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("sqlbuffer: no node for leader %q at %q: %v", string(e.Leader), e.Addr, e.Err)
}

// Unwrap returns Err.
func (e *NodeError) Unwrap() error { return e.Err }

// RestartUnitError is returned by a statement, or by Commit, of a unit that
// cannot go on: its leadership was superseded, also while the statement waited
// for an answer, or its connection was lost, before Commit was sent. Begin the unit again; InTx does.
//
// It proves that the transaction was not committed and never will be, because
// this package does not send its Commit any more and closes its connection.
// That proof does not cover statements which commit by themselves inside a
// transaction, such as MySQL's DDL.
type RestartUnitError struct {
	// Leadership is the one that the unit ran under.
	Leadership leadership.Leadership
	// By is the later term that ended it, zero when its connection was lost.
	By leadership.Term
	// Session is set for a statement outside a transaction on a *sql.Conn. The
	// unit is that one statement, which was not sent; statements before it on
	// the same Conn were their own units and stand. What the session held is
	// gone with its connection: temporary tables, variables, locks. Close the
	// Conn and take another.
	Session bool
	// Err is what was seen, nil when nothing was sent. Unwrap returns it only
	// when it proves non-execution by itself, as a *leadership.Refusal does.
	Err error
}

func (e *RestartUnitError) Error() string {
	unit := "transaction"
	if e.Session {
		unit = "session"
	}
	s := fmt.Sprintf("sqlbuffer: restart the %s, not executed: ", unit)
	if e.By.IsZero() {
		s += fmt.Sprintf("it cannot go on under %s", e.Leadership)
	} else {
		s += fmt.Sprintf("it ran under %s, superseded by term %s", e.Leadership, e.By)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// NotExecuted reports true.
func (e *RestartUnitError) NotExecuted() bool { return true }

// Unwrap returns Err when that is a proof by itself.
func (e *RestartUnitError) Unwrap() error {
	if leadership.NotExecuted(e.Err) {
		return e.Err
	}
	return nil
}

// OutcomeError is returned when a statement or a Commit was handed to a driver
// and it is not known what became of it: its reply was lost, it was aborted
// (because its context ended, or for a leadership that was superseded and did not
// answer), or its OK came from a leadership that had been superseded by then. It
// was handed over once and is not again.
type OutcomeError struct {
	// What is "commit", "exec" or "query".
	What string
	// Leadership is the one it was sent to.
	Leadership leadership.Leadership
	// By is the later term that is known, else zero.
	By leadership.Term
	// Err is what the driver, or the context, said. It is unwrapped, but for
	// driver.ErrBadConn, for the end of a context that was not the caller's,
	// and for the type of the cause with which the caller's ended.
	Err error
}

func (e *OutcomeError) Error() string {
	s := fmt.Sprintf("sqlbuffer: %s sent to %s: outcome unknown", e.What, e.Leadership)
	if !e.By.IsZero() {
		s += ", superseded by term " + e.By.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// NotExecuted reports false.
func (e *OutcomeError) NotExecuted() bool { return false }

// Unwrap returns leadership.ErrUnknownOutcome and Err.
func (e *OutcomeError) Unwrap() []error {
	if e.Err == nil {
		return []error{leadership.ErrUnknownOutcome}
	}
	return []error{leadership.ErrUnknownOutcome, e.Err}
}

// ended is the end of a caller's context. Why it ended is another's affair: it
// may be a refusal by a gate further up, or the restart of another unit that
// failed in the same group. It is shown, and found by errors.Is, but not by its
// type, nor as an unknown outcome: those are of something else.
type ended struct{ err, why error }

func (e *ended) Error() string { return e.err.Error() + ": " + e.why.Error() }

// Unwrap returns what the context's Err said.
func (e *ended) Unwrap() error { return e.err }

// Is finds the cause, but for what would say something about this call.
func (e *ended) Is(target error) bool {
	return target != driver.ErrBadConn && target != leadership.ErrUnknownOutcome && errors.Is(e.why, target)
}

// endOf returns why ctx, which has ended, did.
func endOf(ctx context.Context) error {
	end, why := ctx.Err(), context.Cause(ctx)
	if why == end {
		return end
	}
	return &ended{end, why}
}

// own separates what a driver says from what it repeats. One whose context has
// ended may return the cause of that, which proves nothing about the call,
// whatever it says of itself: then own reports false.
func own(ctx context.Context, err error) (_ error, ok bool) {
	end := ctx.Err()
	if end == nil {
		return err, true
	}
	if why := context.Cause(ctx); why == end || !errors.Is(err, why) {
		return err, true
	}
	return &ended{end, err}, false
}

// hidden is an error that wraps driver.ErrBadConn and does not show it:
// database/sql would run a statement again that returns it, up to three times.
type hidden struct{ err error }

func (e *hidden) Error() string { return e.err.Error() }

// Is finds everything else that the error wraps.
func (e *hidden) Is(target error) bool {
	return target != driver.ErrBadConn && errors.Is(e.err, target)
}

// As finds what the error wraps by its type.
func (e *hidden) As(target any) bool { return errors.As(e.err, target) }

// silent is what a driver said of a call that was aborted here.
type silent struct{ err error }

func (e *silent) Error() string { return errSilent.Error() + ": " + e.err.Error() }

// Is finds what the error wraps, but for the end of a context: it was not the
// caller's.
func (e *silent) Is(target error) bool {
	return target == errSilent || target != context.Canceled && target != context.DeadlineExceeded && errors.Is(e.err, target)
}

// As finds what the error wraps by its type.
func (e *silent) As(target any) bool { return errors.As(e.err, target) }

// hide returns err, in a form that does not satisfy driver.ErrBadConn.
func hide(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return &hidden{err}
	}
	return err
}
