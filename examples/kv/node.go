package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// retryAfter is the pace at which a refused client may try again.
const retryAfter = 20 * time.Millisecond

// errNotCompleted is told to clients whose command is in the log and was not
// complete when the leadership ended: the next leader may complete it.
var errNotCompleted = fmt.Errorf("%w: the leadership ended before the command was complete", leadership.ErrUnknownOutcome)

// Config of a member. ID, Dir and Peers are required.
type Config struct {
	// ID names the member.
	ID leadership.NodeID
	// Dir is the directory of its files.
	Dir string
	// Create allows Open to make a new member when Dir is empty or missing.
	// Set it on the first start only: a member that lost its directory must
	// not come back under its old name.
	Create bool
	// Peers are the addresses, host:port, of all members and observers, this
	// one included. A leader sends its log to all of them; whose copy counts
	// is said by the ruleset of its marker.
	Peers map[leadership.NodeID]string

	// RequestTimeout bounds a client's request at the leader; 0 means 5 s.
	RequestTimeout time.Duration
	// Heartbeat is how often an idle leader tells its commit index; 0 means
	// 50 ms. Nothing safe depends on it.
	Heartbeat time.Duration
	// DrainGrace is how long after the end of a drain the leader waits for
	// the step-down before it serves again; 0 means 2 s.
	DrainGrace time.Duration
	// MaxLog bounds the log file, in bytes: above it writes are refused. 0
	// means 1 GiB. There is no compaction.
	MaxLog int64
	// HTTP is what the member reaches the others with; nil means one of
	// NewHTTPClient. Close closes its idle connections.
	HTTP *http.Client
	// Logger gets changes of role and failures; nil discards them.
	Logger *slog.Logger

	_ struct{}
}

func (c *Config) complete() error {
	if err := c.ID.Validate(); err != nil {
		return err
	}
	if c.Dir == "" {
		return &ConfigError{"Dir", "is empty"}
	}
	if _, ok := c.Peers[c.ID]; !ok {
		return &ConfigError{"Peers", "has no address for the member itself"}
	}
	for id, addr := range c.Peers {
		if err := id.Validate(); err != nil {
			return err
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return &ConfigError{"Peers", fmt.Sprintf("has a bad address for %s: %v", id, err)}
		}
	}
	c.Peers = maps.Clone(c.Peers)
	for _, d := range []struct {
		name string
		v    *time.Duration
		zero time.Duration
	}{
		{"RequestTimeout", &c.RequestTimeout, 5 * time.Second},
		{"Heartbeat", &c.Heartbeat, 50 * time.Millisecond},
		{"DrainGrace", &c.DrainGrace, 2 * time.Second},
	} {
		if *d.v < 0 {
			return &ConfigError{d.name, "is negative"}
		}
		if *d.v == 0 {
			*d.v = d.zero
		}
	}
	if c.MaxLog < 0 {
		return &ConfigError{"MaxLog", "is negative"}
	}
	if c.MaxLog == 0 {
		c.MaxLog = 1 << 30
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.HTTP == nil {
		c.HTTP = NewHTTPClient()
	}
	return nil
}

// Node is a member. Its methods implement the node interfaces of revoke,
// establish and reparent; all are safe for concurrent use.
type Node struct {
	cfg     Config
	store   storage
	machine *machine
	gate    *lameduck.Gate
	http    *http.Client
	commit  atomic.Uint64 // the log is known to be complete up to here
	behind  chan struct{} // wakes the applier
	// led is the term that this member led, or was about to, when it last
	// stopped. It never leads that again: followers may hold entries of it
	// that this log lost in the crash, and new ones would take their places.
	led leadership.Term

	stopped context.Context // ends when the member stops
	stop    context.CancelCauseFunc
	wg      sync.WaitGroup
	closing sync.Once
	closed  error // what closing came to

	// carried is the leadership whose requests in flight were handed over last:
	// their clients are still here.
	carried  atomic.Pointer[leader]
	incoming incoming

	// mu guards what follows, which control calls replace and requests read.
	mu     sync.Mutex
	leads  *leader
	giving *handing // the hand-over that this member leads, or led last
	taking *handing // the one that it takes over by
}

// Open opens the storage of a member, or makes it (Config.Create). The member
// answers nothing and accepts nothing before its promise is loaded; it does
// not lead, whatever it did before. Close it.
//
// It returns a *ConfigError or *leadership.NodeIDError, nothing touched; a
// *StorageError, *leadership.CorruptError or *leadership.IncarnationError for
// storage that is not that of this member as it was left: then the member stays
// shut, and nothing was repaired.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	gate, err := lameduck.New(lameduck.Options{Name: string(cfg.ID)})
	if err != nil {
		return nil, err
	}
	s, torn, err := openStorage(ctx, cfg.Dir, cfg.ID, cfg.Create)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, store: s, machine: newMachine(), gate: gate,
		http: cfg.HTTP, behind: make(chan struct{}, 1),
	}
	if n.incoming.Incoming, err = handover.NewIncoming(cfg.ID, nil); err != nil {
		return nil, errors.Join(err, s.close())
	}
	n.incoming.news = make(chan struct{}, 1)
	if st := s.acc.Status(); st.Source.Leader == cfg.ID {
		n.led = st.Source.Term
	}
	n.stopped, n.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	n.wg.Go(n.applier)
	if torn > 0 {
		n.cfg.Logger.Warn("cut off a torn write at the end of the log", "bytes", torn)
	}
	return n, nil
}

// errStopped is the cause of the end of a member that was closed.
var errStopped = errors.New("kv: the member was closed")

// Close ends the member's leadership, if any, joins its goroutines and closes
// its files. Commands that are not complete are unknown to their clients. A
// second Close returns what the first did.
func (n *Node) Close() error {
	n.stop(errStopped)
	if ls := n.swap(nil, nil); ls != nil {
		ls.stop(leadership.Term{})
	}
	n.wg.Wait()
	if ls := n.carried.Load(); ls != nil {
		ls.forget()
	}
	n.http.CloseIdleConnections()
	n.closing.Do(func() { n.closed = n.store.close() })
	return n.closed
}

// fatal ends the member: its disk failed, or its log cannot be applied.
func (n *Node) fatal(err error) {
	n.cfg.Logger.Error("the member stops", "error", err)
	n.stop(err)
}

// Stopped returns a channel that is closed when the member has stopped, by
// Close or by a failure of its storage. Err says why.
func (n *Node) Stopped() <-chan struct{} { return n.stopped.Done() }

// Err returns why the member stopped, nil while it runs or was closed.
func (n *Node) Err() error {
	if err := context.Cause(n.stopped); err != nil && !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// applier applies what a follower learned to be complete.
func (n *Node) applier() {
	for wait(n.stopped, n.behind) {
		if n.apply() != nil {
			return
		}
	}
}

// leading returns the leadership, nil when there is none.
func (n *Node) leading() *leader {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leads
}

// swap replaces old, or whatever is there when old is nil, and returns what it
// replaced; nil when that was not old.
func (n *Node) swap(old, ls *leader) *leader {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old != nil && n.leads != old {
		return nil
	}
	old, n.leads = n.leads, ls
	return old
}

// settle ends a leadership that the acceptor no longer holds. Every call that
// may have raised the promise ends with it.
func (n *Node) settle() {
	ls := n.leading()
	if ls == nil {
		return
	}
	st := n.store.acc.Status()
	if st.Source == ls.own && !st.Changing {
		return
	}
	if ls = n.swap(ls, nil); ls != nil {
		ls.stop(st.Promised)
		n.cfg.Logger.Info("the leadership has ended", "leadership", ls.own.String(), "promised", st.Promised.String())
	}
}

// refusal is what a member that does not lead says to clients.
func (n *Node) refusal(reason string) *leadership.Refusal {
	st := n.store.acc.Status()
	r := &leadership.Refusal{Term: n.gate.State().Term, Until: st.Promised, Reason: reason, RetryAfter: retryAfter}
	if st.Source.Leader != n.cfg.ID {
		r.Leader = st.Source.Leader
	}
	return r
}

// NewHTTPClient returns a client tuned for many small requests to few members:
// connections are kept, nothing is compressed, no proxy is asked.
func NewHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}
