package etcdregistry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// ConfigError is returned by Open and NewLock for what cannot be used. Nothing was
// connected to.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string {
	return fmt.Sprintf("etcdregistry: bad config: %s: %s", e.Field, e.Reason)
}

// NotExecuted reports true.
func (e *ConfigError) NotExecuted() bool { return true }

// UnavailableError is returned by a call that changes nothing, when etcd did not
// answer it within Config.Patience or the context: a majority of the members is not
// up, or not in reach.
type UnavailableError struct {
	Op        string
	Endpoints []string
	Last      error // of the last request
	Err       error // the cause of the context when that ended first, else nil
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("etcdregistry: %s: no answer from %s (%s): is a majority of the etcd members up, and in reach from here?",
		e.Op, strings.Join(e.Endpoints, ", "), whyText(e.Err, e.Last))
}

// Unwrap returns the cause of the context, or nil.
func (e *UnavailableError) Unwrap() error { return e.Err }

// UnknownError is returned by a call that writes, when etcd did not answer and the
// write may have taken effect, or may do so yet. It matches
// leadership.ErrUnknownOutcome. A Load, or the same call again, settles it.
type UnknownError struct {
	Op        string
	Endpoints []string
	Last      error // of the last request
	Err       error // the cause of the context when that ended first, else nil
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("etcdregistry: %s: %v: no answer from %s (%s)",
		e.Op, leadership.ErrUnknownOutcome, strings.Join(e.Endpoints, ", "), whyText(e.Err, e.Last))
}

// Unwrap returns leadership.ErrUnknownOutcome, and the cause of the context if any.
func (e *UnknownError) Unwrap() []error {
	errs := []error{leadership.ErrUnknownOutcome}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	var rewound *RewoundError
	if errors.As(e.Last, &rewound) {
		errs = append(errs, rewound)
	}
	return errs
}

// NotExecuted reports false.
func (e *UnknownError) NotExecuted() bool { return false }

func whyText(cause, last error) string {
	switch {
	case last == nil && cause == nil:
		return "time is up"
	case last == nil:
		return cause.Error()
	case cause == nil || errors.Is(last, cause):
		return last.Error()
	}
	return cause.Error() + "; last: " + last.Error()
}

// RefusedError is returned when etcd itself said no: the user may not, the database
// is full, the request is too large. Nothing was changed.
type RefusedError struct {
	Op  string
	Err error // of package rpctypes
}

func (e *RefusedError) Error() string {
	help := ""
	switch {
	case errors.Is(e.Err, rpctypes.ErrPermissionDenied):
		help = ": grant the user's role readwrite on the keys of this cluster"
	case errors.Is(e.Err, rpctypes.ErrUserEmpty):
		help = ": this etcd asks for a user: set Username and Password, or a client certificate"
	case errors.Is(e.Err, rpctypes.ErrNoSpace):
		help = ": compact and defragment etcd, then disarm its alarm"
	}
	return fmt.Sprintf("etcdregistry: %s: refused: %v%s", e.Op, e.Err, help)
}

// Unwrap returns etcd's own error.
func (e *RefusedError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *RefusedError) NotExecuted() bool { return true }

// refusals are what a server says that has not executed a request, whichever the
// step at which it says so. Whatever is not here proves nothing.
var refusals = [...]error{
	rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed,
	rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrNoSpace, rpctypes.ErrRequestTooLarge,
	rpctypes.ErrTooManyRequests, rpctypes.ErrLeaseNotFound, rpctypes.ErrLeaseTTLTooLarge,
}

// refused returns the refusal that err is, or nil.
func refused(err error) error {
	err = rpctypes.Error(err)
	for _, r := range refusals {
		if errors.Is(err, r) {
			return r
		}
	}
	return nil
}

// passing reports whether a refusal is likely to be over soon: users were changed, a token
// ended, the queue is full.
func passing(r error) bool {
	return r == rpctypes.ErrInvalidAuthToken || r == rpctypes.ErrAuthOldRevision || r == rpctypes.ErrTooManyRequests
}

// RewoundError is returned when etcd no longer has the history that this Client, or
// the version given to Wait, has seen: it was restored from a backup, or the endpoints
// lead to another cluster. Revisions are given out again then, so versions and
// lock numbers mean nothing any more. A Client that has seen it returns it from then
// on: see the package documentation for what to do.
type RewoundError struct {
	Seen, Now               uint64 // revisions
	ClusterSeen, ClusterNow uint64 // etcd's cluster IDs
}

func (e *RewoundError) Error() string {
	if e.ClusterSeen != e.ClusterNow {
		return fmt.Sprintf("etcdregistry: the endpoints lead to etcd cluster %x, and did to %x: it was replaced or restored", e.ClusterNow, e.ClusterSeen)
	}
	return fmt.Sprintf("etcdregistry: etcd is at revision %d after %d was seen: it was restored from a backup; restart whatever uses this registry", e.Now, e.Seen)
}

// LockHeldError is returned by Lock.Run when somebody else had the lock until the
// context or LockConfig.Wait was over. The function was not called.
type LockHeldError struct {
	Holder string // what the holder calls itself
	Num    uint64 // the number of its lock
	Err    error  // the cause of the context when that ended first, else nil
}

func (e *LockHeldError) Error() string {
	s := fmt.Sprintf("etcdregistry: the lock is held by %q, number %d", e.Holder, e.Num)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause of the context, or nil.
func (e *LockHeldError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *LockHeldError) NotExecuted() bool { return true }

// LockLostError is why the context of a function under a Lock was cancelled. It
// says nothing about what the function had begun.
type LockLostError struct {
	Num uint64
	Why string
}

func (e *LockLostError) Error() string {
	return fmt.Sprintf("etcdregistry: lock number %d is lost: %s", e.Num, e.Why)
}

// NotOwnerError is returned for a write under a lock that is not held any more.
// Nothing was written.
type NotOwnerError struct {
	Num uint64
	Now uint64 // the number of who holds it now, 0 when nobody is known to
}

func (e *NotOwnerError) Error() string {
	if e.Now == 0 {
		return fmt.Sprintf("etcdregistry: not written: lock number %d is not held any more", e.Num)
	}
	return fmt.Sprintf("etcdregistry: not written: lock number %d is not held any more, number %d is", e.Num, e.Now)
}

// NotExecuted reports true.
func (e *NotOwnerError) NotExecuted() bool { return true }

// cause returns why ctx ended, or nil when it has not.
func cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

const minAttempt = 10 * time.Millisecond
