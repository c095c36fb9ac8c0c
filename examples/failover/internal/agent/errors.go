package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// NotSetUpError is what a node without a record of its promises says, whatever it is
// asked. Nothing was touched.
type NotSetUpError struct{ Node leadership.NodeID }

func (e *NotSetUpError) Error() string {
	return fmt.Sprintf("%s has no record of its promises: run setup once on a new member; one that lost it comes back under another name", e.Node)
}

// NotExecuted reports true.
func (e *NotSetUpError) NotExecuted() bool { return true }

// RefusedError is returned for a call that an agent did not take: of another cluster,
// node or version, without the token, or malformed. Nothing was executed.
type RefusedError struct {
	Node   leadership.NodeID `json:"node"`
	Reason string            `json:"reason"`
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the agent of %s refuses: %s", e.Node, e.Reason)
}

// NotExecuted reports true.
func (e *RefusedError) NotExecuted() bool { return true }

// CallError is a call that came to no answer. Unless it was provably never sent, it is
// a leadership.ErrUnknownOutcome: the node may have done, or may yet do, what was asked
// of it. It does not wrap what the network said, since an agent that is gone says
// nothing about its server; it wraps the cause of the end of the caller's context.
type CallError struct {
	Node leadership.NodeID
	// Agent is its URL.
	Agent, Text string
	// NotSent is the proof that the agent never had the call: there was no
	// connection to send it on. It is false when the context had ended.
	NotSent bool
	cause   error
}

func (e *CallError) Error() string {
	return fmt.Sprintf("the agent of %s at %s: %s", e.Node, e.Agent, e.Text)
}

// NotExecuted reports NotSent.
func (e *CallError) NotExecuted() bool { return e.NotSent }

// Unwrap returns leadership.ErrUnknownOutcome and the cause of the context's end.
func (e *CallError) Unwrap() []error {
	var errs []error
	if !e.NotSent {
		errs = append(errs, leadership.ErrUnknownOutcome)
	}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	return errs
}

// Bounds of an error on the wire.
const (
	maxText   = 4 << 10
	maxDepth  = 12
	maxCauses = 16
)

// wireError is an error with what it wraps. Codes that are not of the table of types
// are codeRefused, codeFailed and codeWrap.
type wireError struct {
	Code string `json:"code"`
	Text string `json:"text"`
	// NotExecuted is what the sender knows. It takes a proof away from whatever
	// else is here, and gives one to codeRefused only.
	NotExecuted bool            `json:"notExecuted,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
	Causes      []*wireError    `json:"causes,omitempty"`
}

const (
	codeRefused = "refused" // of a type of its own that proves that nothing happened
	codeFailed  = "failed"
	codeWrap    = "wrap" // proves what all of its causes prove

	codeAgentRefused = "agentRefused"
)

// remoteError is an error of a type that stayed with the agent.
type remoteError struct {
	text   string
	proof  bool
	causes []error
}

func (e *remoteError) Error() string     { return e.text }
func (e *remoteError) NotExecuted() bool { return e.proof }
func (e *remoteError) Unwrap() []error   { return e.causes }

// sentinels are errors without data.
var sentinels = []struct {
	code string
	err  error
}{
	{"unknownOutcome", leadership.ErrUnknownOutcome},
	{"deadline", context.DeadlineExceeded},
	{"canceled", context.Canceled},
	// The node's server refused a connection to the agent beside it.
	{"serverRefused", syscall.ECONNREFUSED},
}

// class is a type of error with data.
type class struct {
	code   string
	encode func(c codec, err error) (data any, cause error, ok bool)
	decode func(c codec, data []byte, cause error) (error, error)
}

// pointer is *T as an error.
type pointer[T any] interface {
	*T
	error
}

// of is the class of a struct whose fields are its data. cause, when there is one,
// is the field that holds another error; positions are those to be read by the
// catalog.
func of[T any, E pointer[T]](code string, cause func(*T) *error, positions func(*T) []*leadership.Position) class {
	return class{
		code: code,
		encode: func(_ codec, err error) (any, error, bool) {
			e, ok := err.(E)
			if !ok || e == nil {
				return nil, nil, false
			}
			v := *(*T)(e)
			if cause == nil {
				return v, nil, true
			}
			inner := *cause(&v)
			*cause(&v) = nil
			return v, inner, true
		},
		decode: func(c codec, data []byte, inner error) (error, error) {
			var v T
			if err := json.Unmarshal(data, &v); err != nil {
				return nil, err
			}
			if cause != nil {
				*cause(&v) = inner
			}
			if positions != nil {
				if err := c.positions(positions(&v)...); err != nil {
					return nil, err
				}
			}
			return E(&v), nil
		},
	}
}

func plain[T any, E pointer[T]](code string) class { return of[T, E](code, nil, nil) }

// classes are the types that cross the wire whole: those by which a change, a sweep
// or the tool decides something, and those whose data a report shows.
func classes() []class {
	return []class{
		plain[leadership.StaleTermError]("staleTerm"),
		plain[leadership.SupersededError]("superseded"),
		plain[leadership.NotReadyError]("notReady"),
		plain[leadership.IncarnationError]("incarnation"),
		plain[leadership.UnknownNodeError]("unknownNode"),
		plain[leadership.IneligibleError]("ineligible"),
		plain[leadership.CorruptError]("corrupt"),
		plain[leadership.TextError]("text"),
		of("diverged", nil, func(e *leadership.DivergedError) []*leadership.Position {
			var ps []*leadership.Position
			for i := range e.Positions {
				ps = append(ps, &e.Positions[i].Position)
			}
			return ps
		}),
		of("unenforceable", func(e *leadership.UnenforceablePolicyError) *error { return &e.Err }, nil),
		plain[acceptor.ArgumentError]("argument"),
		of("exists", nil, func(e *acceptor.ExistsError) []*leadership.Position {
			return []*leadership.Position{&e.Record.Floor}
		}),
		plain[acceptor.NoRecordError]("noRecord"),
		plain[acceptor.TwoLeadersError]("twoLeaders"),
		plain[acceptor.GateError]("gate"),
		plain[acceptor.UnconfirmedError]("unconfirmed"),
		of("unsettled", func(e *acceptor.UnsettledError) *error { return &e.Err }, nil),
		of("pending", func(e *acceptor.PendingError) *error { return &e.Err }, nil),
		of("cancelled", func(e *acceptor.CanceledError) *error { return &e.Err }, nil),
		of("read", func(e *acceptor.ReadError) *error { return &e.Err }, nil),
		plain[pgnode.RebuildError]("rebuild"),
		of("notAncestor", nil, func(e *pgnode.NotAncestorError) []*leadership.Position {
			return []*leadership.Position{&e.At, &e.Of}
		}),
		of("server", func(e *pgnode.ServerError) *error { return &e.Err }, nil),
		plain[pgnode.UnreplicatedError]("unreplicated"),
		plain[NotSetUpError]("notSetUp"),
		plain[RefusedError](codeAgentRefused),
		postgresClass(),
	}
}

// postgresError is what is told of an error of the server.
type postgresError struct{ Severity, Code, Message string }

func postgresClass() class {
	return class{
		code: "postgres",
		encode: func(c codec, err error) (any, error, bool) {
			e, ok := err.(*pgconn.PgError)
			if !ok || e == nil {
				return nil, nil, false
			}
			return postgresError{e.Severity, e.Code, c.clip(e.Message)}, nil, true
		},
		decode: func(_ codec, data []byte, _ error) (error, error) {
			var e postgresError
			if err := json.Unmarshal(data, &e); err != nil {
				return nil, err
			}
			return &pgconn.PgError{Severity: e.Severity, Code: e.Code, Message: e.Message}, nil
		},
	}
}

// codec turns errors and positions into what crosses the wire and back.
type codec struct {
	classes []class
	catalog *leadership.Catalog
	// hide takes passwords out of a text; nil takes out none.
	hide func(string) string
}

func newCodec(hide func(string) string) (codec, error) {
	c := codec{classes: classes(), catalog: &leadership.Catalog{}, hide: hide}
	return c, pgnode.RegisterPoint(c.catalog)
}

// clip bounds a text for people, with no password in it.
func (c codec) clip(s string) string {
	if c.hide != nil {
		s = c.hide(s)
	}
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// positions reads positions again by the catalog: decoded from JSON alone they would
// compare with nothing but themselves.
func (c codec) positions(ps ...*leadership.Position) error {
	for _, p := range ps {
		q, err := c.catalog.ParsePosition(p.String())
		if err != nil {
			return err
		}
		*p = q
	}
	return nil
}

// encode returns the error with what it wraps, nil for nil. What is too deep or too
// much is left out, and with it what it may prove.
func (c codec) encode(err error) *wireError { return c.encodeAt(err, 0) }

func (c codec) encodeAt(err error, depth int) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Code: codeFailed, Text: c.clip(err.Error())}
	if depth == maxDepth {
		return w
	}
	w.NotExecuted = leadership.NotExecuted(err)
	for _, s := range sentinels {
		if err == s.err {
			w.Code = s.code
			return w
		}
	}
	for _, k := range c.classes {
		data, cause, ok := k.encode(c, err)
		if !ok {
			continue
		}
		b, merr := json.Marshal(data)
		if merr != nil {
			break
		}
		w.Code, w.Data = k.code, b
		if cause != nil {
			w.Causes = []*wireError{c.encodeAt(cause, depth+1)}
		}
		return w
	}
	var causes []error
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		causes = []error{u.Unwrap()}
	case interface{ Unwrap() []error }:
		causes = u.Unwrap()
	}
	for _, e := range causes[:min(len(causes), maxCauses)] {
		if e != nil {
			w.Causes = append(w.Causes, c.encodeAt(e, depth+1))
		}
	}
	_, own := err.(interface{ NotExecuted() bool })
	switch {
	case own && w.NotExecuted:
		w.Code = codeRefused
	case own:
	case len(causes) > maxCauses:
		w.NotExecuted = false
	case len(w.Causes) > 0:
		w.Code = codeWrap
	}
	return w
}

// decode is the inverse of encode. An error of a code that is not known here, or
// whose data cannot be read, proves nothing, whatever it claims; nor does one that
// the sender does not call a proof.
func (c codec) decode(w *wireError) error { return c.decodeAt(w, 0) }

func (c codec) decodeAt(w *wireError, depth int) error {
	if w == nil {
		return nil
	}
	e := &remoteError{text: w.Text}
	if depth > maxDepth || len(w.Causes) > maxCauses {
		return e
	}
	proven := len(w.Causes) > 0
	for _, cause := range w.Causes {
		inner := c.decodeAt(cause, depth+1)
		if inner == nil {
			return e
		}
		e.causes = append(e.causes, inner)
		proven = proven && leadership.NotExecuted(inner)
	}
	switch w.Code {
	case codeRefused:
		e.proof = w.NotExecuted
		return e
	case codeWrap:
		e.proof = w.NotExecuted && proven
		return e
	}
	for _, s := range sentinels {
		if s.code == w.Code {
			return s.err
		}
	}
	for _, k := range c.classes {
		if k.code != w.Code {
			continue
		}
		var cause error
		if len(e.causes) > 0 {
			cause = e.causes[0]
		}
		typed, err := k.decode(c, w.Data, cause)
		if err != nil {
			return e
		}
		if leadership.NotExecuted(typed) && !w.NotExecuted {
			e.causes = []error{typed}
			return e
		}
		return typed
	}
	return e
}

var errTooLarge = errors.New("it is too large")
