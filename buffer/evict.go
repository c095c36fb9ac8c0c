package buffer

// Overflow says what gives way when a request must be held and a cap is
// reached. Lanes never evict from each other, those that are released and not
// yet answered never give way, and nobody does when that would not make enough
// room, or when an arrival would displace more than 64.
type Overflow uint8

const (
	// RejectNew refuses the request that arrives. The default: those who
	// waited longest keep their places.
	RejectNew Overflow = iota
	// EvictOldest fails the request that has waited longest in the same lane,
	// and admits the one that arrives.
	EvictOldest
	// EvictLowestPriority fails a request of the lowest Priority in the lane,
	// of those the one that arrived last, when that of the arrival is higher;
	// else the arrival is refused. Ageing does not count here: it orders the
	// flush.
	EvictLowestPriority
	// EvictNearestDeadline fails the request whose context ends first, which
	// is the likeliest to be lost anyway, when that of the arrival ends later;
	// else the arrival is refused. A context without a deadline ends last, and
	// so such requests never give way.
	EvictNearestDeadline
)

// String returns "reject-new", "evict-oldest", "evict-lowest-priority" or
// "evict-nearest-deadline".
func (o Overflow) String() string {
	switch o {
	case EvictOldest:
		return "evict-oldest"
	case EvictLowestPriority:
		return "evict-lowest-priority"
	case EvictNearestDeadline:
		return "evict-nearest-deadline"
	}
	return "reject-new"
}

// maxVictims bounds what one arrival may cost, whatever the sizes.
const maxVictims = 64

// givesWay is the order of line.victims, nil where arrival order does.
func (o Overflow) givesWay() func(a, b *waiter) bool {
	switch o {
	case EvictLowestPriority:
		return func(a, b *waiter) bool { return a.level < b.level || a.level == b.level && a.seq > b.seq }
	case EvictNearestDeadline:
		return func(a, b *waiter) bool {
			return endsBefore(a, b) || !endsBefore(b, a) && a.seq > b.seq
		}
	}
	return nil
}

func endsBefore(a, b *waiter) bool {
	return a.deadline != 0 && (b.deadline == 0 || a.deadline < b.deadline)
}

// victim returns who gives way to w, nil for nobody.
func (l *Lane) victim(w *waiter) *waiter {
	switch v := l.q.victims.first(); l.b.cfg.Overflow {
	case EvictOldest:
		return l.q.oldest()
	case EvictLowestPriority:
		if v != nil && v.level < w.level {
			return v
		}
	case EvictNearestDeadline:
		if v != nil && endsBefore(v, w) {
			return v
		}
	}
	return nil
}

// reserve takes w's part of the caps, making room as Overflow says.
func (l *Lane) reserve(w *waiter, fx *effects) verdict {
	if l.take(w.bytes, 0, 0) {
		return undecided
	}
	if w.bytes > l.b.cfg.LaneBytes {
		return failFull // nobody could make enough room
	}
	// Those taken out to see whether that is enough, chained by next: link is
	// not the lane's until they are claimed.
	var out *waiter
	var bytes int64
	ok := false
	for n := 1; n <= maxVictims && !ok; n++ {
		v := l.victim(w)
		if v == nil {
			break
		}
		l.q.remove(v)
		v.next, out = out, v
		bytes += v.bytes
		ok = l.take(w.bytes, n, bytes)
	}
	for out != nil {
		v := out
		out, v.next = v.next, nil
		switch {
		case !ok:
			l.q.insert(v)
		case v.claim():
			l.undrive(v)
			l.drop(v)
			l.tally(failEvicted)
			fx.decide(v, failEvicted)
		default: // it is leaving by itself, and will give back its part
			l.adjust(1, v.bytes)
		}
	}
	if !ok {
		return failFull
	}
	return undecided
}
