package buffer

import "sync/atomic"

// Share is what a lane may always hold, whatever the other lanes hold: one lane
// that fills the buffer leaves it to them. It is set aside out of MaxHeld and
// MaxBytes for a fixed number of lanes, and what is left is a common pool, first
// come, first served. A lane takes from its own share first. Requests and bytes
// are accounted for apart, so that a request needs room in both: a share of
// requests is a guarantee only together with one of the bytes they have.
type Share struct {
	// Held and Bytes are set aside for each lane. 0 sets nothing aside.
	Held  int
	Bytes int64
	// Lanes is how many lanes have a share: those that are made first. Later
	// ones live on the common pool alone. Held and Bytes times Lanes must not
	// be above MaxHeld and MaxBytes; when they are equal there is no common
	// pool, and a lane without a share can hold nothing.
	Lanes int

	_ struct{}
}

func (s *Share) check(c *Config) *ConfigError {
	switch {
	case s.Lanes == 0 && (s.Held > 0 || s.Bytes > 0):
		return &ConfigError{"Share.Lanes", "is 0: say for how many lanes the share is set aside"}
	case s.Lanes > 0 && s.Held == 0 && s.Bytes == 0:
		return &ConfigError{"Share.Lanes", "is set, and neither Share.Held nor Share.Bytes is"}
	case s.Lanes == 0:
		return nil
	case s.Held > c.MaxHeld/s.Lanes:
		return &ConfigError{"Share.Held", "times Share.Lanes is above MaxHeld"}
	case s.Bytes > c.MaxBytes/int64(s.Lanes):
		return &ConfigError{"Share.Bytes", "times Share.Lanes is above MaxBytes"}
	case s.Held > c.LaneHeld:
		return &ConfigError{"Share.Held", "is above LaneHeld: no lane could use it"}
	case s.Bytes > c.LaneBytes:
		return &ConfigError{"Share.Bytes", "is above LaneBytes: no lane could use it"}
	}
	return nil
}

// pool is what lanes take from when their shares are used up.
type pool struct {
	held, bytes       atomic.Int64 // taken
	maxHeld, maxBytes int64
}

func (p *pool) init(c *Config) {
	p.maxHeld = int64(c.MaxHeld) - int64(c.Share.Lanes)*int64(c.Share.Held)
	p.maxBytes = c.MaxBytes - int64(c.Share.Lanes)*c.Share.Bytes
}

// take adds n to v unless that would exceed limit.
func take(v *atomic.Int64, n, limit int64) bool {
	for n > 0 {
		old := v.Load()
		if old > limit-n {
			return false
		}
		if v.CompareAndSwap(old, old+n) {
			return true
		}
	}
	return true
}

// take takes a part of the caps for a request of this size, in exchange for
// what n others of this lane have, of size bytes together; or does nothing.
func (l *Lane) take(size int64, n int, bytes int64) bool {
	count, total := l.count-n, l.bytes-bytes
	if count >= l.b.cfg.LaneHeld || total > l.b.cfg.LaneBytes-size {
		return false
	}
	p := &l.b.pool
	one, more := l.beyond(count+1, total+size)
	if !take(&p.held, one, p.maxHeld) {
		return false
	}
	if !take(&p.bytes, more, p.maxBytes) {
		p.held.Add(-max(one, 0))
		return false
	}
	// Room is given back only when all of it is there.
	p.held.Add(min(one, 0))
	p.bytes.Add(min(more, 0))
	l.count, l.bytes = count+1, total+size
	return true
}

// adjust moves the lane's part of the caps, whatever they are.
func (l *Lane) adjust(n int, bytes int64) {
	one, more := l.beyond(l.count+n, l.bytes+bytes)
	if one != 0 {
		l.b.pool.held.Add(one)
	}
	if more != 0 {
		l.b.pool.bytes.Add(more)
	}
	l.count += n
	l.bytes += bytes
}

// beyond is how much more of the pool the lane needs to hold so much.
func (l *Lane) beyond(count int, bytes int64) (one, more int64) {
	over := func(n, share int64) int64 { return max(n-share, 0) }
	share := int64(l.share.Held)
	return over(int64(count), share) - over(int64(l.count), share),
		over(bytes, l.share.Bytes) - over(l.bytes, l.share.Bytes)
}
