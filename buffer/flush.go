package buffer

import (
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Flush paces the release of held requests. A new leader starts with cold
// caches and empty pools; a queue released at once is the first thing that
// can take it down.
type Flush struct {
	// Start is how many released requests may run at once when a flush
	// begins. 0 means 4, or Max when that is less.
	Start int
	// Max is how many may run at once at most. 0 means 64, or Start when that
	// is more. A request keeps its slot until its function returns.
	Max int
	// Every is how long a flush stays at one width when its requests neither
	// finish nor are refused; then the width doubles, as it does after each
	// full width of requests that the leader answered. It halves instead when
	// those took on average Every longer than twice the best full width of
	// this flush, and, after a pause of 1ms to 20ms, when a request does not
	// reach the leader. 0 means 10ms.
	Every time.Duration
	// Jitter is the most by which the first release to a new leadership is
	// put off, by a random time. Many proxies see a new leader in the same
	// moment; with it they do not all flush at it in that moment. 0 means at
	// once.
	Jitter time.Duration
	// Seed chooses the random times: those of one seed, lane and term are the
	// same. It should differ between the proxies of a fleet. 0 means one that
	// New draws.
	Seed uint64

	_ struct{}
}

// jitter is the delay of a lane's flush to a leadership: the same for the same
// seed, lane and term.
func (f *Flush) jitter(lane string, t leadership.Term) time.Duration {
	if f.Jitter == 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, lane+"\x00"+t.String())
	return time.Duration(rand.New(rand.NewPCG(f.Seed, h.Sum64())).Int64N(int64(f.Jitter) + 1))
}

// ramp is the pace of a flush, guarded by Lane.mu.
type ramp struct {
	width    int
	answered int             // of the current width
	spent    time.Duration   // by those
	best     time.Duration   // least mean of a width in this flush, 0 for none yet
	widenAt  time.Duration   // when it is widened though nobody answers
	restAt   time.Duration   // nothing is released before
	cut      uint64          // epoch of the view under which it was narrowed last
	startAt  time.Duration   // of the flush, for jitter
	term     leadership.Term // jitter was drawn for
}

// putOff draws when the flush to the leadership of now may begin.
//
//go:noinline
func (l *Lane) putOff(now time.Duration) {
	r := &l.ramp
	r.term, r.startAt = l.cur.Term, now+l.b.cfg.Flush.jitter(l.key, l.cur.Term)
}

// flush releases whose turn it is as far as the width allows, and returns when
// to look again.
func (l *Lane) flush(now time.Duration, fx *effects) time.Duration {
	r := &l.ramp
	if r.term != l.cur.Term {
		l.putOff(now)
	}
	if now < r.startAt {
		return r.startAt
	}
	if !l.flushing {
		l.beginFlush(now, fx)
	}
	if now < r.restAt {
		return r.restAt
	}
	if now >= r.widenAt {
		l.widen(now, l.b.cfg.Flush.Every)
	}
	for l.running < r.width {
		w := l.pick(now, fx)
		if w == nil {
			return math.MaxInt64 // until somebody answers or arrives
		}
		l.running++
		l.peak = max(l.peak, l.running)
		l.n.Flushed++
		l.release(w, l.view.Load(), roleFlush, fx)
	}
	return r.widenAt
}

// beginFlush is out of line, as is whatever else is rare and needs much stack:
// each request that a flush released goes through step when it was answered, on
// the stack on which it waited.
//
//go:noinline
func (l *Lane) beginFlush(now time.Duration, fx *effects) {
	f, r := &l.b.cfg.Flush, &l.ramp
	l.flushing = true
	*r = ramp{width: f.Start, widenAt: now + f.Every, startAt: r.startAt, term: r.term}
	l.publish(fx)
	l.resumed = l.view.Load().epoch
	r.cut = l.resumed
}

// answeredIn takes in that the leader answered a released request after d. Each
// full width of answers doubles it, or halves it when they took much longer.
func (l *Lane) answeredIn(now, d time.Duration, fx *effects) {
	f, r := &l.b.cfg.Flush, &l.ramp
	l.tries = 0
	r.answered++
	r.spent += d
	if r.answered < r.width {
		return
	}
	mean := r.spent / time.Duration(r.answered)
	if r.best != 0 && mean > 2*r.best+f.Every {
		l.narrow(fx)
		r.widenAt = now + max(f.Every, 4*mean)
		return
	}
	if r.best == 0 || mean < r.best {
		r.best = max(mean, 1)
	}
	r.answered, r.spent = 0, 0
	l.widen(now, max(f.Every, 2*mean))
}

// widen doubles the width, and does it again after every if nobody answers.
func (l *Lane) widen(now, every time.Duration) {
	r := &l.ramp
	r.width = min(2*r.width, l.b.cfg.Flush.Max)
	if r.widenAt = now + every; r.width == l.b.cfg.Flush.Max {
		r.widenAt = math.MaxInt64
	}
}

// narrow halves the width. What was released before tells nothing about it.
func (l *Lane) narrow(fx *effects) {
	r := &l.ramp
	r.width = max(r.width/2, 1)
	r.answered, r.spent = 0, 0
	l.publish(fx)
	r.cut = l.view.Load().epoch
}

// notSent takes in that a released request did not reach the leader: it is put
// back, and the flush goes on at half its width after a pause. When nothing but
// single requests are released it pauses until one of them gets through.
func (l *Lane) notSent(now time.Duration, c *call, fx *effects) {
	r := &l.ramp
	switch {
	case !l.flushing || c.v.epoch < r.cut:
		return
	case r.width == 1:
		l.paused, l.flushing = true, false
		l.nextProbe = now + l.backoff()
		return
	}
	l.narrow(fx)
	r.restAt = now + l.backoff()
	r.widenAt = r.restAt + l.b.cfg.Flush.Every
}
