package lameduck

import "time"

// Token is one admitted entry, to be given back by exactly one Exit. It is a
// value: getting one allocates nothing. The zero Token is nobody's: its Exit
// is a no-op.
//
// Exit forgets the token, so that a second Exit of the same variable is a
// no-op. Exit of a copy after the fact is found out for units, streams and
// whatever came in through EnterInfo (the token names a slot and its
// generation). A plain single has no slot, that is what makes it cost two
// atomic operations: do not Exit two copies of one. Even then no count ever
// becomes negative.
//
// Methods of one Token variable must not be called concurrently; a unit's
// continuations are tokens of their own and may run concurrently.
type Token struct {
	// Four words, so that the compiler keeps a token in registers.
	fast *Cell // of a single without slot and context, nil for all others
	s    *slot
	ctx  *tokenContext // the latest, nil for none
	ref  ref
}

// cell is where the token is counted, nil for the zero Token.
func (t *Token) cell() *Cell {
	switch {
	case t.fast != nil:
		return t.fast
	case t.s != nil:
		return t.s.cell
	case t.ctx != nil:
		return t.ctx.cell
	}
	return nil
}

// ref is what a token knows of its slot: the generation in bits 0..31, the
// epoch of its admission in bits 32..61 (for a stream, how often its gate had
// been announced), the kind in bits 62..63.
type ref uint64

const epochMask = 1<<30 - 1

func newRef(gen, epoch uint32, k Kind) ref {
	return ref(gen) | ref(epoch&epochMask)<<32 | ref(k)<<62
}

func (r ref) gen() uint32   { return uint32(r) }
func (r ref) epoch() uint32 { return uint32(r>>32) & epochMask }
func (r ref) kind() Kind    { return Kind(r >> 62) }

// enterSlot admits an entry that has a slot.
func (c *Cell) enterSlot(k Kind, info *Info) (Token, error) {
	if k > Stream {
		return Token{}, &KindError{Kind: k}
	}
	// Read before the admission: if a drain ends in between, the unit counts
	// as one of the ended leadership and is told to restart. The other order
	// would let it live on in the next one.
	epoch := c.epoch.Load()
	if k == Stream && c.gate != nil {
		epoch = c.gate.announced.Load()
	}
	if err := c.admit(k); err != nil {
		return Token{}, err
	}
	if c.step != nil {
		c.step("open", 0)
	}
	s := c.slots.get(c)
	if info != nil {
		in := *info
		in.Kind, in.Since = k, time.Now()
		s.info.Store(&in)
	}
	s.kind.Store(uint32(k))
	gen := uint32(s.state.Load() >> slotGen)
	s.state.Store(uint64(gen)<<slotGen | slotOpen)
	return Token{s: s, ref: newRef(gen, epoch, k)}, nil
}

// Continue admits the next request of the unit that t belongs to (t is the
// unit's token or that of another continuation). It is never refused before
// the unit is ended, which happens when the drain finds no request running in
// DrainAll, and at Cancelled. Errors: *RestartUnitError when the unit was ended
// while idle, *UnitCutError when it was cut while another of its requests ran,
// ErrNotUnit, ErrExited, *CapacityError. A unit that was refused once stays
// ended, even if the drain is undone.
func (t *Token) Continue() (Token, error) {
	if t.s == nil || t.ref.kind() != Unit && t.ref.kind() != continuation {
		return Token{}, ErrNotUnit
	}
	c, s := t.s.cell, t.s
	if st := s.state.Load(); uint32(st>>slotGen) != t.ref.gen() || st&slotExited != 0 {
		return Token{}, ErrExited
	}
	// First the cell, where a drain decides, then the slot, which says whose
	// request it is.
	if w, ok := c.add(continuation); !ok {
		switch {
		case w&flagSealed != 0:
			return Token{}, t.stop()
		case w&flagLive == 0: // closed, so the unit has gone since it was looked at
			return Token{}, ErrExited
		}
		return Token{}, &CapacityError{Kind: continuation, Max: int(activeMask >> 43)}
	}
	stale := c.epoch.Load()&epochMask != t.ref.epoch()
	for {
		st := s.state.Load()
		if c.step != nil {
			c.step("continue", st^uint64(c.epoch.Load()&epochMask-t.ref.epoch())<<60)
		}
		if stale || uint32(st>>slotGen) != t.ref.gen() || st&slotOpen == 0 || st&slotActive == slotActive {
			c.exitActive()
			return Token{}, t.stop()
		}
		if s.state.CompareAndSwap(st, st+1) {
			return Token{s: s, ref: newRef(t.ref.gen(), t.ref.epoch(), continuation)}, nil
		}
	}
}

// stop ends the unit, if nobody has, and says how it ended.
func (t *Token) stop() error {
	if ended, cut := t.s.end(t.ref.gen()); ended || cut {
		t.s.cell.dropUnit()
		t.s.cell.gate.signal()
	}
	st := t.s.state.Load()
	switch r := t.s.cell.gate.lastRefusal(); {
	case uint32(st>>slotGen) != t.ref.gen():
		return ErrExited
	case st&slotCut != 0:
		return r.cut
	case st&slotEnded != 0:
		return r.restart
	}
	return ErrExited
}

// Exit gives the token back and ends its context, if it has one. It is called
// once the request, unit or stream is over; a second call is a no-op. A unit
// that commits or rolls back is exited right after: RestartUnitError is a
// proof only of units that had not committed. Exit never blocks.
func (t *Token) Exit() {
	// Forgotten first: the second Exit of this variable finds nothing.
	if c := t.fast; c != nil {
		t.fast = nil
		if w := c.word.Add(^(activeOne - 1)); w&exitSlow != 0 {
			c.exitedActive(w)
		}
		return
	}
	t.exit()
}

// exit is Exit of anything but a plain single.
func (t *Token) exit() {
	old := *t
	*t = Token{}
	if old.ctx != nil {
		old.ctx.release()
	}
	switch {
	case old.s != nil:
		old.exitSlot()
	case old.ctx != nil:
		old.ctx.cell.exitActive()
	}
}

func (t *Token) exitSlot() {
	c, s := t.s.cell, t.s
	for {
		st := s.state.Load()
		if uint32(st>>slotGen) != t.ref.gen() {
			return
		}
		n := st
		if t.ref.kind() == continuation {
			if st&slotActive == 0 {
				return
			}
			n--
		} else {
			if st&slotExited != 0 {
				return
			}
			n = n&^slotOpen | slotExited
		}
		n, free := freed(n)
		if c.step != nil {
			c.step("exit", st)
		}
		if !s.state.CompareAndSwap(st, n) {
			continue
		}
		switch {
		case t.ref.kind() == continuation:
			c.exitActive()
		case st&slotOpen != 0:
			one, mask, _ := t.ref.kind().one()
			c.exit(one, mask)
		}
		if free {
			// Before it can be taken again: a gate keeps nobody's Owner.
			if s.info.Load() != nil {
				s.info.Store(nil)
			}
			c.slots.put(s)
		}
		return
	}
}

// Draining returns a channel that is closed once the gate is announced to
// drain: what a stream waits for to say goodbye. A plan's Spread tells the
// streams one after the other: a stream that was open at the announcement is
// told at its share of it, whatever entered later at once. After an undo a new
// call returns a new channel. For the zero Token it is nil.
func (t *Token) Draining() <-chan struct{} {
	c := t.cell()
	if c == nil {
		return nil
	}
	if t.s == nil || t.ref.kind() != Stream {
		return c.gate.Draining()
	}
	return c.gate.streamNotice(t.s.share(t.ref.gen()), t.ref.epoch())
}
