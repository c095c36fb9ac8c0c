package buffer

import (
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Counters count since the lane was made.
type Counters struct {
	// Held is how many requests were held or backed off, each once.
	Held uint64
	// Flushed is how many releases flushes made, Refused how many refusals of
	// the leader of then came back, Retried how many failed dials and lost
	// tries led to another.
	Flushed, Refused, Retried uint64
	// Overflow, Evicted, Expired, Outage, Canceled and Closed count requests
	// by the error that ended them; Canceled includes those refused early.
	Overflow, Evicted, Expired, Outage, Canceled, Closed uint64
	// Passed is how many requests PassThrough let through.
	Passed uint64
	// Hidden is how many errors that prove non-execution callers got in a dry
	// run, and would not have got without it.
	Hidden uint64
	// Leaked is how many errors of unknown outcome callers got while the
	// leadership was changing: what a change cost that holding could not hide.
	Leaked uint64
	// Stale is how many observations were ignored because they were not newer.
	Stale uint64
}

func (c *Counters) add(o Counters) {
	c.Held += o.Held
	c.Flushed += o.Flushed
	c.Refused += o.Refused
	c.Retried += o.Retried
	c.Overflow += o.Overflow
	c.Evicted += o.Evicted
	c.Expired += o.Expired
	c.Outage += o.Outage
	c.Canceled += o.Canceled
	c.Closed += o.Closed
	c.Passed += o.Passed
	c.Hidden += o.Hidden
	c.Leaked += o.Leaked
	c.Stale += o.Stale
}

// tally counts how a request ended.
func (l *Lane) tally(v verdict) {
	switch v {
	case failAge:
		l.n.Expired++
	case failOutage:
		l.n.Outage++
	case failEvicted:
		l.n.Evicted++
	case failFull:
		l.n.Overflow++
	case failClosed:
		l.n.Closed++
	case failDeadline, failCanceled:
		l.n.Canceled++
	}
}

// Snapshot is the state of one lane at one moment.
type Snapshot struct {
	Lane  string
	State State
	// Flushing says that held requests are being released.
	Flushing   bool
	Leadership leadership.Leadership
	Addr       string
	// Held counts those that wait for their turn, Retrying those that back
	// off after a failed dial, Running those released by the current flush
	// and not answered. Peak is the most that ran so at once.
	Held, Retrying, Running, Peak int
	// Bytes is the sum of Request.Bytes of all of them.
	Bytes int64
	// HeadAge is how long the oldest in the queue has been held, OutageAge how
	// long the lane has been holding since a leader last answered; 0 for none.
	HeadAge, OutageAge time.Duration
	// Refused is the highest term a refusal told to wait for, zero for none.
	Refused leadership.Term
	Counters
}

// Snapshot returns the state of the lane.
func (l *Lane) Snapshot() Snapshot {
	if l.b == nil {
		return Snapshot{State: Closed}
	}
	l.lock()
	defer l.mu.Unlock()
	l.sweep()
	now := l.b.now()
	s := Snapshot{
		Lane: l.key, State: l.mode, Flushing: l.flushing, Leadership: l.cur, Addr: l.addr,
		Held: l.q.n, Retrying: l.retry.n, Running: l.running, Peak: l.peak,
		Bytes: l.bytes, Refused: l.refused, Counters: l.n,
	}
	if h := l.q.oldest(); h != nil {
		s.HeadAge = now - h.arrived
	}
	if l.outageOn {
		s.OutageAge = now - l.outageAt
	}
	s.Leaked = l.leaked.Load()
	return s
}

// Stats sums up all lanes.
type Stats struct {
	Lanes, Serving int
	Held           int
	Bytes          int64
	// HeadAge and OutageAge are the largest of any lane.
	HeadAge, OutageAge time.Duration
	Counters
}

// Stats returns the sums over all lanes. Lanes are visited one after the
// other, so that the sums are not of one moment.
func (b *Buffer) Stats() Stats {
	var st Stats
	b.lanes.Range(func(_, v any) bool {
		s := v.(*Lane).Snapshot()
		st.Lanes++
		if s.State == Serving {
			st.Serving++
		}
		st.Held += s.Held
		st.Bytes += s.Bytes
		st.HeadAge = max(st.HeadAge, s.HeadAge)
		st.OutageAge = max(st.OutageAge, s.OutageAge)
		st.Counters.add(s.Counters)
		return true
	})
	return st
}
