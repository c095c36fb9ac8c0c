package lameduck_test

import (
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// modelUnit is a unit as the model sees it.
type modelUnit struct {
	tok        lameduck.Token
	at         int // the gate
	conts      []lameduck.Token
	ended, cut bool
}

type modelStream struct {
	tok       lameduck.Token
	at        int
	announced int // how often its gate had been announced when it entered
}

type modelSingle struct {
	tok lameduck.Token
	at  int
}

// modelGate is one gate's own standing.
type modelGate struct {
	phase        lameduck.Phase
	term, sealed leadership.Term
	plan         lameduck.Plan
	draining     bool
	stage        lameduck.Phase // of the drain; phase is ahead of it if one was held
	began, until time.Time      // of the drain, of the stage
	expire       time.Time
	allTold      bool
	announced    int
	was          lameduck.Phase // the effective phase when last looked at
}

// model is a gate and its child as one would write them without concurrency:
// gates[0] is the parent.
type model struct {
	gates   [2]modelGate
	last    time.Time // up to when the phases are settled
	singles []modelSingle
	streams []modelStream
	units   []*modelUnit
}

func (m *model) phase(i int) lameduck.Phase { return max(m.gates[0].phase, m.gates[i].phase) }

func (m *model) term(i int) leadership.Term {
	if m.gates[i].term.IsZero() {
		return m.gates[0].term
	}
	return m.gates[i].term
}

func (m *model) admits(i int, k lameduck.Kind) bool {
	p := m.phase(i)
	return p < lameduck.DrainUnits || p == lameduck.DrainUnits && k == lameduck.Single
}

// counts is what is in flight at gate i and below.
func (m *model) counts(i int) (n lameduck.Counts) {
	for _, s := range m.singles {
		if s.at >= i {
			n.Active++
		}
	}
	for _, s := range m.streams {
		if s.at >= i {
			n.Streams++
		}
	}
	for _, u := range m.units {
		if u.at < i {
			continue
		}
		n.Active += len(u.conts)
		if !u.ended && !u.cut {
			n.Units++
		}
	}
	return n
}

func (m *model) stopUnits(i int) {
	for _, u := range m.units {
		if u.at >= i && !u.ended && !u.cut {
			u.cut = len(u.conts) > 0
			u.ended = !u.cut
		}
	}
}

// settle moves the phases that are due by now. Only sleeping takes time, and
// it changes no count: whatever waits for a count goes on when that changes.
func (m *model) settle(now time.Time) {
	for m.stepNow() || m.stepTo(now) {
	}
	m.last = now
	for i := range m.gates {
		g := &m.gates[i]
		if !g.draining && g.phase != lameduck.Serving && !g.expire.IsZero() && !now.Before(g.expire) {
			g.open()
		}
	}
	m.look()
}

// stepNow moves one drain that waits for nothing.
func (m *model) stepNow() bool {
	for i := range m.gates {
		g := &m.gates[i]
		if !g.draining {
			continue
		}
		n := m.counts(i)
		switch {
		case g.stage == lameduck.DrainUnits && n.Units == 0:
			g.next(m.last)
		case g.stage >= lameduck.DrainAll && n.Active == 0:
			m.end(i)
		default:
			continue
		}
		return true
	}
	return false
}

// stepTo moves the drain whose cap is the next to run out, if it has by now.
func (m *model) stepTo(now time.Time) bool {
	first := -1
	for i := range m.gates {
		if g := &m.gates[i]; g.draining && !now.Before(g.until) && (first < 0 || g.until.Before(m.gates[first].until)) {
			first = i
		}
	}
	if first < 0 {
		return false
	}
	g := &m.gates[first]
	m.last = g.until
	switch g.stage {
	case lameduck.DrainAll:
		m.stopUnits(first)
		g.phase, g.stage, g.until, g.allTold = lameduck.Cancelled, lameduck.Cancelled, m.last.Add(g.plan.Cancel), true
	case lameduck.Cancelled:
		m.end(first)
	default:
		g.next(m.last)
	}
	return true
}

func (m *model) end(i int) {
	g := &m.gates[i]
	m.stopUnits(i)
	g.phase, g.draining, g.allTold = lameduck.Drained, false, true
	if m.counts(i).Active > 0 {
		g.phase = lameduck.Forced
	}
	g.arm(m.last)
}

func (g *modelGate) arm(now time.Time) {
	if g.plan.Expire > 0 {
		g.expire = now.Add(g.plan.Expire)
	}
}

func (g *modelGate) begin(p lameduck.Plan, now time.Time) {
	g.allTold = g.phase != lameduck.Serving || p.Spread == 0
	g.plan, g.draining, g.stage, g.began, g.expire = p, true, lameduck.Serving, now, time.Time{}
	g.next(now)
}

// next enters the next stage before DrainAll that has a cap, or DrainAll.
func (g *modelGate) next(from time.Time) {
	switch {
	case g.stage < lameduck.Announced && g.plan.Announce > 0:
		g.stage, g.until = lameduck.Announced, from.Add(g.plan.Announce)
	case g.stage < lameduck.DrainUnits && g.plan.Units > 0:
		g.stage, g.until = lameduck.DrainUnits, from.Add(g.plan.Units)
	default:
		g.stage, g.until = lameduck.DrainAll, from.Add(g.plan.All)
	}
	g.phase = max(g.phase, g.stage)
}

func (g *modelGate) open() {
	g.phase, g.draining, g.expire, g.sealed = lameduck.Serving, false, time.Time{}, leadership.Term{}
}

// breakOff is what the end of a drain's context does.
func (g *modelGate) breakOff(now time.Time) {
	switch {
	case !g.draining:
	case g.plan.Hold:
		g.draining, g.allTold = false, true
		g.arm(now)
	default:
		g.open()
	}
}

// look counts announcements. Between two looks no gate opens and closes again.
func (m *model) look() {
	for i := range m.gates {
		p := m.phase(i)
		if p != lameduck.Serving && m.gates[i].was == lameduck.Serving {
			m.gates[i].announced++
		}
		m.gates[i].was = p
	}
}

// told reports whether the stream must have been told by now, and whether it
// may have been.
func (m *model) told(s modelStream, now time.Time) (must, may bool) {
	if m.phase(s.at) == lameduck.Serving {
		return false, false
	}
	must = s.announced == m.gates[s.at].announced // entered since
	for _, i := range []int{0, s.at} {
		if g := &m.gates[i]; g.phase != lameduck.Serving {
			must = must || g.allTold || now.Sub(g.began) >= g.plan.Spread
		}
	}
	return must, true
}
