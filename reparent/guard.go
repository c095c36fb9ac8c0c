package reparent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Limits bound the steps of a change. A zero field takes its default.
type Limits struct {
	// Status bounds the survey before anything is touched. Default 1 s.
	Status time.Duration
	// Prepare bounds how long the candidate may take to become level while
	// the leader serves. Default 30 s.
	Prepare time.Duration
	// Drain bounds how long the leader may finish what is in flight.
	// Default 5 s; must be below Revoke.
	Drain time.Duration
	// Revoke bounds the revocation, drain included. Default 15 s.
	Revoke time.Duration
	// Install bounds catching up, the marker and the followers. Default 15 s.
	Install time.Duration
	// Grant bounds the grant. Default 5 s.
	Grant time.Duration
	// Registry bounds each registry write. Default 5 s.
	Registry time.Duration
	// Undo is the budget of an undo, and that of finishing a change past its
	// durable marker: each its own, since the context is often what failed.
	// Default 20 s.
	Undo time.Duration
	// Linger is how long to wait, once the new leader is routed, for nodes
	// that have not answered yet. Default 500 ms.
	Linger time.Duration
	// HoldFor is how long routers may hold for this change. Default 10 s.
	HoldFor time.Duration
	// Quiet bounds how long an orderly change waits, with routers holding, for
	// Config.Barrier to report them all quiet. It must be below HoldFor, when they
	// stop holding; what is left of HoldFor must do for the drain and the
	// step-down, or nothing is claimed of requests. A router that died is late
	// unless its lease lapses sooner. Default 3 s, or half of HoldFor when that
	// is less.
	Quiet time.Duration
	// Retry is the pause before a node that failed is asked again. Default
	// 20 ms.
	Retry time.Duration
	_     struct{}
}

func (l *Limits) defaults() error {
	for _, f := range []struct {
		d    *time.Duration
		def  time.Duration
		name string
	}{
		{&l.Status, time.Second, "Status"}, {&l.Prepare, 30 * time.Second, "Prepare"},
		{&l.Drain, 5 * time.Second, "Drain"}, {&l.Revoke, 15 * time.Second, "Revoke"},
		{&l.Install, 15 * time.Second, "Install"}, {&l.Grant, 5 * time.Second, "Grant"},
		{&l.Registry, 5 * time.Second, "Registry"}, {&l.Undo, 20 * time.Second, "Undo"},
		{&l.Linger, 500 * time.Millisecond, "Linger"}, {&l.HoldFor, 10 * time.Second, "HoldFor"},
		{&l.Retry, 20 * time.Millisecond, "Retry"},
	} {
		if *f.d < 0 {
			return &ConfigError{Field: "Limits." + f.name, Reason: "it is negative"}
		}
		if *f.d == 0 {
			*f.d = f.def
		}
	}
	switch {
	case l.Quiet < 0:
		return &ConfigError{Field: "Limits.Quiet", Reason: "it is negative"}
	case l.Quiet == 0:
		l.Quiet = min(3*time.Second, l.HoldFor/2)
	case l.Quiet >= l.HoldFor:
		return &ConfigError{Field: "Limits.Quiet", Reason: "it must be below Limits.HoldFor, for which routers hold at most"}
	}
	if l.Drain >= l.Revoke {
		return &ConfigError{Field: "Limits.Drain", Reason: "it must be below Limits.Revoke, of which it is a part"}
	}
	return nil
}

// Config tunes a Guard. The zero Config is useful.
type Config struct {
	// By names this coordinator in records and terms, [a-z0-9-]{1,12}.
	// Default "guard".
	By string
	// Nonce makes the second half of a term's proposer; it must return
	// another value [a-z0-9-]{1,7} at every call, also across restarts and
	// machines. Nil: random.
	Nonce func() string
	// Ruleset is one that is known to have been in force, for an emergency
	// while the registry is down and this guard has not read it yet. The zero
	// Ruleset: none is known, and such an emergency is refused. It needs Mode.
	Ruleset leadership.Ruleset
	// Mode is what the cluster's mode is known to be; "" when it is not. It must
	// be leadership.Full when Ruleset is set: in Shortcut mode nobody may lead
	// whom the registry does not show, and a guard that has not read it cannot
	// tell. A record that says otherwise refuses every change by this guard, with
	// a *ConfigError.
	Mode leadership.Mode
	// Catalog reads policies; nil: the built-in ones.
	Catalog *leadership.Catalog
	// Barrier, when given, is waited at before a leader that serves is stepped
	// down, until no request of any router is in flight. It is for leaders that
	// cannot refuse what they do not execute: see leadership.Barrier. Nil: a
	// change does not wait, and its Report claims nothing about requests.
	Barrier leadership.Barrier
	// Isolate is what Sweep releases converted nodes with. Nil: none.
	Isolate *revoke.Isolate
	// ClockRate bounds the rate error of the nodes' clocks, for leases: what a
	// node says is left of one (Testimony.LeaseLeft) is waited out as if clocks
	// drifted by so much. 0 <= ClockRate < 1. The default 0 takes all clocks to
	// run alike, which none do: set it, 0.01 is ample for quartz, as soon as any
	// node gives leases. A change that waits for leases with 0 notes it in its
	// report. Without leases no decision reads a clock.
	ClockRate float64
	Limits    Limits
	Hooks     Hooks
	// Logger gets one line per step; nil: none.
	Logger *slog.Logger
	_      struct{}
}

// ConfigError is returned by New for what cannot be used.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "reparent: " + e.Field + ": " + e.Reason }

// ErrNilRegistry is returned by New, and by the methods of a Guard that New did
// not make.
var ErrNilRegistry = errors.New("reparent: the registry is nil")

// Guard changes the leader of one cluster, in the only order that is safe. It
// keeps no state that safety rests on: any number of guards may act on a
// cluster, from any machine. Make one with New; it is safe for concurrent use
// and owns no goroutine between calls.
type Guard struct {
	cluster string
	reg     leadership.Registry
	nodes   map[leadership.NodeID]Node
	ids     []leadership.NodeID // sorted: the order of nodes never depends on a map
	cfg     Config

	planned   revoke.Revoker // the leader drains and steps down, or the change ends; then promises
	gentle    revoke.Revoker // the leader is asked to, for as long as a drain may take; then promises
	push      revoke.Revoker // promises
	establish establish.Establisher

	mu       sync.Mutex // guards what follows; taken by every call, for moments
	last     leadership.Record
	lastRead uint64 // of reads: when last was read
	reads    uint64 // answers of the registry that were heard so far
	lastTerm leadership.Term
	unsaved  *led      // granted, but not in the record yet
	failed   []failure // since somebody led
}

// New returns a guard for the cluster. It returns a *ConfigError,
// ErrNilRegistry, leadership.ErrEmptyCohort, a *leadership.NodeIDError,
// *leadership.DuplicateNodeError, revoke.ErrNilMechanism (wrapped, naming the
// node), or a *leadership.UnenforceablePolicyError.
func New(cluster string, reg leadership.Registry, nodes []Node, cfg Config) (*Guard, error) {
	if cluster == "" {
		return nil, &ConfigError{"cluster", "it has no name"}
	}
	if reg == nil {
		return nil, ErrNilRegistry
	}
	if cfg.By == "" {
		cfg.By = "guard"
	}
	if _, err := leadership.NewTerm(1, cfg.By); err != nil || len(cfg.By) > 12 {
		return nil, &ConfigError{"By", "want [a-z0-9-]{1,12}"}
	}
	if m := cfg.Mode; m != "" && m != leadership.Full && m != leadership.Shortcut {
		return nil, &ConfigError{"Mode", fmt.Sprintf("there is no mode %q", m)}
	}
	if cfg.Nonce == nil {
		cfg.Nonce = func() string { return strings.ToLower(rand.Text()[:7]) }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if _, err := revoke.LeaseWait(0, cfg.ClockRate); err != nil {
		return nil, err
	}
	if err := cfg.Limits.defaults(); err != nil {
		return nil, err
	}
	g := &Guard{cluster: cluster, reg: reg, nodes: map[leadership.NodeID]Node{}, cfg: cfg}
	if len(nodes) == 0 {
		return nil, leadership.ErrEmptyCohort
	}
	for _, n := range nodes {
		if err := g.add(n); err != nil {
			return nil, err
		}
	}
	g.ids = slices.Sorted(maps.Keys(g.nodes))
	if !cfg.Ruleset.IsZero() {
		if cfg.Mode != leadership.Full {
			return nil, &ConfigError{"Mode", fmt.Sprintf("it is %q: a Ruleset is for what goes on without the registry, which takes a cluster that is known to be in mode %q", cfg.Mode, leadership.Full)}
		}
		if _, err := cfg.Ruleset.Compile(cfg.Catalog); err != nil {
			return nil, err
		}
		if err := g.canEnforce(cfg.Ruleset); err != nil {
			return nil, err
		}
	}
	return g, g.mechanisms()
}

func (g *Guard) add(n Node) error {
	if err := n.ID.Validate(); err != nil {
		return err
	}
	if _, dup := g.nodes[n.ID]; dup {
		return &leadership.DuplicateNodeError{Node: n.ID}
	}
	if n.Status == nil || n.Promise == nil {
		return &revoke.NodeError{Node: n.ID, Op: "use", Err: revoke.ErrNilMechanism}
	}
	g.nodes[n.ID] = n
	return nil
}

// mechanisms builds the default ones from what the nodes offer.
func (g *Guard) mechanisms() error {
	promisers := map[leadership.NodeID]revoke.Promiser{}
	leaders := map[leadership.NodeID]revoke.StepDowner{}
	candidates := map[leadership.NodeID]establish.Candidate{}
	followers := map[leadership.NodeID]establish.Follower{}
	repairers := map[leadership.NodeID]establish.Repairer{}
	truncates := true
	for id, n := range g.nodes {
		promisers[id] = n.Promise
		truncates = truncates && n.Truncates
		if n.StepDown != nil {
			leaders[id] = n.StepDown
		}
		if n.Candidate != nil {
			candidates[id] = n.Candidate
		}
		if n.Follow != nil {
			followers[id] = n.Follow
		}
		if n.Repair != nil {
			repairers[id] = n.Repair
		}
	}
	retry := g.cfg.Limits.Retry
	push, err := revoke.NewProposal(promisers, revoke.Options{Retry: retry})
	if err != nil {
		return err
	}
	g.push, g.planned, g.gentle = push, push, push
	if len(leaders) > 0 {
		step, err := revoke.NewStepDown(leaders)
		if err != nil {
			return err
		}
		if g.planned, err = revoke.Then(revoke.Stage{Revoker: step, Must: true}, revoke.Stage{Revoker: push}); err != nil {
			return err
		}
		bound := g.cfg.Limits.Drain + g.cfg.Limits.Status
		if g.gentle, err = revoke.Then(revoke.Stage{Revoker: step, Bound: bound}, revoke.Stage{Revoker: push}); err != nil {
			return err
		}
	}
	// Only a log that truncates by itself may let every member follow; any
	// other is pointed at the leader only when it can get there by appending.
	if truncates {
		g.establish, err = establish.NewProposal(candidates, followers, establish.Options{Retry: retry})
	} else {
		g.establish, err = establish.NewSource(candidates, followers, repairers, establish.Options{Retry: retry})
	}
	return err
}

// canEnforce asks every node that may lead under rs whether its engine keeps
// the policy.
func (g *Guard) canEnforce(rs leadership.Ruleset) error {
	for _, m := range rs.Members {
		n, ok := g.nodes[m.ID]
		if !ok || m.Ineligible || n.Enforce == nil {
			continue
		}
		if err := n.Enforce.CanEnforce(rs); err != nil {
			return &leadership.UnenforceablePolicyError{Node: m.ID, Policy: rs.Policy, Err: err}
		}
	}
	return nil
}

// canGate refuses a node that would take clients before it is activated.
func (g *Guard) canGate(mode leadership.Mode) error {
	if mode != leadership.Shortcut {
		return nil
	}
	for _, id := range g.ids {
		if n := g.nodes[id]; n.GrantsAtInstall && !n.ClientGate {
			return &ConfigError{"node " + string(id), "it takes clients when it is installed and has no client gate: shortcut mode would make two leaders"}
		}
	}
	return nil
}

// made returns ErrNilRegistry unless New made the guard.
func (g *Guard) made() error {
	if g.reg == nil {
		return ErrNilRegistry
	}
	return nil
}

// nextTerm takes a term above all that were seen, and above our own last one.
func (g *Guard) nextTerm(seen ...leadership.Term) (leadership.Term, error) {
	nonce := g.cfg.Nonce()
	g.mu.Lock()
	defer g.mu.Unlock()
	t, err := leadership.NextTerm(g.cfg.By+"-"+nonce, append(seen, g.lastTerm)...)
	if err == nil {
		g.lastTerm = t
	}
	return t, err
}

// heed makes the next term of this guard higher than t, which superseded an
// attempt. A survey need not hear of t: it ends when enough have answered.
func (g *Guard) heed(t leadership.Term) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastTerm = leadership.MaxTerm(g.lastTerm, t)
}

// View asks every node for its status, at most Limits.Status long, and returns
// it with the record's ruleset and routing, for conditions, dashboards and
// people. A node that did not answer, also because ctx ended, is there, not
// reachable. It returns ErrNoRecord, the registry's error, a *ConfigError for the
// record of another cluster, or the error of a ruleset which Config.Catalog cannot
// read.
func (g *Guard) View(ctx context.Context) (leadership.View, error) {
	if err := g.made(); err != nil {
		return leadership.View{}, err
	}
	rec, err := g.reg.Load(ctx)
	if err != nil {
		return leadership.View{}, err
	}
	if rec.Version == 0 {
		return leadership.View{}, ErrNoRecord
	}
	if err := g.owns(rec); err != nil {
		return leadership.View{}, err
	}
	rules, err := rec.Ruleset.Compile(g.cfg.Catalog)
	if err != nil {
		return leadership.View{}, err
	}
	return leadership.View{Rules: rules, Statuses: g.survey(ctx, g.ids, nil), Routed: rec.Routed}, nil
}
