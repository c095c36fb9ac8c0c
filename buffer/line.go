package buffer

import (
	"math/bits"
	"time"
)

// line holds all waiters of a lane that wait for their turn. It knows whose
// turn is next, who has waited longest, and who gives way first. Guarded by
// Lane.mu.
type line struct {
	classes [levels]order // the first of each key, and all without a key
	some    uint8         // bit per class that is not empty
	busy    heap          // the first of each key that is being served, by seq
	keys    map[string]*keyed
	spare   *keyed
	spares  int
	crowded bool // keys has grown beyond what is kept
	victims heap // all, by who gives way first, when Overflow needs it
	ageing  time.Duration
	n       int
}

func (q *line) init(cfg *Config) {
	for i := range q.classes {
		q.classes[i].init()
	}
	q.busy.at, q.busy.less = backIndex, earlier
	q.ageing = cfg.Ageing
	q.victims.at, q.victims.less = victimIndex, cfg.Overflow.givesWay()
}

// insert puts w where its seq says.
func (q *line) insert(w *waiter) {
	q.n++
	if q.victims.less != nil {
		q.victims.push(w)
	}
	if w.key != nil {
		q.insertKeyed(w)
		return
	}
	q.put(w)
}

// remove takes w out, whatever its place. When it was the first of its key, the
// next takes its place.
func (q *line) remove(w *waiter) {
	q.n--
	if q.victims.less != nil {
		q.victims.remove(w)
	}
	switch k := w.key; {
	case k == nil:
		q.drop(w)
	case k.head != w:
		k.rest.remove(w)
	default:
		q.drop(w)
		if k.head = k.rest.first(); k.head != nil {
			k.rest.remove(k.head)
			q.put(k.head)
		}
	}
}

// put makes w one of those that may be next.
func (q *line) put(w *waiter) {
	if w.key != nil && w.key.serving != nil {
		w.in = inBusy
		q.busy.push(w)
		return
	}
	q.classes[w.level].insert(w)
	q.some |= 1 << w.level
}

func (q *line) drop(w *waiter) {
	if w.in == inBusy {
		q.busy.remove(w)
		w.in = inNone
		return
	}
	o := &q.classes[w.level]
	o.remove(w)
	if o.empty() {
		q.some &^= 1 << w.level
	}
}

// next returns whose turn it is, nil when nobody's: then all keys that somebody
// waits for are being served.
func (q *line) next() (w *waiter) {
	for some := q.some; some != 0; some &= some - 1 {
		f := q.classes[bits.TrailingZeros8(some)].first()
		if w == nil {
			w = f
		} else if a, b := f.rank(q.ageing), w.rank(q.ageing); a < b || a == b && f.seq < w.seq {
			w = f
		}
	}
	return w
}

// oldest returns who has waited longest. The rest of a key arrived after its
// first.
func (q *line) oldest() *waiter {
	w := q.busy.first()
	for some := q.some; some != 0; some &= some - 1 {
		if f := q.classes[bits.TrailingZeros8(some)].first(); w == nil || f.seq < w.seq {
			w = f
		}
	}
	return w
}

// last returns one of those that will wait longest, nil when nobody waits.
func (q *line) last() *waiter {
	if q.some != 0 {
		return q.classes[bits.TrailingZeros8(q.some)].last()
	}
	return q.busy.first()
}
