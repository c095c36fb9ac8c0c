package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// cluster is the ground truth of a simulated cluster, and its oracle.
type cluster struct {
	s     *sim
	ids   []leadership.NodeID
	nodes map[leadership.NodeID]*node
	rs    leadership.Ruleset
	rules *leadership.Rules
	reg   *leadership.MemoryRegistry
	regP  *proc

	barrier *leadership.MemoryBarrier // beside the registry; nil: no change waits

	// Guarded by s.mu.
	done     []done
	grants   []leadership.Leadership
	installs int
	err      error
	floors   map[leadership.NodeID]leadership.Term
	acked    map[int]bool
	refused  map[int]bool
	unknown  map[int]bool
	leases   map[leadership.NodeID]leaseEnd
	promised map[leadership.Term]bool // by any node, ever
	reforms  bool                     // rulesets change in this run
	reports  []*reparent.Report
}

// leaseEnd is when a leader's lease runs out, and below which term.
type leaseEnd struct {
	at   time.Time
	term leadership.Term
}

// leased reports whether the leader's lease still lets it complete.
func (c *cluster) leased(l leadership.Leadership) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	end, ok := c.leases[l.Leader]
	return !ok || !l.Term.Less(end.term) || time.Now().Before(end.at)
}

type done struct {
	e  entry
	by leadership.Leadership
}

func newCluster(s *sim, tr []traits, policy leadership.Policy) *cluster {
	c := &cluster{
		s: s, nodes: map[leadership.NodeID]*node{}, reg: &leadership.MemoryRegistry{}, regP: s.proc("registry"),
		floors: map[leadership.NodeID]leadership.Term{}, acked: map[int]bool{}, refused: map[int]bool{}, unknown: map[int]bool{},
		leases: map[leadership.NodeID]leaseEnd{}, promised: map[leadership.Term]bool{},
	}
	var members []leadership.Node
	for i, t := range tr {
		id := leadership.NodeID(fmt.Sprintf("n%d", i+1))
		n := &node{traits: t, id: id, p: s.proc(string(id)), c: c}
		n.store = &memStore{p: n.p, n: n}
		n.p.canDie, n.p.boot = true, n.boot
		n.boot()
		c.ids, c.nodes[id] = append(c.ids, id), n
		members = append(members, leadership.Node{ID: id})
	}
	var err error
	if c.rs, err = leadership.NewRuleset(policy, members...); err != nil {
		panic(err)
	}
	if c.rules, err = c.rs.Compile(nil); err != nil {
		panic(err)
	}
	s.check = c.check
	return c
}

func (c *cluster) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// check runs at every quiescent point, when no goroutine of the cluster runs.
func (c *cluster) check() error {
	if c.err != nil {
		return c.err
	}
	var capable []leadership.Leadership
	for _, id := range c.ids {
		n := c.nodes[id]
		if rec := n.store.rec; rec.Promised.Less(c.floors[id]) {
			return fmt.Errorf("I6: the promise of %s fell from %s to %s", id, c.floors[id], rec.Promised)
		} else {
			c.floors[id] = rec.Promised
		}
		if l, ok := c.capable(n); ok {
			capable = append(capable, l)
		}
	}
	if len(capable) > 1 {
		return fmt.Errorf("I1: %v are capable of new requests at once", capable)
	}
	return nil
}

// capable is condition A and B of a leadership, on the ground truth.
func (c *cluster) capable(n *node) (leadership.Leadership, bool) {
	st := n.acc().Status()
	l := leadership.Leadership{Leader: n.id, Term: st.Leads}
	if !n.p.up || n.p.cut || !c.leased(l) || st.Leads.IsZero() || st.Leads != st.Promised || len(n.rules) == 0 {
		return l, false
	}
	for _, r := range n.rules {
		self, _ := r.Cohort().Member(n.id)
		have := leadership.SetOf(self)
		for _, id := range r.Ruleset.IDs() {
			o := c.nodes[id]
			rec := o.store.rec
			accepts := !o.p.cut && (rec.Promised.Less(l.Term) || rec.Promised == l.Term && (rec.Source == l || rec.Source.IsZero())) || o.bugs.noTermCheck
			if m, ok := r.Cohort().Member(id); ok && id != n.id && accepts {
				have = have.With(m)
			}
		}
		if !r.Durable(self, have) {
			return l, false
		}
	}
	return l, true
}

// installing checks what must hold when a marker is about to be written.
func (c *cluster) installing(n *node, m leadership.Marker) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.installs++
	var blocked leadership.Set
	for i, id := range c.ids {
		o := c.nodes[id]
		// A node whose lease is over is blocked as a leader; the fault model
		// counts it, since only it led.
		if end, ok := c.leases[id]; ok && !time.Now().Before(end.at) && end.term == m.Term {
			blocked = blocked.With(leadership.Member(i))
		}
		if rec := o.store.rec; (m.Term.Compare(rec.Promised) <= 0 || o.p.cut) && !o.bugs.noTermCheck {
			blocked = blocked.With(leadership.Member(i))
		}
	}
	// While rulesets change, which of them are in force is what the round
	// finds out; I1 and I2 then say whether it was right.
	if l, ok := c.rules.Could(c.rules.Leaders(), c.rules.Members().Minus(blocked)); ok && len(c.grants) > 0 && !c.reforms {
		c.fail("I5: %s installs the marker of %s while %s could still complete below it", n.id, m.Term, c.rules.Cohort().Node(l).ID)
	}
	for i, d := range c.done {
		if d.by.Term.Less(m.Term) && (i >= len(n.log) || n.log[i].Term != d.e.Term || n.log[i].Val != d.e.Val) {
			c.fail("I2: %s installs %s without entry %d (%v), completed by %s", n.id, m.Term, i+1, d.e, d.by)
		}
	}
}

func (c *cluster) granted(n *node, t leadership.Term) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	l := leadership.Leadership{Leader: n.id, Term: t}
	if !c.marked(n, l) {
		c.fail("I11: %s is granted before its marker is durable", l)
	}
	for _, g := range c.grants {
		if g.Term == t && g != l {
			c.fail("I7: %s and %s are granted the same term", g, l)
		}
	}
	c.grants = append(c.grants, l)
}

// completed is told of each completion, in order of the leader's log.
func (c *cluster) completed(n *node, l leadership.Leadership, i int, e entry) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case i < len(c.done):
		if d := c.done[i]; d.e.Term != e.Term || d.e.Val != e.Val {
			c.fail("I3: entry %d was completed as %v by %s and as %v by %s", i+1, d.e, d.by, e, l)
		}
	case i > len(c.done):
		c.fail("I4: %s completes entry %d, the one before it was never completed", l, i+1)
	default:
		c.done = append(c.done, done{e, l})
	}
}

// marked reports whether the marker of l is on a durable set.
func (c *cluster) marked(n *node, l leadership.Leadership) bool {
	var have leadership.Set
	for i, id := range c.ids {
		if c.nodes[id].markerAt(l) >= 0 {
			have = have.With(leadership.Member(i))
		}
	}
	self, _ := c.rules.Cohort().Member(n.id)
	at := n.markerAt(l)
	if at < 0 {
		return false
	}
	m := n.log[at].Marker
	for _, rs := range append([]leadership.Ruleset{m.Ruleset}, m.Over...) {
		r, err := rs.Compile(nil)
		if err != nil || !r.Durable(self, have) {
			return false
		}
	}
	return true
}

// write makes one client write to a node and classes the answer.
func (c *cluster) write(ctx context.Context, p *proc, id leadership.NodeID) error {
	// Values are numbered per process, so that the order in which goroutines
	// of one step run does not show.
	c.s.mu.Lock()
	p.vals++
	val := p.base*1000 + p.vals
	c.s.mu.Unlock()
	n := c.nodes[id]
	ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	_, err := rpc(ctx, p, n.p, fmt.Sprintf("put %d", val), func(ctx context.Context) (int, error) { return 0, n.put(ctx, val) })
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case err == nil:
		c.acked[val] = true
	case leadership.NotExecuted(err):
		c.refused[val] = true
	default:
		c.unknown[val] = true
	}
	return err
}

// simLimits are short: a dropped message costs one of them.
func simLimits() reparent.Limits {
	return reparent.Limits{
		Status: 60 * time.Millisecond, Prepare: 200 * time.Millisecond, Drain: 100 * time.Millisecond,
		Revoke: 400 * time.Millisecond, Install: 400 * time.Millisecond, Grant: 100 * time.Millisecond,
		Registry: 100 * time.Millisecond, Undo: 900 * time.Millisecond, Linger: 30 * time.Millisecond,
		HoldFor: 500 * time.Millisecond, Retry: 10 * time.Millisecond,
	}
}

// bundle is what a coordinator's process has of each node.
func (c *cluster) bundle(p *proc) []reparent.Node {
	var out []reparent.Node
	for _, id := range c.ids {
		n := c.nodes[id]
		r := remote{p, n}
		b := reparent.Node{
			ID: id, Addr: "addr-" + string(id), Status: r, Promise: r, StepDown: r, Candidate: r, Follow: r, Repair: r,
			Truncates: !n.repairs, GrantsAtInstall: n.opens, ClientGate: n.opens,
		}
		if n.slowRead {
			b.Promise = slowRemote{r}
		}
		out = append(out, b)
	}
	return out
}

func (c *cluster) guard(p *proc, edit func(*reparent.Config)) *reparent.Guard {
	k := 0
	cfg := reparent.Config{
		By: p.name, Limits: simLimits(), Ruleset: c.rs, Mode: leadership.Full,
		Nonce: func() string { k++; return fmt.Sprint(k) },
	}
	if rec, err := c.reg.Load(context.Background()); err == nil && rec.Mode == leadership.Shortcut {
		cfg.Ruleset, cfg.Mode = leadership.Ruleset{}, ""
	}
	if c.barrier != nil {
		cfg.Barrier = remoteBarrier{p, c}
	}
	if edit != nil {
		edit(&cfg)
	}
	g, err := reparent.New("sim", remoteRegistry{p, c}, c.bundle(p), cfg)
	if err != nil {
		panic(err)
	}
	return g
}

// do runs f as a process and steps the simulation until it has returned.
func (c *cluster) do(f func()) error {
	var fin bool
	c.s.wg.Add(1)
	go func() {
		defer c.s.wg.Done()
		f()
		c.s.mu.Lock()
		fin = true
		c.s.mu.Unlock()
	}()
	return c.s.run(60_000, func() bool {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		return fin
	})
}

// bootstrap makes n1 leader on the quiet schedule, whatever faults come later.
func (c *cluster) bootstrap() error {
	f := c.s.faults
	c.s.faults = faults{}
	defer func() { c.s.faults = f }()
	p := c.s.proc("boot")
	var err error
	derr := c.do(func() {
		_, err = c.guard(p, nil).Run(context.Background(), reparent.Bootstrap(c.rs, "n1"))
	})
	return errors.Join(derr, err)
}

// heal ends all faults, restarts everybody, and lets a fresh coordinator bring
// the cluster back: the liveness half of every run. It returns the leader.
func (c *cluster) heal(name string) (leadership.NodeID, error) {
	c.s.faults = faults{}
	for _, p := range c.s.procs {
		p.paused = false
		if p.canDie {
			p.restart()
		}
	}
	p := c.s.proc(name)
	var leader leadership.NodeID
	var rep *reparent.Report
	var err error
	derr := c.do(func() {
		g := c.guard(p, nil)
		for range 6 {
			if rep, err = g.Run(context.Background(), reparent.Resume()); err == nil {
				break
			}
			// What a change cannot bring back, a sweep can.
			_, _ = g.Sweep(context.Background())
		}
		if err != nil {
			return
		}
		leader = rep.To
		err = c.write(context.Background(), p, leader)
	})
	switch {
	case derr != nil:
		return leader, derr
	case err != nil && rep != nil:
		return leader, fmt.Errorf("after healing, nobody could be established or written to: %w\n%s", err, rep)
	}
	return leader, err
}

func (c *cluster) leaderOf() leadership.NodeID {
	for _, id := range c.ids {
		if l, ok := c.capable(c.nodes[id]); ok {
			return l.Leader
		}
	}
	return ""
}

func repeat(t traits, n int) []traits { return slices.Repeat([]traits{t}, n) }
