package acceptor

import (
	"unsafe"

	"github.com/tenure-go/tenure/leadership"
)

// Token is the proof of an Admit, good for any number of Confirms. The zero
// Token confirms nothing.
type Token struct{ e *epoch }

// Admit begins the acceptance of an entry from l: from the leader that the
// node follows, or from itself under its own grant. Write the entry, fsync it,
// Confirm the token, and acknowledge only after that.
//
// It neither blocks nor allocates. It is fastest for the l that was passed to
// Follow or Install, or a copy of it; an equal one whose strings were decoded
// anew costs a comparison of them, a few ns more.
//
// It returns a *leadership.StaleTermError when l's term is below the promise, a *TwoLeadersError when another leader
// is known under l's term, else a *GateError; all of them prove that the entry
// was not taken.
func (a *Acceptor) Admit(l leadership.Leadership) (Token, error) {
	// A leader's name is nearly always the very string that Follow was given.
	// Comparing addresses first makes this a leaf that spills nothing.
	if e := a.open.Load(); e != nil && e.Term.Num == l.Term.Num &&
		identical(string(e.Leader), string(l.Leader)) && identical(e.Term.Proposer, l.Term.Proposer) {
		return Token{e}, nil
	}
	return a.admit(l)
}

// identical reports whether two strings share their bytes in memory; false says
// nothing. The addresses are compared and never followed.
func identical(s, t string) bool {
	return len(s) == len(t) && unsafe.StringData(s) == unsafe.StringData(t)
}

// admit is Admit for a leadership whose strings were made elsewhere, and for
// what is refused.
func (a *Acceptor) admit(l leadership.Leadership) (Token, error) {
	if e := a.open.Load(); e != nil && e.Leadership == l {
		return Token{e}, nil
	}
	v := a.view.Load()
	if v == nil {
		return Token{}, ErrNotOpen
	}
	return Token{}, v.refuse(l)
}

// Confirm ends the acceptance. nil says that the gate was open for the admitted
// leadership all along, so that every Recruit that returns later had its read
// after the entry was on disk: acknowledge. An *UnconfirmedError says that the
// gate was shut meanwhile: the entry may be in the log, do not acknowledge.
//
// A log that wants no entry of a lower term to land after a higher promise
// calls Confirm under its own mutex right before the write as well, and takes
// that mutex in the read function of Recruit.
//
// It neither blocks nor allocates.
func (a *Acceptor) Confirm(t Token) error {
	// Tokens keep their epoch alive, so no later one has its address.
	if t.e != nil && a.open.Load() == t.e {
		return nil
	}
	return a.unconfirmed(t)
}

func (a *Acceptor) unconfirmed(t Token) error {
	switch {
	case a.view.Load() == nil:
		return ErrNotOpen
	case t.e == nil:
		return errNoToken
	}
	return &t.e.lost
}

var errNoToken = &ArgumentError{"token", "no Admit made it"}

// Complete opens a completion bracket at the leader of t. Inside it the leader
// decides that an entry is complete, or answers a read from its own state; then
// it calls Done, exactly once. StepDown and every promise above t wait for open
// brackets, so keep no bracket open across a wait, and never call a promise
// from inside one.
//
// It neither blocks nor allocates. It returns a *leadership.StaleTermError when
// t is below the promise, else a *GateError when the node does not lead t.
func (a *Acceptor) Complete(t leadership.Term) (Completion, error) {
	v := a.view.Load()
	if v == nil {
		return Completion{}, ErrNotOpen
	}
	if !v.changing && !t.IsZero() && v.lead == t && v.gate.enter() {
		return Completion{v.gate}, nil
	}
	// A gate is shut only after the view that says so was published.
	v = a.view.Load()
	if t.Less(v.Promised) {
		return Completion{}, v.staleAt(t)
	}
	return Completion{}, v.refusal
}
