package lameduck

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// A slot's state: bits 0..23 count the active continuations of a unit, bits
// 24..27 are flags, bits 32..63 the generation. A token names a slot and its
// generation, so a token that outlived its slot is found out.
const (
	slotActive uint64 = 1<<24 - 1
	slotOpen   uint64 = 1 << 24 // counted in its cell
	slotEnded  uint64 = 1 << 25 // ended while idle: provably not committed
	slotCut    uint64 = 1 << 26 // ended while active: outcome unknown
	slotExited uint64 = 1 << 27 // its holder is gone, continuations are not
	slotGen           = 32
)

// slot is the record of one unit, stream or labelled single.
type slot struct {
	state atomic.Uint64
	info  atomic.Pointer[Info] // set before a generation opens, nil from its end
	next  atomic.Uint32        // index+1 of the next free slot, 0 at the end
	kind  atomic.Uint32
	index uint32
	cell  *Cell // never changes
}

const chunkLen = 64

type chunk [chunkLen]slot

// slab hands out slots from a lock-free stack. The head carries a tag beside
// the index, because a slot can be popped and pushed back between a load and
// a swap.
type slab struct {
	head   atomic.Uint64 // tag<<32 | index+1
	chunks atomic.Pointer[[]*chunk]
	// mu is taken to grow the slab; chunks is replaced under it, never changed.
	mu sync.Mutex
}

func (b *slab) at(i uint32) *slot {
	return &(*b.chunks.Load())[i/chunkLen][i%chunkLen]
}

// get takes a free slot of the slab of c.
func (b *slab) get(c *Cell) *slot {
	for {
		h := b.head.Load()
		if uint32(h) == 0 {
			b.grow(c)
			continue
		}
		s := b.at(uint32(h) - 1)
		n := (h>>32+1)<<32 | uint64(s.next.Load())
		if b.head.CompareAndSwap(h, n) {
			return s
		}
	}
}

func (b *slab) put(s *slot) {
	for {
		h := b.head.Load()
		s.next.Store(uint32(h))
		if b.head.CompareAndSwap(h, (h>>32+1)<<32|uint64(s.index+1)) {
			return
		}
	}
}

func (b *slab) grow(owner *Cell) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if uint32(b.head.Load()) != 0 {
		return
	}
	var old []*chunk
	if p := b.chunks.Load(); p != nil {
		old = *p
	}
	c := new(chunk)
	for i := range c {
		c[i].index, c[i].cell = uint32(len(old)*chunkLen+i), owner
	}
	all := append(old[:len(old):len(old)], c)
	b.chunks.Store(&all)
	for i := range c {
		b.put(&c[i])
	}
}

// each calls f with every slot ever made.
func (b *slab) each(f func(*slot)) {
	p := b.chunks.Load()
	if p == nil {
		return
	}
	for _, c := range *p {
		for i := range c {
			f(&c[i])
		}
	}
}

// end marks an open unit as ended (or cut, when a continuation of it runs) and
// reports whether this call did it, so that exactly one caller takes the unit
// off its cell's count.
func (s *slot) end(gen uint32) (ended, cut bool) {
	for {
		st := s.state.Load()
		if uint32(st>>slotGen) != gen || st&slotOpen == 0 {
			return false, false
		}
		n, busy := st&^slotOpen|slotEnded, false
		if st&slotActive != 0 {
			n, busy = st&^slotOpen|slotCut, true
		}
		if s.state.CompareAndSwap(st, n) {
			return !busy, busy
		}
	}
}

// freed returns the state after st: the next generation once its holder and
// all continuations are gone.
func freed(st uint64) (next uint64, free bool) {
	if st&slotExited == 0 || st&slotActive != 0 {
		return st, false
	}
	return (st>>slotGen + 1) << slotGen, true
}

// Info describes an entry for reports and hooks.
type Info struct {
	// Label names it for people: a statement, a path, a session.
	Label string
	// Owner is handed back to hooks as it is.
	Owner any
	// Since is when it entered; EnterInfo sets it.
	Since time.Time
	// Kind is set by EnterInfo.
	Kind Kind
	// Active is the number of its requests that run. Set in reports.
	Active int
}

// read returns what is known of an open slot, all of it of one generation.
func (s *slot) read() (info Info, gen uint32, st uint64) {
	for {
		st = s.state.Load()
		p, kind := s.info.Load(), Kind(s.kind.Load())
		if gen = uint32(st >> slotGen); uint32(s.state.Load()>>slotGen) != gen {
			continue // it was let go meanwhile
		}
		if p != nil {
			info = *p
		}
		info.Kind, info.Active = kind, int(st&slotActive)
		if kind == Single {
			info.Active = 1
		}
		return info, gen, st
	}
}

func trailing(mask uint64) int { return bits.TrailingZeros64(mask) }
