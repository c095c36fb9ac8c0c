package lameduck

import (
	"sync"
	"sync/atomic"

	"github.com/tenure-go/tenure/leadership"
)

// A cell's word packs all that an admission decides on, so that deciding and
// counting are one atomic step:
//
//	bits  0..5   flags, written by drains only
//	bits  6..23  open streams
//	bits 24..42  open units
//	bits 43..63  active requests
const (
	flagDraining  uint64 = 1 << iota // exits are counted and wake the drainer
	flagNoUnits                      // refuses units and streams
	flagNoSingles                    // refuses singles
	flagSealed                       // refuses continuations
	flagLive                         // the cell is a gate's, and not closed
	flagStepped                      // a test has set Cell.step: no short cuts

	phaseFlags = flagDraining | flagNoUnits | flagNoSingles | flagSealed

	streamOne  uint64 = 1 << 6
	streamMask uint64 = (1<<18 - 1) << 6
	unitOne    uint64 = 1 << 24
	unitMask   uint64 = (1<<19 - 1) << 24
	activeOne  uint64 = 1 << 43
	activeMask uint64 = (1<<21 - 1) << 43
	countMask         = streamMask | unitMask | activeMask

	// half is the topmost bit of the active field. The short cuts are left to
	// words without it, so that they need no check of their own for a full
	// field, nor for one that an exit too many has made negative.
	half      uint64 = 1 << 63
	enterSlow        = flagNoSingles | flagStepped | half
	exitSlow         = flagDraining | half
)

// Cell is a counter of one gate on a cache line of its own. Every entry is
// counted in one cell, its token carries that cell, and a continuation is
// counted in the cell of its unit: in another one, a drain that reads cell by
// cell could miss it.
//
// Gate.Enter uses cells that all callers share. A worker on a hot path holds
// a Cell of its own and enters through it: workers then share no written memory.
// Gate.Cell makes one, and it is safe for concurrent use. The zero Cell is
// closed.
type Cell struct {
	_    [64]byte
	word atomic.Uint64
	// gate never changes.
	gate *Gate
	// step is called between the atomic steps of an operation by tests that
	// enumerate interleavings. nil in production.
	step func(string, uint64)
	// epoch counts the ends of drains. A unit admitted in an earlier epoch
	// cannot continue: its leadership is over.
	epoch atomic.Uint32
	// shared says that the cell often counts several entries at once.
	shared atomic.Bool
	_      [32]byte

	lost          atomic.Uint64 // first tries that failed, see Gate.widen and shared
	refused       atomic.Uint64
	finished      atomic.Uint64 // requests that exited while draining
	finishedUnits atomic.Uint64 // units that exited while draining
	endedUnits    atomic.Uint64 // units that a drain ended or cut
	slots         slab

	// mu guards watched. It is taken by whoever first waits for a token's
	// context, by Exit of a token that has such a context, and by drains (under
	// the tree's mutex). Nothing is waited for and no foreign code is called
	// under it.
	mu      sync.Mutex
	watched *waited // contexts to cancel, a doubly linked list
}

// Enter is Gate.Enter, counted in this cell. It returns ErrCellClosed after
// Close.
func (c *Cell) Enter(k Kind) (Token, error) {
	if k == Single && c.first() {
		return Token{fast: c}, nil
	}
	return c.enter(k)
}

// first is single in a cell that one worker has. That counts nothing else as a
// rule: a swap that assumes so need not wait for a load, which waits for the
// last swap.
func (c *Cell) first() bool {
	if c.shared.Load() {
		return c.single()
	}
	return c.word.CompareAndSwap(flagLive, flagLive|activeOne)
}

// single is the first try of a single.
func (c *Cell) single() bool {
	// The swap fails if a drain has closed the cell since the load: a request
	// is counted before the gate closes, or refused.
	w := c.word.Load()
	return w&(enterSlow|flagLive) == flagLive && c.word.CompareAndSwap(w, w+activeOne)
}

// enter is Enter off its fast path.
func (c *Cell) enter(k Kind) (Token, error) {
	if k != Single {
		return c.enterSlot(k, nil)
	}
	if r := c.refuseSingle(); r != nil {
		return Token{}, r
	}
	if err := c.admit(Single); err != nil {
		return Token{}, err
	}
	if !c.shared.Load() && c.lost.Add(1) == contended {
		c.shared.Store(true)
	}
	return Token{fast: c}, nil
}

// admit counts one of k or says why not.
func (c *Cell) admit(k Kind) error {
	for {
		if _, ok := c.add(k); ok {
			return nil
		}
		if err := c.refuse(k); err != nil {
			return err
		}
	}
}

// EnterInfo is Gate.EnterInfo, counted in this cell. Errors as Enter.
func (c *Cell) EnterInfo(k Kind, info Info) (Token, error) {
	return c.enterSlot(k, &info)
}

// Close gives the cell back to its gate. It returns ErrCellInUse, and changes
// nothing, while the cell counts anything; Enter returns ErrCellClosed
// afterwards. Closing twice is a no-op. The cells behind Gate.Enter cannot be
// reached and so not closed.
func (c *Cell) Close() error {
	for {
		w := c.word.Load()
		if w&flagLive == 0 {
			return nil
		}
		if w&countMask != 0 {
			return ErrCellInUse
		}
		if c.word.CompareAndSwap(w, w&^flagLive) {
			c.gate.forget(c)
			return nil
		}
	}
}

// one returns what k adds to the word and which flags refuse it. A cell that
// counts anything is live, so continuations need not ask.
func (k Kind) one() (one, mask, refusing uint64) {
	switch k {
	case Unit:
		return unitOne, unitMask, flagNoUnits
	case Stream:
		return streamOne, streamMask, flagNoUnits
	case continuation:
		return activeOne, activeMask, flagSealed
	}
	return activeOne, activeMask, flagNoSingles
}

// add counts one of k unless the word w that it returns refuses it or is full.
func (c *Cell) add(k Kind) (w uint64, ok bool) {
	one, mask, refusing := k.one()
	for {
		w = c.word.Load()
		if w&refusing != 0 || w&flagLive == 0 || w&mask == mask {
			return w, false
		}
		if c.step != nil {
			c.step("add", w)
		}
		if c.word.CompareAndSwap(w, w+one) {
			return w, true
		}
	}
}

// sub takes one off the field of mask and returns the word left. It does
// nothing when the field is zero: no misuse of tokens can make a count
// negative.
func (c *Cell) sub(one, mask uint64) (w uint64) {
	for {
		w = c.word.Load()
		if w&mask == 0 {
			return w
		}
		if c.step != nil {
			c.step("sub", w)
		}
		if c.word.CompareAndSwap(w, w-one) {
			return w - one
		}
	}
}

// exit is sub for an entry that is over.
func (c *Cell) exit(one, mask uint64) {
	// It goes by the flags of the very word that was swapped. Read before it,
	// a drain could close the gate and go to sleep in between, and the last
	// exit would not wake it.
	if w := c.sub(one, mask); w&flagDraining != 0 {
		c.left(w, mask)
	}
}

// exitActive is exit for a request, in one instruction: requests are counted
// in the topmost bits, so that one exit too many borrows from nobody and is
// put back.
func (c *Cell) exitActive() {
	if c.step != nil {
		c.step("sub", 0)
	}
	if w := c.word.Add(^(activeOne - 1)); w&exitSlow != 0 {
		c.exitedActive(w)
	}
}

// exitedActive is what is left to do when a request went and left the word w.
func (c *Cell) exitedActive(w uint64) {
	switch {
	case w >= activeMask:
		c.word.Add(activeOne)
	case w&flagDraining != 0:
		c.left(w, activeMask)
	}
}

// dropUnit takes a unit that a drain has ended off the count.
func (c *Cell) dropUnit() {
	c.endedUnits.Add(1)
	c.sub(unitOne, unitMask)
}

// left counts an exit during a drain and wakes whoever waits for the last one.
func (c *Cell) left(w, mask uint64) {
	switch mask {
	case activeMask:
		c.finished.Add(1)
	case unitMask:
		c.finishedUnits.Add(1)
	}
	if w&mask == 0 {
		c.gate.signal()
	}
}

// signal wakes the drains of g and of the gates above it.
func (g *Gate) signal() {
	for p := g; p != nil; p = p.parent {
		if r := p.running.Load(); r != nil {
			r.signal()
		}
	}
}

// refuse returns why k is refused now, or nil when it should be tried again
// because the gate has opened meanwhile.
func (c *Cell) refuse(k Kind) error {
	_, mask, refusing := k.one()
	w := c.word.Load()
	switch {
	case w&flagLive == 0:
		return ErrCellClosed
	case w&refusing == 0 && w&mask == mask:
		return &CapacityError{Kind: k, Max: int(mask >> trailing(mask))}
	case w&refusing == 0:
		return nil
	}
	// A closing drain publishes its view before it sets flags and an opening
	// one after it clears them: a flag seen set finds its refusal here, or the
	// gate has opened since.
	v := c.gate.view.Load()
	if v == nil || v.expire.near() && c.gate.expire() {
		return nil
	}
	r := v.refusal(k)
	if r == nil {
		return nil
	}
	c.refused.Add(1)
	return r
}

// refuseSingle is refuse for the one case that is common and must be quick: a
// single, and a drain that has not nearly expired. nil means any other.
func (c *Cell) refuseSingle() *leadership.Refusal {
	if c.word.Load()&(flagNoSingles|flagLive) != flagNoSingles|flagLive {
		return nil
	}
	v := c.gate.view.Load()
	if v == nil || v.phase < DrainAll || v.expire.near() {
		return nil
	}
	c.refused.Add(1)
	return v.refusals.all
}

// setFlags replaces the phase flags by want, except that keep is left as is.
func (c *Cell) setFlags(want, keep uint64) {
	for {
		w := c.word.Load()
		n := w&^(phaseFlags&^keep) | want
		if c.step != nil {
			c.step("flags", w)
		}
		if n == w || c.word.CompareAndSwap(w, n) {
			return
		}
	}
}

// seal refuses continuations from now on, if none is active.
func (c *Cell) seal() bool {
	for {
		w := c.word.Load()
		if w&activeMask != 0 {
			return false
		}
		if w&flagSealed != 0 {
			return true
		}
		if c.step != nil {
			c.step("seal", w)
		}
		if c.word.CompareAndSwap(w, w|flagSealed) {
			return true
		}
	}
}

func (c *Cell) counts() Counts {
	w := c.word.Load()
	return Counts{
		Active:  int(w & activeMask >> 43),
		Units:   int(w & unitMask >> 24),
		Streams: int(w & streamMask >> 6),
	}
}
