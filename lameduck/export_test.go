package lameduck

import "fmt"

// SetStep must be called before the gate is used.
func SetStep(g *Gate, f func(string, uint64)) { g.step = f }

// Locked reports whether someone holds the tree's mutex.
func Locked(g *Gate) bool {
	if g.mu.TryLock() {
		g.mu.Unlock()
		return false
	}
	return true
}

// PhaseNow reads the phase without the mutex.
func PhaseNow(g *Gate) Phase { return phaseOf(g.view.Load()) }

// Fingerprint is the shared state of a gate and all below it, read without the
// mutex while every goroutine is parked.
func Fingerprint(g *Gate) string {
	s := fmt.Sprint(g.own.phase, PhaseNow(g), g.own.refusals != nil, g.own.sealed)
	if r := g.running.Load(); r != nil {
		s += fmt.Sprint(" run", len(r.wake), r.undone)
	}
	for _, c := range g.cells {
		s += fmt.Sprintf(" %x/%d", c.word.Load(), c.epoch.Load())
		c.slots.each(func(sl *slot) {
			if st := sl.state.Load(); st != 0 {
				s += fmt.Sprintf(",%d:%x", sl.index, st)
			}
		})
	}
	for _, ch := range g.children {
		s += "(" + Fingerprint(ch) + ")"
	}
	return s
}

const ActiveOne, ActiveMask = activeOne, activeMask

// Widen is what lost races do to a gate.
func Widen(g *Gate) {
	g.cell()
	g.widen()
}

// CellsInUse is the number of cells that count something.
func CellsInUse(g *Gate) (n int) {
	g.eachCell(func(c *Cell) {
		if c.word.Load()&countMask != 0 {
			n++
		}
	})
	return n
}
