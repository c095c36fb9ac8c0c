package lameduck

import "unsafe"

const (
	stripeBits = 4
	// contended is how many lost races for the one cell behind Gate.Enter make
	// the gate count in more.
	contended = 64
)

// stripes are the cells behind Gate.Enter once callers have raced for one.
type stripes [1 << stripeBits]*Cell

// pick returns the same cell to the same goroutine, most of the time, and
// different ones to different goroutines, often enough: what tells goroutines
// apart at no cost is where their stacks are. A token carries its cell, so a
// stack that moves meanwhile does no harm.
func (s *stripes) pick() *Cell {
	var here byte
	const minStack = 2048
	return s[uint64(uintptr(unsafe.Pointer(&here)))/minStack*0x9E3779B97F4A7C15>>(64-stripeBits)]
}

// enter is Enter when the short cut was closed: the first entry, anything but
// a single, a refusal, a lost race, or a gate that is wide.
func (g *Gate) enter(k Kind) (Token, error) {
	if s := g.stripes.Load(); s != nil {
		c := s.pick()
		if k == Single && c.single() {
			return Token{fast: c}, nil
		}
		return c.enter(k)
	}
	c := g.cell()
	if k == Single && c.word.Load()&enterSlow == 0 && c.lost.Add(1) == contended {
		g.widen()
	}
	return c.enter(k)
}

// widen opens more cells behind Enter and closes the short cut to the one.
func (g *Gate) widen() {
	unlock := g.lock()
	defer unlock()
	if g.stripes.Load() != nil {
		return
	}
	s := &stripes{g.home.Load()}
	for i := 1; i < len(s); i++ {
		s[i] = g.newCell(true)
	}
	g.stripes.Store(s)
	g.home.Store(nil)
}

// cell is one behind Enter.
func (g *Gate) cell() *Cell {
	if c := g.home.Load(); c != nil {
		return c
	}
	if s := g.stripes.Load(); s != nil {
		return s.pick()
	}
	unlock := g.lock()
	defer unlock()
	if s := g.stripes.Load(); s != nil {
		return s[0]
	}
	c := g.home.Load()
	if c == nil {
		c = g.newCell(true)
		g.home.Store(c)
	}
	return c
}
