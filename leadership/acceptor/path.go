package acceptor

import "github.com/tenure-go/tenure/leadership"

// Token is the proof of an Admit, good for any number of Confirms. The zero
// Token confirms nothing.
type Token struct{ e *epoch }

// Admit begins the acceptance of an entry from l: from the leader that the
// node follows, or from itself under its own grant. Write the entry, fsync it,
// Confirm the token, and acknowledge only after that.
//
// It neither blocks nor allocates. It compares l in full; a replication stream
// that carries many entries of one leadership resolves it once, with Stream.
//
// It returns a *leadership.StaleTermError when l's term is below the promise, a
// *TwoLeadersError when another leader is known under l's term, else a
// *GateError; all of them prove that the entry was not taken.
func (a *Acceptor) Admit(l leadership.Leadership) (Token, error) {
	if e := a.open.Load(); e != nil && e.Leadership == l {
		return Token{e}, nil
	}
	v := a.view.Load()
	if v == nil {
		return Token{}, ErrNotOpen
	}
	return Token{}, v.refuse(l)
}

// Stream is a leadership whose entries a node takes, looked up once: the data
// path of a replication stream, or of a leader's own writes. It is a value, safe
// for concurrent use. The zero Stream admits nothing.
type Stream struct {
	a *Acceptor
	e *epoch
}

// Stream returns the stream of l. Errors as Admit: the gate must be open for l.
func (a *Acceptor) Stream(l leadership.Leadership) (Stream, error) {
	t, err := a.Admit(l)
	if err != nil {
		return Stream{}, err
	}
	return Stream{a, t.e}, nil
}

// Admit is Acceptor.Admit for the stream's leadership, at the cost of one
// atomic load. Once the gate was shut, also for a moment, the stream admits
// nothing more, whoever is followed since: look it up again.
func (s Stream) Admit() (Token, error) {
	if s.e != nil && s.a.open.Load() == s.e {
		return Token{s.e}, nil
	}
	return s.refused()
}

func (s Stream) refused() (Token, error) {
	if s.e == nil {
		return Token{}, errNoToken
	}
	if _, err := s.a.Admit(s.e.Leadership); err != nil {
		return Token{}, err
	}
	return Token{}, &s.e.lost
}

// Confirm ends the acceptance. nil says that the gate was open for the admitted
// leadership all along, so that every Recruit that returns later had its read
// after the entry was on disk: acknowledge. An *UnconfirmedError says that the
// gate was shut meanwhile: the entry may be in the log, do not acknowledge.
//
// A log that wants no entry of a lower term to land after a higher promise
// calls Confirm under its own mutex right before the write as well, and takes
// that mutex in the read function of Recruit. After a nil an empty Reading is
// refused, for as long as the Acceptor lives: see ShortReadingError.
//
// It neither blocks nor allocates.
func (a *Acceptor) Confirm(t Token) error {
	// Tokens keep their epoch alive, so no later one has its address.
	if t.e != nil && a.firm.Load() == t.e {
		return nil
	}
	return a.confirm(t)
}

func (a *Acceptor) confirm(t Token) error {
	switch {
	case t.e != nil && a.open.Load() == t.e:
		a.filled.Store(true)
		// Looked at again: a promise that shuts the gate after this sees the
		// log filled when it has read.
		if a.open.Load() == t.e {
			return nil
		}
		return &t.e.lost
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
