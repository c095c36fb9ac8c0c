package buffer

import (
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Buffer holds requests for leaders that are being changed. Make one with New;
// the zero Buffer is one of the zero Config. It is safe for concurrent use,
// starts no goroutine that outlives the call, and must not be copied.
type Buffer struct {
	cfg   Config
	epoch time.Time

	lanes sync.Map // string to *Lane
	// mu guards closed and the making of lanes; taken by Lane, Close.
	mu     sync.Mutex
	closed bool
	made   int // lanes

	pool pool

	step func(at string, what uint64) // see gate.step
}

// New returns a buffer, or a *ConfigError when cfg contradicts itself.
func New(cfg Config) (*Buffer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	b := new(Buffer)
	b.init(cfg)
	return b, nil
}

func (b *Buffer) init(cfg Config) {
	// A second ago, so that no instant of the lanes is the zero of its field.
	b.cfg, b.epoch = cfg, time.Now().Add(-time.Second)
	b.pool.init(&cfg)
}

func (b *Buffer) now() time.Duration { return time.Since(b.epoch) }

// Lane returns the lane of a key, made when first asked for: one per cluster
// whose leader changes by itself. Keep the result; looking it up costs more
// than a pass. A new lane knows no leader and holds everything until Observe,
// Learn or Follow tells of one. After Close it returns a closed lane.
func (b *Buffer) Lane(key string) *Lane {
	if l, ok := b.lanes.Load(key); ok {
		return l.(*Lane)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, ok := b.lanes.Load(key); ok {
		return l.(*Lane)
	}
	if b.epoch.IsZero() { // a zero Buffer; what is set here is read by way of lanes only
		cfg, _ := Config{}.withDefaults()
		b.init(cfg)
	}
	l := newLane(b, key, b.closed)
	if b.made++; b.made <= b.cfg.Share.Lanes {
		l.share = b.cfg.Share
	}
	b.lanes.Store(key, l)
	return l
}

// Close ends the buffer: every held request fails with a *ClosedError, and so
// does every later one, without being run. Requests that are running are not
// touched and not waited for. Nothing is held once Close has returned. Closing
// again does nothing.
func (b *Buffer) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.lanes.Range(func(_, l any) bool {
		l.(*Lane).close()
		return true
	})
}

// Request describes what a request function is about to send.
type Request struct {
	// Bytes is what the request occupies while it is held. 0 is allowed.
	Bytes int64
	// Unit says that it is a transaction, session or stream. A leader that is
	// being changed stops taking units before it stops taking single
	// requests.
	Unit bool
	// Idempotent allows the request to be sent again when it is not known
	// whether it was executed.
	Idempotent bool
	// Priority orders held requests; see Priority. 0 is ordinary.
	Priority Priority
	// Key, when it is not empty, orders held requests strictly: those of one
	// key are released in the order they arrived, each when the one before it
	// was answered, whatever their priorities; other keys do not wait for it.
	Key string

	_ struct{}
}

// State is what a lane does with arrivals.
type State uint8

const (
	// Serving passes everything.
	Serving State = iota
	// HoldUnits holds units; single requests pass.
	HoldUnits
	// HoldAll holds everything.
	HoldAll
	// Closed refuses everything.
	Closed
)

// String returns "serving", "hold-units", "hold-all" or "closed".
func (s State) String() string {
	switch s {
	case HoldUnits:
		return "hold-units"
	case HoldAll:
		return "hold-all"
	case Closed:
		return "closed"
	}
	return "serving"
}

// view is what an arrival needs to know, replaced as a whole.
type view struct {
	lane  *Lane
	lead  leadership.Leadership
	addr  string
	mode  State
	ready bool   // everything may be sent
	epoch uint64 // counts views of the lane
	gate  *gate  // counts the turns given by this view; nil unless Counted

	final bool // what comes of a request is returned, see PassThrough
	// Of a view by which a probe was sent, or a request let through: the highest
	// announced and refused terms then. Its answer says nothing of later ones,
	// and several such may be under way.
	seen, knew leadership.Term
}

func (v *view) passes(unit bool) bool {
	return v.mode == Serving || v.mode == HoldUnits && !unit
}
