package buffer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// AtOutage says what becomes of requests when a lane has held for MaxOutage.
type AtOutage uint8

const (
	// Fail fails every held request with an *OutageError. From then on one
	// request at a time is let through as a probe, and the others fail at
	// once. The default.
	Fail AtOutage = iota
	// PassThrough lets every held request and every arrival through, all at
	// once, to the last leadership the lane knew, and returns what comes of it
	// as it is, refusals included; nothing is tried again. It ends when one of
	// them is answered, or when a newer leadership is learned. A lane that
	// never knew a leader fails its requests as with Fail. It is for leaders
	// that check terms: New refuses it together with Counted or Probe.
	PassThrough
)

// String returns "fail" or "pass-through".
func (a AtOutage) String() string {
	if a == PassThrough {
		return "pass-through"
	}
	return "fail"
}

// Hooks are called synchronously in the goroutine of some caller, with no lock
// held. They must not block, and may call Stats and Snapshot. Any may be nil.
type Hooks struct {
	// State is called after a lane changed its state or its leadership. Calls
	// of several goroutines may arrive out of order: Snapshot has the last
	// word.
	State func(lane string, s State, l leadership.Leadership)
	// Waited is called once per end of a wait: err is nil for a request that
	// was released, else the error its caller gets. It is the place for a
	// wait histogram.
	Waited func(lane string, waited time.Duration, err error)
	// Registry is called by Follow when the registry stops answering, with
	// the error, and with nil when it answers again.
	Registry func(err error)

	_ struct{}
}

// Config bounds a Buffer. The zero value is usable and means the defaults
// stated at each field. New refuses negative values and values that
// contradict each other. Durations above ten years count as ten years.
type Config struct {
	// MaxHeld caps how many requests are held over all lanes, those that are
	// released and not yet answered included. 0 means 10000.
	MaxHeld int
	// MaxBytes caps the sum of Request.Bytes over all lanes. 0 means 64 MiB.
	MaxBytes int64
	// LaneHeld and LaneBytes are the same for each single lane. 0 means no
	// other cap than MaxHeld and MaxBytes.
	LaneHeld  int
	LaneBytes int64
	// Share sets room aside for each lane.
	Share Share
	// MaxAge caps how long one request is held, in every state, flushing
	// included. 0 means 10s, or MaxOutage when that is less.
	MaxAge time.Duration
	// MaxOutage caps how long a lane holds, counted from its first hold and
	// not reset by a new term but only by a request that a leader answered.
	// AtOutage says what happens then. 0 means 20s, or MaxAge when that is
	// more.
	MaxOutage time.Duration
	// AtOutage ends an outage that has reached MaxOutage.
	AtOutage AtOutage
	// Ageing is for how long a request must be held to rise by one Priority.
	// 0 means 1s, or MaxAge when that is less.
	Ageing time.Duration
	// MinService is the least time a request is worth starting with: one
	// whose context ends sooner is refused, on arrival and at its turn. 0
	// refuses only those whose deadline has passed.
	MinService time.Duration
	// ExpectedOutage, when set, refuses a request on arrival when its deadline
	// comes before the outage would be over if it lasted this long. 0 means
	// that nothing is expected.
	ExpectedOutage time.Duration
	// ProbeTimeout is how long a probe may stay unanswered before the next
	// request is let through as another. 0 means 1s.
	ProbeTimeout time.Duration
	// Probe, when set, asks a node whether it may take requests as the leader
	// to, by a statement of the host's own: may you write, which marker do you
	// hold. The lane then never sends a held request as a probe. It is for
	// servers that check no terms: what they answer to a user's request proves
	// nothing. nil releases what is held. Any error keeps holding, and a
	// *leadership.Refusal says for what. It runs in the goroutine of a request
	// that is held, one at a time, under that request's context cut to
	// ProbeTimeout and to its MaxAge, and must return when that ends: only
	// then does the wait of that request end, Close included.
	Probe func(ctx context.Context, to leadership.Leadership, addr string) error
	// Overflow says what gives way at a cap.
	Overflow Overflow
	// Counted counts what Do and Enter have in flight, per lane and term, so
	// that Quiesced can tell when a leader that cannot refuse is left alone.
	// Such a lane holds everything as soon as a change is announced: single
	// requests may not pass either. It costs two atomic operations a request.
	Counted bool
	// Flush paces releases.
	Flush Flush
	// Classify says what an error of a request function proves. It is asked
	// first; Unclassified leaves the error to the rules of the function
	// Classify of this package. nil leaves all of them. What it makes of the
	// cause of a request's context that has ended is no proof, see Lane.Do.
	Classify func(err error) Class
	// Hooks observe the buffer.
	Hooks Hooks
	// DryRun holds nothing: every request function runs once, at once, to the
	// leadership the lane knows (the zero Leadership when it knows none), and
	// what it returns is returned; Pass and Ready say yes, and Close stops
	// nobody. States, counters and hooks tell what would have been: who would
	// have been held, for how long, how that would have ended, and in
	// Counters.Hidden how many errors callers would not have seen. The pace of
	// a flush is not counted in, and since no caller waits, ages are noticed
	// when a request or an observation comes next.
	DryRun bool

	_ struct{}
}

// longest keeps sums of times and durations, and a few times a duration, far from
// the end of the range of time.Duration: what overflows has passed long ago.
const longest = 10 * 365 * 24 * time.Hour

// withDefaults returns c with defaults filled in, or a *ConfigError.
func (c Config) withDefaults() (Config, error) {
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"MaxHeld", int64(c.MaxHeld)}, {"MaxBytes", c.MaxBytes},
		{"LaneHeld", int64(c.LaneHeld)}, {"LaneBytes", c.LaneBytes},
		{"Share.Held", int64(c.Share.Held)}, {"Share.Bytes", c.Share.Bytes}, {"Share.Lanes", int64(c.Share.Lanes)},
		{"Ageing", int64(c.Ageing)},
		{"MaxAge", int64(c.MaxAge)}, {"MaxOutage", int64(c.MaxOutage)},
		{"MinService", int64(c.MinService)}, {"ExpectedOutage", int64(c.ExpectedOutage)},
		{"ProbeTimeout", int64(c.ProbeTimeout)},
		{"Flush.Start", int64(c.Flush.Start)}, {"Flush.Max", int64(c.Flush.Max)}, {"Flush.Every", int64(c.Flush.Every)},
		{"Flush.Jitter", int64(c.Flush.Jitter)},
	} {
		if f.v < 0 {
			return c, &ConfigError{Field: f.name, Reason: "is negative"}
		}
	}
	if c.Overflow > EvictNearestDeadline {
		return c, &ConfigError{Field: "Overflow", Reason: fmt.Sprintf("unknown value %d", c.Overflow)}
	}
	if c.AtOutage > PassThrough {
		return c, &ConfigError{Field: "AtOutage", Reason: fmt.Sprintf("unknown value %d", c.AtOutage)}
	}
	for _, d := range []*time.Duration{
		&c.MaxAge, &c.MaxOutage, &c.Ageing, &c.MinService, &c.ExpectedOutage, &c.ProbeTimeout, &c.Flush.Every, &c.Flush.Jitter,
	} {
		*d = min(*d, longest)
	}
	def(&c.MaxHeld, 10_000)
	def(&c.MaxBytes, 64<<20)
	def(&c.LaneHeld, c.MaxHeld)
	def(&c.LaneBytes, c.MaxBytes)
	switch {
	case c.MaxAge == 0 && c.MaxOutage == 0:
		c.MaxAge, c.MaxOutage = 10*time.Second, 20*time.Second
	case c.MaxAge == 0:
		c.MaxAge = min(10*time.Second, c.MaxOutage)
	case c.MaxOutage == 0:
		c.MaxOutage = max(20*time.Second, c.MaxAge)
	}
	switch {
	case c.Flush.Start == 0 && c.Flush.Max == 0:
		c.Flush.Start, c.Flush.Max = 4, 64
	case c.Flush.Start == 0:
		c.Flush.Start = min(4, c.Flush.Max)
	case c.Flush.Max == 0:
		c.Flush.Max = max(64, c.Flush.Start)
	}
	def(&c.Flush.Every, 10*time.Millisecond)
	if c.Flush.Seed == 0 {
		c.Flush.Seed = rand.Uint64()
	}
	def(&c.ProbeTimeout, time.Second)
	def(&c.Ageing, min(time.Second, c.MaxAge))
	switch {
	case c.LaneHeld > c.MaxHeld:
		return c, &ConfigError{"LaneHeld", fmt.Sprintf("%d is above MaxHeld %d: no lane could reach it", c.LaneHeld, c.MaxHeld)}
	case c.LaneBytes > c.MaxBytes:
		return c, &ConfigError{"LaneBytes", fmt.Sprintf("%d is above MaxBytes %d: no lane could reach it", c.LaneBytes, c.MaxBytes)}
	case c.MaxAge > c.MaxOutage:
		return c, &ConfigError{"MaxAge", fmt.Sprintf("%s is above MaxOutage %s: no request could wait that long", c.MaxAge, c.MaxOutage)}
	case c.Ageing > c.MaxAge:
		return c, &ConfigError{"Ageing", fmt.Sprintf("%s is above MaxAge %s: no request is held that long", c.Ageing, c.MaxAge)}
	case c.MinService >= c.MaxAge:
		return c, &ConfigError{"MinService", fmt.Sprintf("%s is not below MaxAge %s", c.MinService, c.MaxAge)}
	case c.ExpectedOutage > c.MaxOutage:
		return c, &ConfigError{"ExpectedOutage", fmt.Sprintf("%s is above MaxOutage %s: every hold would be hopeless", c.ExpectedOutage, c.MaxOutage)}
	case c.Flush.Start > c.Flush.Max:
		return c, &ConfigError{"Flush.Start", fmt.Sprintf("%d is above Flush.Max %d", c.Flush.Start, c.Flush.Max)}
	}
	if c.AtOutage == PassThrough && (c.Counted || c.Probe != nil) {
		return c, &ConfigError{"AtOutage", "is pass-through, and Counted or Probe is set: a leader that cannot refuse must not be sent what may be another's"}
	}
	if c.Flush.Jitter >= c.MaxAge {
		return c, &ConfigError{"Flush.Jitter", fmt.Sprintf("%s is not below MaxAge %s", c.Flush.Jitter, c.MaxAge)}
	}
	if err := c.Share.check(&c); err != nil {
		return c, err
	}
	return c, nil
}

// def sets a zero value to its default.
func def[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
