package lameduck

import (
	"math/rand/v2"
	"time"
)

// shares is into how many parts the streams of a gate are divided for
// Plan.Spread.
const shares = 64

// share is the same for the whole life of a stream, and even over streams.
func (s *slot) share(gen uint32) int {
	return int((uint64(gen)<<32 | uint64(s.index)) * 0x9E3779B97F4A7C15 >> 58)
}

// notices are the channels that say goodbye: one for the gate and one for each
// share of its streams, closed when told. Guarded by the tree's mutex.
type notices struct {
	gate     chan struct{}
	gateTold bool
	streams  [shares]chan struct{}
	told     int // of streams
}

// Draining returns a channel that is closed once the gate is announced to
// drain. After an undo a new call returns a new channel.
func (g *Gate) Draining() <-chan struct{} {
	return g.ask(func(n *notices) *chan struct{} { return &n.gate })
}

// streamNotice is Draining of a stream of the share that entered when the gate
// had been announced as often as epoch says.
func (g *Gate) streamNotice(share int, epoch uint32) <-chan struct{} {
	return g.ask(func(n *notices) *chan struct{} {
		if n.gateTold && epoch == g.announced.Load()&epochMask {
			return &n.gate
		}
		return &n.streams[share]
	})
}

// ask returns the channel that of chooses, closed if it has been told.
func (g *Gate) ask(of func(*notices) *chan struct{}) <-chan struct{} {
	unlock := g.lock()
	if g.notices == nil {
		g.notices = &notices{}
	}
	var closing []chan struct{}
	// What has been told already is told again to the channel made here.
	g.tell(&closing)
	at := of(g.notices)
	fresh := *at == nil
	if fresh {
		*at = make(chan struct{})
	}
	ch := *at
	if fresh && g.notices.hasTold(at) {
		closing = append(closing, ch)
	}
	unlock()
	closeAll(closing)
	return ch
}

func (n *notices) hasTold(at *chan struct{}) bool {
	if at == &n.gate {
		return n.gateTold
	}
	for i := range n.told {
		if at == &n.streams[i] {
			return true
		}
	}
	return false
}

// tell brings the notices of g in line with its phase and appends what is to be
// closed. It is called with the tree locked.
func (g *Gate) tell(closing *[]chan struct{}) {
	n := g.notices
	switch {
	case n == nil:
	case phaseOf(g.view.Load()) == Serving:
		if n.gateTold {
			n.gate = nil
		}
		clear(n.streams[:n.told])
		n.gateTold, n.told = false, 0
	default:
		if !n.gateTold && n.gate != nil {
			*closing = append(*closing, n.gate)
		}
		n.gateTold = true
		for told := g.told(); n.told < told; n.told++ {
			if ch := n.streams[n.told]; ch != nil {
				*closing = append(*closing, ch)
			}
		}
	}
}

// told is how many shares of the streams some drain has told.
func (g *Gate) told() (n int) {
	for p := g; p != nil; p = p.parent {
		if p.own.phase != Serving {
			n = max(n, p.own.told)
		}
	}
	return n
}

func closeAll(closing []chan struct{}) {
	for _, ch := range closing {
		close(ch)
	}
}

// spread tells the streams of a drain share by share, from the goroutine that
// drains.
type spread struct {
	over  time.Duration // Plan.Spread
	begin time.Time
	next  time.Duration // after begin, when the next share is told
	timer *time.Timer   // nil when all have been told
}

func (s *spread) start(over time.Duration) {
	s.over, s.begin = over, time.Now()
	s.next = s.moment(0)
	s.timer = time.NewTimer(s.next)
}

// moment is when the share is told: anywhere in its own part of the whole.
func (s *spread) moment(share int) time.Duration {
	part := float64(s.over) / shares
	return time.Duration((float64(share) + rand.Float64()) * part)
}

func (s *spread) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

func (s *spread) due() <-chan time.Time {
	if s.timer == nil {
		return nil
	}
	return s.timer.C
}

// tellShares tells all shares whose moment has come.
func (r *run) tellShares() {
	s := &r.spread
	if s.timer == nil {
		return
	}
	unlock := r.g.lock()
	if r.undone {
		unlock()
		s.stop()
		return
	}
	var closing []chan struct{}
	own := &r.g.own
	for ; own.told < shares && time.Since(s.begin) >= s.next; own.told++ {
		s.next = s.moment(own.told + 1)
	}
	r.g.each(func(g *Gate) { g.tell(&closing) })
	all := own.told == shares
	unlock()
	closeAll(closing)
	if all {
		s.stop()
		return
	}
	s.timer.Reset(s.next - time.Since(s.begin))
}

// tellAll is called with the tree locked, before apply: what is left is told
// at once.
func (r *run) tellAll() {
	r.g.own.told = shares
	r.spread.stop()
}
