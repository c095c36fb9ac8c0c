package leadership

import (
	"net/url"
	"time"
)

// Scope says what a Refusal refuses.
type Scope uint8

const (
	// ScopeAll refuses all new work.
	ScopeAll Scope = iota
	// ScopeUnits refuses new units (transactions, sessions, streams); single
	// requests and the continuations of admitted units still pass.
	ScopeUnits
)

// String returns "all" or "units".
func (s Scope) String() string {
	if s == ScopeUnits {
		return "units"
	}
	return "all"
}

// Refusal is the answer of a node that did not execute a request. It is an
// error and a proof: whoever holds one may send the request again elsewhere.
//
// Build one per term and hand out the same pointer: refusing must not
// allocate. A Refusal is immutable once shared.
type Refusal struct {
	// Term is the term the node serves or served when it refused, zero when
	// it never led.
	Term Term
	// Until is the term from which the request may be expected to succeed.
	// Above Term: hold for a leadership of at least that term. Equal to Term
	// (or zero): the same leadership will take it again after RetryAfter.
	Until Term
	// Scope says which work is refused.
	Scope Scope
	// Leader is a hint where to go, empty when unknown.
	Leader NodeID
	// Reason is for people.
	Reason string
	// RetryAfter is the earliest useful time for another try at the same
	// node; 0 leaves it to the caller.
	RetryAfter time.Duration
}

// Error implements error.
func (r *Refusal) Error() string {
	if r == nil {
		return "no refusal"
	}
	s := "refused, not executed"
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	if !r.Term.IsZero() {
		s += " (at term " + r.Term.String() + ")"
	}
	if r.Leader != "" {
		s += ", try " + string(r.Leader)
	}
	return s
}

// NotExecuted reports true: the request had no effect and never will. A nil
// Refusal proves nothing.
func (r *Refusal) NotExecuted() bool { return r != nil }

// MarshalText encodes the refusal in one line of URL query form, safe in an
// HTTP header or a gRPC status detail. It returns a *TextError for what
// UnmarshalText would not read as the same: a nil Refusal, a Term, Until, Leader
// or Scope that is not valid. A negative RetryAfter is left out.
func (r *Refusal) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	v := url.Values{}
	v.Set("term", r.Term.String())
	v.Set("until", r.Until.String())
	v.Set("scope", r.Scope.String())
	if r.Leader != "" {
		v.Set("leader", string(r.Leader))
	}
	if r.Reason != "" {
		v.Set("reason", r.Reason)
	}
	if r.RetryAfter > 0 {
		v.Set("retry", r.RetryAfter.String())
	}
	return []byte(v.Encode()), nil
}

func (r *Refusal) check() error {
	bad := func(reason string) error { return &TextError{What: "refusal", Text: clip(r.Error()), Reason: reason} }
	if r == nil {
		return bad("it is nil")
	}
	for _, t := range []Term{r.Term, r.Until} {
		if err := t.Validate(); err != nil && !t.IsZero() {
			return bad(err.Error())
		}
	}
	if r.Scope > ScopeUnits {
		return bad("the scope is unknown")
	}
	if r.Leader != "" {
		if err := r.Leader.Validate(); err != nil {
			return bad(err.Error())
		}
	}
	return nil
}

// UnmarshalText is the inverse of MarshalText; the order of the fields is free.
// A text that is not a refusal is a *TextError and must not be taken as proof of
// anything, and neither must one with a field twice, or with one that is not
// known here: that may be what takes the proof back.
func (r *Refusal) UnmarshalText(b []byte) error {
	v, err := url.ParseQuery(string(b))
	if err != nil {
		return &TextError{What: "refusal", Text: clip(string(b)), Reason: err.Error()}
	}
	known := 0
	for _, k := range [...]string{"term", "until", "scope", "leader", "reason", "retry"} {
		if len(v[k]) > 1 {
			return &TextError{What: "refusal", Text: clip(string(b)), Reason: k + " is there twice"}
		}
		known += len(v[k])
	}
	if known != len(v) {
		return &TextError{What: "refusal", Text: clip(string(b)), Reason: "it has a field that is not known"}
	}
	var out Refusal
	if out.Term, err = ParseTerm(v.Get("term")); err != nil {
		return &TextError{What: "refusal", Text: clip(string(b)), Reason: err.Error()}
	}
	if out.Until, err = ParseTerm(v.Get("until")); err != nil {
		return &TextError{What: "refusal", Text: clip(string(b)), Reason: err.Error()}
	}
	switch v.Get("scope") {
	case "all":
	case "units":
		out.Scope = ScopeUnits
	default:
		return &TextError{What: "refusal", Text: clip(string(b)), Reason: `scope must be "all" or "units"`}
	}
	if s := v.Get("leader"); s != "" {
		out.Leader = NodeID(s)
		if err := out.Leader.Validate(); err != nil {
			return &TextError{What: "refusal", Text: clip(string(b)), Reason: err.Error()}
		}
	}
	if s := v.Get("retry"); s != "" {
		if out.RetryAfter, err = time.ParseDuration(s); err != nil || out.RetryAfter < 0 {
			return &TextError{What: "refusal", Text: clip(string(b)), Reason: "retry is not a duration"}
		}
	}
	out.Reason = v.Get("reason")
	*r = out
	return nil
}
