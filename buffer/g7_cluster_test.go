package buffer_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// member is a node with a real gate. It checks the term of every request.
type member struct {
	id   leadership.NodeID
	gate *lameduck.Gate

	mu    sync.Mutex
	leads leadership.Term       // zero when it is not granted
	knows leadership.Leadership // whom it follows or is
	down  bool                  // cannot be dialled
}

// town is three members, the registry that records who leads, and what came
// of each request.
type town struct {
	reg     *partitioned
	rules   leadership.Ruleset
	members map[leadership.NodeID]*member
	top     uint64  // highest term used
	last    *member // who was granted last

	mu      sync.Mutex
	applied map[int]int       // by request: how often
	first   map[int]time.Time // when it was first sent
}

func newTown(t *rapid.T) *town {
	ids := []leadership.NodeID{"n1", "n2", "n3"}
	var nodes []leadership.Node
	for _, id := range ids {
		nodes = append(nodes, leadership.Node{ID: id})
	}
	rules, err := leadership.NewRuleset(leadership.Majority(), nodes...)
	if err != nil {
		t.Fatal(err)
	}
	rules.Version = 1
	c := &town{reg: &partitioned{}, rules: rules, members: map[leadership.NodeID]*member{}, applied: map[int]int{}, first: map[int]time.Time{}}
	for _, id := range ids {
		gate, err := lameduck.New(lameduck.Options{Name: string(id)})
		if err != nil {
			t.Fatal(err)
		}
		c.members[id] = &member{id: id, gate: gate}
	}
	c.last = c.members["n1"]
	rec, err := leadership.Record{}.Create("c", leadership.Full, rules)
	if err == nil {
		_, err = c.reg.Swap(bg, 0, rec)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.change(t, changing{to: "n1", holdFor: time.Second})
	return c
}

// send is one try of request id at to, as a client and a node together.
func (c *town) send(id int, unit bool, to leadership.Leadership, think, service time.Duration) error {
	c.mu.Lock()
	if c.first[id].IsZero() {
		c.first[id] = time.Now()
	}
	c.mu.Unlock()
	m := c.members[to.Leader]
	time.Sleep(200 * time.Microsecond)
	m.mu.Lock()
	down := m.down
	m.mu.Unlock()
	if down {
		return buffer.NotSent(errors.New("connection refused"))
	}
	kind := lameduck.Single
	if unit {
		kind = lameduck.Unit
	}
	tok, err := m.gate.Enter(kind)
	if err != nil {
		return err
	}
	defer tok.Exit()
	m.mu.Lock()
	leads, knows := m.leads, m.knows
	m.mu.Unlock()
	if leads != to.Term {
		return &leadership.Refusal{Term: leads, Until: knows.Term, Leader: knows.Leader}
	}
	if unit {
		time.Sleep(think)
		commit, err := tok.Continue()
		if err != nil {
			return err
		}
		defer commit.Exit()
	}
	time.Sleep(service)
	c.mu.Lock()
	c.applied[id]++
	c.mu.Unlock()
	return nil
}

// The steps of a change, after each of which its coordinator may die.
const (
	stepBegin = iota
	stepHolding
	stepDrained
	stepSealed
	stepActive
	stepGranted
	stepRouted
)

type changing struct {
	to      leadership.NodeID
	dies    int  // after this step; stepRouted for not
	giveUp  bool // before anything is promised
	undo    bool // the old leader again, at a term above
	holdFor time.Duration
	slow    func(string) time.Duration // how long a step takes
	flaky   time.Duration              // the new leader cannot be dialled for so long
}

// change runs a change until it is over, given up, or its coordinator dies. It
// returns how far it came.
func (c *town) change(t *rapid.T, ch changing) int {
	if ch.slow == nil {
		ch.slow, ch.dies = func(string) time.Duration { return 0 }, stepRouted
	}
	update := func(f func(leadership.Record) (leadership.Record, error)) {
		if _, err := leadership.Update(bg, &c.reg.MemoryRegistry, f); err != nil {
			t.Fatal(err)
		}
	}
	old := c.last
	c.top++
	tm := term(c.top)
	in := leadership.Intent{Term: tm, By: "c1", Kind: leadership.KindPlanned, From: old.id, To: ch.to, HoldFor: ch.holdFor}
	update(func(r leadership.Record) (leadership.Record, error) { return r.Begin(in, true) })
	time.Sleep(ch.slow("preparing"))
	if ch.dies == stepBegin {
		return stepBegin
	}
	update(func(r leadership.Record) (leadership.Record, error) { return r.Advance(tm) })
	if ch.giveUp {
		time.Sleep(ch.slow("until given up"))
		update(func(r leadership.Record) (leadership.Record, error) { return r.Abandon(tm), nil })
		return stepHolding
	}
	if ch.dies == stepHolding {
		return stepHolding
	}
	plan := lameduck.Plan{
		Units: ch.slow("units"), All: time.Minute, Until: tm, Leader: ch.to,
		// A coordinator that dies leaves a leader that finds back by itself.
		Expire: 300 * time.Millisecond,
	}
	if !old.gate.State().Phase.Ended() {
		if _, err := old.gate.Drain(bg, plan); err != nil {
			t.Fatal(err)
		}
	}
	if ch.dies == stepDrained {
		return stepDrained
	}
	for old.gate.State().Term.Less(tm) {
		if err := old.gate.Seal(tm); err == nil {
			break
		}
		if _, err := old.gate.Drain(bg, plan); err != nil { // its expiry came first
			t.Fatal(err)
		}
	}
	old.mu.Lock()
	old.leads = leadership.Term{}
	old.mu.Unlock()
	if ch.dies == stepSealed {
		return stepSealed
	}
	if ch.undo {
		ch.to = old.id
		c.top++
		tm = term(c.top)
		in.Term, in.To, in.Kind, in.Phase = tm, old.id, leadership.KindUndo, leadership.Holding
		update(func(r leadership.Record) (leadership.Record, error) { return r.Begin(in, true) })
	}
	time.Sleep(ch.slow("install"))
	proof := c.installed(t, tm, ch.to)
	update(func(r leadership.Record) (leadership.Record, error) { return r.Activate(proof) })
	if ch.dies == stepActive {
		return stepActive
	}
	time.Sleep(ch.slow("grant"))
	c.grant(t, proof.Leadership(), ch.flaky)
	if ch.dies == stepGranted {
		return stepGranted
	}
	time.Sleep(ch.slow("route"))
	update(func(r leadership.Record) (leadership.Record, error) {
		return r.Route(proof.Leadership(), string(ch.to)+":1")
	})
	return stepRouted
}

// grant lets l serve, and tells the others whom they follow.
func (c *town) grant(t *rapid.T, l leadership.Leadership, flaky time.Duration) {
	for _, m := range c.members {
		m.mu.Lock()
		m.knows = l
		if m.id == l.Leader {
			m.leads, m.down = l.Term, flaky > 0
		}
		m.mu.Unlock()
	}
	c.last = c.members[l.Leader]
	if err := c.last.gate.Serve(l.Term); err != nil {
		t.Fatal(err)
	}
	if flaky > 0 {
		time.Sleep(flaky)
		c.last.mu.Lock()
		c.last.down = false
		c.last.mu.Unlock()
	}
}

// installed runs a whole round and returns its proof.
func (c *town) installed(t *rapid.T, tm leadership.Term, to leadership.NodeID) *leadership.Installed {
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := leadership.NewRound(leadership.RoundConfig{Term: tm, Rulesets: []leadership.Ruleset{c.rules}})
	fail(err)
	for id := range c.members {
		fail(r.Add(leadership.Testimony{Node: id, Term: tm, Kind: leadership.Promised, Read: &leadership.Position{}}))
	}
	v, err := r.Revocation()
	fail(err)
	p, err := v.Propose(to, nil)
	fail(err)
	for id := range c.members {
		fail(p.Add(leadership.Acceptance{Node: id, Term: tm, Leader: to}))
	}
	in, err := p.Installed()
	fail(err)
	return in
}

// partitioned is a registry that routers cannot reach at times, while
// coordinators, who use the embedded one, can.
type partitioned struct {
	leadership.MemoryRegistry
	mu     sync.Mutex
	down   bool
	cancel context.CancelCauseFunc // of the Wait under way
}

var errPartition = errors.New("registry unreachable")

func (p *partitioned) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	down := p.down
	p.cancel = cancel
	p.mu.Unlock()
	if down {
		return leadership.Record{}, errPartition
	}
	return p.MemoryRegistry.Wait(ctx, after)
}

func (p *partitioned) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down && p.cancel != nil {
		p.cancel(errPartition)
	}
}
