package lameduck

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tenure-go/tenure/leadership"
)

// Options configures a gate. The zero value is usable.
type Options struct {
	// Name is shown in reports.
	Name string
	// Term is the term served from the start; zero when it is not known yet.
	Term leadership.Term
	// EndUnit, when set, is called for each idle unit that a drain of this
	// gate, or of one above it, has ended and whose holder was not told by an
	// error of Continue, so that the host can roll it back. Drain calls it
	// outside locks, for several units at a time, and waits for all calls
	// before it returns. ctx ends with the context of Drain, and Plan.Hooks
	// after the last phase; a call that has not returned a tenth of a second
	// later is abandoned: its goroutine is left to itself and the unit is named
	// in Report.Abandoned. Units entered without EnterInfo are reported with a
	// zero Info but for the kind.
	EndUnit func(ctx context.Context, unit Info)

	_ struct{}
}

// Gate admits work to a role, counts it, and can be drained and opened again.
// The zero value is a gate without name and term that serves. A Gate must not
// be copied after first use. All methods are safe for concurrent use.
type Gate struct {
	home    atomic.Pointer[Cell] // the cell behind Enter, nil before the first and when there are stripes
	stripes atomic.Pointer[stripes]
	view    atomic.Pointer[view] // nil means serving
	running atomic.Pointer[run]  // the Drain under way, nil for none
	era     atomic.Pointer[era]  // nil before the first context
	// announced counts how often the gate stopped serving.
	announced atomic.Uint32

	// name, endUnit, parent and step never change once the gate is shared.
	name    string
	endUnit func(context.Context, Info)
	parent  *Gate
	step    func(string, uint64)

	// mu, of the topmost gate only, guards what follows in every gate of the
	// tree. It is taken by whatever changes or reads phases (Drain, Resume,
	// Serve, Seal, State, Changed, Cell, Child), never by Enter and Exit but
	// for the first entry and for an expired drain. Nothing is waited for, and
	// no channel touched, under it.
	mu       sync.Mutex
	children []*Gate
	cells    []*Cell
	own      standing
	folded   totals        // of cells that were closed
	changed  chan struct{} // closed at the next change, nil when nobody asked
	notices  *notices      // nil when nobody asked
}

// standing is a gate's own phase, its ancestors' aside.
type standing struct {
	phase    Phase
	term     leadership.Term
	sealed   leadership.Term
	refusals *refusals // of the latest drain
	expire   *expiry   // nil unless an ended drain undoes itself
	told     int       // shares of the streams that the drain has told
}

// New returns a serving gate, or a *leadership.TermError for a Term that is
// neither zero nor valid.
func New(o Options) (*Gate, error) {
	if !o.Term.IsZero() {
		if err := o.Term.Validate(); err != nil {
			return nil, err
		}
	}
	g := &Gate{name: o.Name, endUnit: o.EndUnit}
	g.own.term = o.Term
	return g, nil
}

// Child returns a new gate below g. It is drained with g and can be drained
// alone; what is in flight at it counts in g's drains. Undoing a drain of g
// does not undo one of its own. Children are kept for the life of g.
func (g *Gate) Child(name string) *Gate {
	ch := &Gate{name: name, parent: g, endUnit: g.endUnit, step: g.step}
	unlock := g.lock()
	g.children = append(g.children, ch)
	done := g.apply()
	unlock()
	done()
	return ch
}

// Name returns the name given to New or Child.
func (g *Gate) Name() string { return g.name }

// Enter admits one entry of kind k, or refuses it with the *leadership.Refusal
// of the drain under way, which costs no allocation. Other errors: *KindError,
// *CapacityError. It never blocks.
func (g *Gate) Enter(k Kind) (Token, error) {
	if c := g.home.Load(); c != nil && k == Single && c.single() {
		return Token{fast: c}, nil
	}
	return g.enter(k)
}

// EnterInfo is Enter for an entry that reports and hooks can name. It costs an
// allocation and reads the clock. Errors as Enter.
func (g *Gate) EnterInfo(k Kind, info Info) (Token, error) { return g.cell().EnterInfo(k, info) }

// Cell returns a new cell for a worker on a hot path to keep. Give it back
// with Close when the worker ends.
func (g *Gate) Cell() *Cell {
	unlock := g.lock()
	defer unlock()
	return g.newCell(false)
}

// newCell is called with the tree locked.
func (g *Gate) newCell(shared bool) *Cell {
	c := &Cell{gate: g, step: g.step}
	c.shared.Store(shared)
	c.word.Store(phaseOf(g.view.Load()).flags() | flagLive)
	if g.step != nil {
		c.word.Or(flagStepped)
	}
	g.cells = append(g.cells, c)
	return c
}

func (g *Gate) forget(c *Cell) {
	unlock := g.lock()
	defer unlock()
	if i := slices.Index(g.cells, c); i >= 0 {
		g.cells = slices.Delete(g.cells, i, i+1)
		g.folded.add(c)
	}
}

// State returns where the gate stands.
func (g *Gate) State() State {
	g.expire()
	unlock := g.lock()
	defer unlock()
	return g.state()
}

// state is called with the tree locked.
func (g *Gate) state() State {
	s := State{Term: g.term(), Sealed: g.own.sealed}
	if v := g.view.Load(); v != nil {
		s.Phase = v.phase
		s.Refusal = v.refusal(Unit)
	}
	return s
}

// term is that of the nearest gate upwards that has one.
func (g *Gate) term() leadership.Term {
	for p := g; p != nil; p = p.parent {
		if !p.own.term.IsZero() {
			return p.own.term
		}
	}
	return leadership.Term{}
}

// Changed returns a channel that is closed at the next change of State. It is
// a level, not an event: take the channel, then read State, then wait. An
// expiry is noticed by the first Enter or State after it, nothing runs to
// announce it.
func (g *Gate) Changed() <-chan struct{} {
	unlock := g.lock()
	defer unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed
}

// InFlight returns what is in flight at the gate and below it. While the gate
// is open it is a sum of exact counts taken one after the other.
func (g *Gate) InFlight() Counts {
	unlock := g.lock()
	defer unlock()
	return g.sum()
}

// Entries lists the units, the streams, and the singles that came in through
// EnterInfo, at the gate and below it, as they were at some time during the
// call of Entries.
func (g *Gate) Entries() iter.Seq[Info] {
	unlock := g.lock()
	var all []Info
	g.eachCell(func(c *Cell) {
		c.slots.each(func(s *slot) {
			if info, _, st := s.read(); st&(slotOpen|slotCut) != 0 {
				all = append(all, info)
			}
		})
	})
	unlock()
	return slices.Values(all)
}

// eachCell is called with the tree locked.
func (g *Gate) eachCell(f func(*Cell)) {
	g.each(func(g *Gate) {
		for _, c := range g.cells {
			f(c)
		}
	})
}

// each is called with the tree locked.
func (g *Gate) each(f func(*Gate)) {
	f(g)
	for _, ch := range g.children {
		ch.each(f)
	}
}

func (g *Gate) sum() (n Counts) {
	g.eachCell(func(c *Cell) {
		k := c.counts()
		n.Active += k.Active
		n.Units += k.Units
		n.Streams += k.Streams
	})
	return n
}
