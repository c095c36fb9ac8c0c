package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
)

// leader is one leadership of this member, from Install until a higher promise
// ends it. Its goroutines are the writer, the completer, and one replicator
// per peer; stop ends and joins them.
type leader struct {
	n      *Node
	own    leadership.Leadership
	marker uint64 // its index
	self   leadership.Member
	cohort *leadership.Cohort
	// forced are the rulesets that the marker itself must satisfy; once it
	// is complete only the marker's own, final, is in force.
	forced []*leadership.Rules
	final  []*leadership.Rules

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	peers  []*peer
	write  chan struct{} // wakes the writer
	done   chan struct{} // wakes the completer
	ready  chan struct{} // closed when the marker is complete

	open    atomic.Bool // takes requests: from Grant on, or from before, see stage
	granted atomic.Bool

	// mu guards what follows. It is taken by requests, the writer, the
	// completer and the replicators, and never held over IO.
	mu      sync.Mutex
	over    *leadership.Refusal // not nil: this leadership has ended
	carried bool                // what is waiting is handed over
	queue   []*proposal
	waiting map[uint64]*proposal // written, not complete
	levels  [leadership.MaxMembers]uint64
	refused leadership.Set
	// asked numbers the confirmation rounds that reads want, sent those that
	// a message carried, heard what each member answered.
	asked, sent uint64
	heard       [leadership.MaxMembers]uint64
	rounds      []roundWait
}

// proposal is a client's command on its way.
type proposal struct {
	data []byte
	// result gets exactly one value; it has room for it.
	result chan proposed
}

type proposed struct {
	index   uint64
	outcome outcome
	err     error // a *leadership.Refusal, or an ErrUnknownOutcome
}

type roundWait struct {
	round uint64
	heard chan struct{}
}

// newLeader compiles the rulesets of a marker. It starts nothing.
func newLeader(n *Node, m leadership.Marker) (*leader, error) {
	var nodes []leadership.Node
	all := append([]leadership.Ruleset{m.Ruleset}, m.Over...)
	for _, rs := range all {
		for _, node := range rs.Members {
			if !slices.ContainsFunc(nodes, func(o leadership.Node) bool { return o.ID == node.ID }) {
				nodes = append(nodes, node)
			}
		}
	}
	cohort, err := leadership.NewCohort(nodes...)
	if err != nil {
		return nil, err
	}
	ls := &leader{
		n: n, own: m.Leadership(), cohort: cohort, waiting: map[uint64]*proposal{},
		write: make(chan struct{}, 1), done: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	for _, rs := range all {
		rules, err := rs.CompileIn(cohort, nil)
		if err != nil {
			return nil, err
		}
		ls.forced = append(ls.forced, rules)
	}
	ls.final = ls.forced[:1]
	self, ok := cohort.Member(n.cfg.ID)
	if !ok || !ls.final[0].Leaders().Has(self) {
		return nil, &leadership.IneligibleError{Node: n.cfg.ID, Reason: "it is not an eligible member of the marker's ruleset"}
	}
	ls.self = self
	ls.heard[self] = ^uint64(0)
	ls.ctx, ls.cancel = context.WithCancel(context.Background())
	return ls, nil
}

func decodeMarker(e replog.Entry) (leadership.Marker, error) {
	var m leadership.Marker
	err := json.Unmarshal(e.Data, &m)
	return m, err
}

// start begins to replicate the log, whose entry at marker is the marker.
func (ls *leader) start(marker uint64) {
	ls.marker = marker
	ls.levels[ls.self] = ls.n.store.log.Durable()
	// What is not known to be complete some peers may lack.
	next := marker
	if c := ls.n.commit.Load() + 1; c < marker && marker-c < maxBatch {
		next = c
	}
	for id, addr := range ls.n.cfg.Peers {
		if id == ls.n.cfg.ID {
			continue
		}
		p := &peer{id: id, url: "http://" + addr + pathAppend, wake: make(chan struct{}, 1), next: next}
		p.member, p.counts = ls.cohort.Member(id)
		ls.peers = append(ls.peers, p)
	}
	ls.wg.Go(ls.writer)
	ls.wg.Go(ls.completer)
	for _, p := range ls.peers {
		ls.wg.Go(func() { ls.replicate(p) })
	}
}

// end ends the leadership: what was not written is refused, what was written and
// is not complete is unknown, or waits for the successor that it was handed to.
// until is the term that ended it, zero when the member stops.
func (ls *leader) end(until leadership.Term) {
	r := &leadership.Refusal{Term: ls.own.Term, Until: leadership.MaxTerm(until, ls.own.Term), Reason: "the leadership has ended", RetryAfter: retryAfter}
	ls.mu.Lock()
	if ls.over != nil {
		ls.mu.Unlock()
		return
	}
	ls.over = r
	queue, carried := ls.queue, ls.carried
	ls.queue = nil
	ls.mu.Unlock()
	ls.cancel()
	for _, p := range queue {
		p.result <- proposed{err: r}
	}
	if !carried {
		ls.forget()
	}
}

// stop ends the leadership and joins its goroutines.
func (ls *leader) stop(until leadership.Term) {
	ls.end(until)
	ls.wg.Wait()
}

// propose queues a command. The answer comes on the proposal's channel.
func (ls *leader) propose(data []byte) *proposal {
	p := &proposal{data: data, result: make(chan proposed, 1)}
	ls.mu.Lock()
	r := ls.over
	if r == nil {
		ls.queue = append(ls.queue, p)
	}
	ls.mu.Unlock()
	if r != nil {
		p.result <- proposed{err: r}
		return p
	}
	poke(ls.write)
	return p
}

// writer takes what has queued up while the last fsync ran, writes it as one
// frame, lets the replicators send it, and syncs.
func (ls *leader) writer() {
	for wait(ls.ctx, ls.write) {
		ls.mu.Lock()
		batch := ls.queue[:min(len(ls.queue), maxBatch)]
		ls.queue = ls.queue[len(batch):]
		again := len(ls.queue) > 0
		ls.mu.Unlock()
		if again {
			poke(ls.write)
		}
		if len(batch) > 0 {
			ls.writeBatch(batch)
		}
	}
}

func (ls *leader) writeBatch(batch []*proposal) {
	log, acc := ls.n.store.log, ls.n.store.acc
	written := false
	err := log.Update(func(w *replog.Writer) error {
		tok, err := acc.Admit(ls.own)
		if err != nil {
			return err
		}
		if log.Size() > ls.n.cfg.MaxLog {
			return &leadership.Refusal{Term: ls.own.Term, Until: ls.own.Term, Reason: "the log is full"}
		}
		at := w.Last()
		entries := make([]replog.Entry, len(batch))
		for i, p := range batch {
			entries[i] = replog.Entry{Index: at.Index + 1 + uint64(i), Term: ls.own.Term, Data: p.data}
		}
		ls.mu.Lock()
		gone := ls.over
		if gone == nil {
			for i, p := range batch {
				ls.waiting[entries[i].Index] = p
			}
			written = true // from here on, end answers them
		}
		ls.mu.Unlock()
		if gone != nil {
			return gone
		}
		if err := w.Write(at.Index, entries); err != nil {
			return err
		}
		for _, p := range ls.peers {
			poke(p.wake)
		}
		if err := w.Sync(); err != nil {
			return err
		}
		// Its own node counts only when the gate was open all along: else the
		// entry is one that some earlier read of this log may have missed.
		if err := acc.Confirm(tok); err != nil {
			return nil
		}
		ls.level(ls.self, log.Durable())
		return nil
	})
	switch {
	case err == nil:
	case written:
		ls.n.fatal(err) // the disk failed
	default:
		for _, p := range batch {
			p.result <- proposed{err: ls.refusal(err)}
		}
	}
}

// refusal makes of an error that proves non-execution a refusal that the
// client's side understands.
func (ls *leader) refusal(err error) error {
	var r *leadership.Refusal
	if errors.As(err, &r) {
		return r
	}
	return ls.n.refusal(fmt.Sprintf("the leadership has ended: %v", err))
}

// level notes that a member's log is durable and matches up to index.
func (ls *leader) level(m leadership.Member, index uint64) {
	ls.mu.Lock()
	ls.levels[m] = max(ls.levels[m], index)
	ls.mu.Unlock()
	poke(ls.done)
}

// inForce returns the rulesets that decide now. The caller holds mu or is the
// completer.
func (ls *leader) inForce(commit uint64) []*leadership.Rules {
	if commit >= ls.marker {
		return ls.final
	}
	return ls.forced
}

// reached returns the highest level that a durable set has reached under every
// one of rules.
func (ls *leader) reached(levels *[leadership.MaxMembers]uint64, rules []*leadership.Rules) uint64 {
	var best uint64
	for m := range ls.cohort.All().All() {
		v := levels[m]
		if v <= best {
			continue
		}
		var have leadership.Set
		for o := range ls.cohort.All().All() {
			if levels[o] >= v {
				have = have.With(o)
			}
		}
		durable := true
		for _, r := range rules {
			durable = durable && r.Durable(ls.self, have)
		}
		if durable {
			best = v
		}
	}
	return best
}

// completer moves the commit index, applies, and answers.
func (ls *leader) completer() {
	marked := false
	for wait(ls.ctx, ls.done) {
		if !ls.granted.Load() {
			continue
		}
		commit, ok := ls.complete()
		if !ok {
			continue
		}
		if ls.n.apply() != nil {
			return
		}
		if !marked && commit >= ls.marker {
			marked = true
			close(ls.ready)
			ls.tell()
		}
	}
}

// complete decides, in the acceptor's bracket, up to which index the log is
// complete. It reports false while the marker is not.
func (ls *leader) complete() (uint64, bool) {
	c, err := ls.n.store.acc.Complete(ls.own.Term)
	if err != nil {
		return 0, false
	}
	defer c.Done()
	commit := ls.n.commit.Load()
	ls.mu.Lock()
	levels := ls.levels
	ls.mu.Unlock()
	index := ls.reached(&levels, ls.inForce(commit))
	// The own-term rule: entries of earlier terms are complete only when the
	// marker behind them is (Ongaro & Ousterhout, Raft, figure 8).
	if index < ls.marker || !ls.n.raise(index) {
		return commit, ls.n.commit.Load() >= ls.marker
	}
	return index, true
}

// answer tells a client that its command was applied; or that nobody knows
// when, after this leadership, another command took its place.
func (ls *leader) answer(at replog.At, o outcome) {
	ls.mu.Lock()
	p := ls.waiting[at.Index]
	delete(ls.waiting, at.Index)
	ls.mu.Unlock()
	switch {
	case p == nil:
	case at.Term != ls.own.Term:
		p.result <- proposed{index: at.Index, err: errNotCompleted}
	default:
		p.result <- proposed{index: at.Index, outcome: o}
	}
}

// tell has every peer told the commit index now, not with the next heartbeat.
func (ls *leader) tell() {
	ls.mu.Lock()
	ls.asked = max(ls.asked, ls.sent+1)
	ls.mu.Unlock()
	for _, p := range ls.peers {
		poke(p.wake)
	}
}

// poke wakes whoever waits on a channel of capacity one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// wait returns true after a signal, false when ctx has ended.
func wait(ctx context.Context, ch <-chan struct{}) bool {
	select {
	case <-ch:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
