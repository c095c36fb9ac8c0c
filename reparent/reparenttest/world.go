package reparenttest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// world is one simulated cluster: hosts, a registry, coordinators and clients,
// stepped by one scheduler, and the checks that watch them.
type world struct {
	sim     *stepsim.Sim
	h       Harness
	ids     []leadership.NodeID
	hosts   map[leadership.NodeID]*Host
	reg     leadership.Registry
	regHost *Host
	regProc *stepsim.Proc
	ruleset leadership.Ruleset
	rules   *leadership.Rules
	mode    leadership.Mode
	joins   bool                          // members come and go in this run, or some hosts are none
	usedBy  map[leadership.Term]mechanism // written under mu
	mixes   map[[2]mechanism]int          // how often a grant by one came after a grant by the other
	routed  []error                       // what clients of routers were told; written under mu
	breaker *breaker
	lessor  *lessor
	barrier *leadership.MemoryBarrier // kept with the registry; nil: no change waits for routers
	calls   calls
	own     map[*reparent.Guard]mechanisms // of the harness; guarded by mu
	batons  []baton                        // those that leaders have not answered yet; guarded by mu
	oracle
}

// maxSteps bounds one phase of a run.
const maxSteps = 100_000

// newWorld boots size nodes, all of them members, without a leader.
func newWorld(sim *stepsim.Sim, h Harness, size int, policy leadership.Policy) (*world, error) {
	return newWorldOf(sim, h, size, size, policy)
}

// newWorldOf boots size nodes, of which the first few are members.
func newWorldOf(sim *stepsim.Sim, h Harness, size, few int, policy leadership.Policy) (*world, error) {
	w := &world{
		sim: sim, h: h, hosts: map[leadership.NodeID]*Host{}, regProc: sim.Proc("registry"),
		own: map[*reparent.Guard]mechanisms{}, usedBy: map[leadership.Term]mechanism{}, mixes: map[[2]mechanism]int{},
	}
	w.oracle.init(w)
	w.regHost = &Host{ID: "registry", w: w, proc: w.regProc}
	w.regProc.Boot = w.bootRegistry
	w.bootRegistry()
	members := h.members(size)
	for _, m := range members {
		host := &Host{ID: m.ID, w: w, proc: sim.Proc(string(m.ID))}
		w.ids, w.hosts[m.ID] = append(w.ids, m.ID), host
	}
	rs, err := leadership.NewRuleset(policy, members[:few]...)
	if err != nil {
		return nil, err
	}
	w.ruleset = rs
	if w.rules, err = rs.Compile(h.Catalog); err != nil {
		return nil, err
	}
	for _, id := range w.ids {
		host := w.hosts[id]
		host.proc.Peer = true
		host.proc.Boot = func() { w.boot(host) }
		host.proc.Lose = func() {
			host.Disk = nil
			host.node.Inspect = gone{}
			host.Lost++
			w.saw(Event{Kind: LostStorage, Node: id})
		}
		w.boot(host)
	}
	w.breaker, w.lessor = newBreaker(w), newLessor(w)
	sim.Check = w.check
	return w, w.err
}

// bootRegistry starts the registry on what is durable there.
func (w *world) bootRegistry() {
	defer w.caught("registry", "Registry")
	reg, err := w.h.registry(w.regHost)
	switch {
	case err != nil:
		w.fail("boot", "the registry does not start: %v", err)
	case reg == nil:
		w.fail("boot", "Harness.Registry returned nil")
	default:
		w.reg = reg
	}
}

// boot starts the node of a host on what is durable there.
func (w *world) boot(h *Host) {
	defer w.caught(h.ID, "Boot")
	n, err := w.h.Boot(h)
	switch {
	case err != nil:
		w.fail("boot", "%s does not boot: %v", h.ID, err)
	case n.Status == nil || n.Promise == nil || n.Client == nil:
		w.fail("boot", "%s has no Status, no Promise or no Client", h.ID)
	default:
		h.node = n
		if h.offers == nil {
			h.offers = &n.Node
		}
	}
}

// Limits are those of every guard of a simulation. They are short: a lost message
// costs one of them.
func Limits() reparent.Limits {
	return reparent.Limits{
		Status: 60 * time.Millisecond, Prepare: 200 * time.Millisecond, Drain: 100 * time.Millisecond,
		Revoke: 400 * time.Millisecond, Install: 400 * time.Millisecond, Grant: 100 * time.Millisecond,
		Registry: 100 * time.Millisecond, Undo: 900 * time.Millisecond, Linger: 30 * time.Millisecond,
		HoldFor: 500 * time.Millisecond, Retry: 10 * time.Millisecond,
	}
}

// coordinator adds a process that changes leaders.
func (w *world) coordinator(name string, edit func(*reparent.Config)) (*stepsim.Proc, *reparent.Guard, error) {
	p := w.sim.Proc(name)
	p.Control = true
	g, err := w.guard(p, edit)
	return p, g, err
}

func (w *world) guard(p *stepsim.Proc, edit func(*reparent.Config)) (*reparent.Guard, error) {
	return w.guardOf(w.process(p), edit)
}

// guardOf makes a guard of what a process reaches.
func (w *world) guardOf(view *Process, edit func(*reparent.Config)) (*reparent.Guard, error) {
	p, k := view.proc, 0
	cfg := reparent.Config{
		By: p.Name, Limits: Limits(), Ruleset: w.ruleset, Mode: leadership.Full, Catalog: w.h.Catalog,
		Nonce: func() string { k++; return strconv.Itoa(k) },
	}
	if w.barrier != nil {
		cfg.Barrier = remoteBarrier{p, w}
	}
	if edit != nil {
		edit(&cfg)
	}
	iso, err := view.isolate()
	if err != nil {
		return nil, err
	}
	if w.mode == leadership.Shortcut || cfg.Ruleset.IsZero() {
		cfg.Ruleset, cfg.Mode = leadership.Ruleset{}, "" // it is for clusters that can do without the registry
	}
	if cfg.Isolate == nil {
		cfg.Isolate = iso
	}
	if cfg.ClockRate == 0 {
		cfg.ClockRate = w.h.clockRate()
	}
	var nodes []reparent.Node
	for _, id := range w.ids {
		nodes = append(nodes, view.Nodes[id])
	}
	own, err := w.h.mechanisms(view)
	if err != nil {
		return nil, err
	}
	g, err := reparent.New("sim", view.Registry, nodes, cfg)
	if err == nil {
		w.mu.Lock()
		w.own[g] = own
		w.mu.Unlock()
	}
	return g, err
}

// run runs one change and keeps its report for the checks.
func (w *world) run(g *reparent.Guard, c reparent.Change) *reparent.Report {
	return w.runs(context.Background(), g, c)
}

func (w *world) runs(ctx context.Context, g *reparent.Guard, c reparent.Change) *reparent.Report {
	w.mu.Lock()
	own := w.own[g]
	w.mu.Unlock()
	if c.Kind == leadership.KindRuleset || c.Waiver != nil && c.Waiver.Ruleset != nil {
		w.reformed.Store(true)
	}
	if c.Revoke == nil && c.Kind != leadership.KindBootstrap && c.Kind != leadership.KindAdopt {
		c.Revoke = own.revoke
	}
	if c.Establish == nil {
		c.Establish = own.establish
	}
	rep, _ := g.Run(ctx, c)
	w.mu.Lock()
	w.reports = append(w.reports, rep)
	w.mu.Unlock()
	return rep
}

// bootstrap makes n1 leader on the quiet schedule, whatever faults come later.
func (w *world) bootstrap() error {
	f := w.sim.Allowed()
	w.sim.Allow(stepsim.Faults{})
	defer w.sim.Allow(f)
	_, g, err := w.coordinator("boot", nil)
	if err != nil {
		return err
	}
	first := reparent.Bootstrap(w.ruleset, w.ids[0])
	first.Mode = w.mode
	var rep *reparent.Report
	if err := w.sim.Do(maxSteps, func() { rep = w.run(g, first) }); err != nil {
		return err
	}
	return rep.Err
}

// heal ends all faults and lets a fresh coordinator bring the cluster back: the
// liveness half of every run. It returns the leader.
func (w *world) heal(name string) (leadership.NodeID, error) {
	w.sim.Free()
	w.sim.Mend()
	p, g, err := w.coordinator(name, nil)
	if err != nil {
		return "", err
	}
	p.Client = true
	var rep *reparent.Report
	var werr error
	derr := w.sim.Do(maxSteps, func() {
		for range 6 {
			if rep = w.run(g, reparent.Resume()); rep.Err == nil {
				break
			}
			// What a change cannot bring back, a sweep can, and a person.
			_, _ = g.Sweep(context.Background())
			w.release(p)
			w.decide(rep.Err)
		}
		if rep.Err == nil {
			werr = w.append(context.Background(), p, rep.To)
		}
	})
	switch {
	case derr != nil:
		return "", derr
	case rep.Err != nil && w.short():
		return "", errShort
	case rep.Err != nil:
		return "", &Violation{Name: "L1", Says: fmt.Sprintf("all faults are over, and no leader could be established: %v\n%s", rep.Err, rep)}
	case werr != nil:
		return "", &Violation{Name: "L1", Says: fmt.Sprintf("all faults are over, %s was established, and cannot be written to: %v", rep.To, werr)}
	}
	return rep.To, w.settled(g, rep.To)
}

// clientWaits is how long a client waits for an answer.
const clientWaits = 400 * time.Millisecond

// append makes one client append to a node and classes the answer.
func (w *world) append(ctx context.Context, p *stepsim.Proc, id leadership.NodeID) error {
	h := w.hosts[id]
	v, done := w.appending(p, id)
	_, err := stepsim.CallFor(ctx, clientWaits, p, h.proc, "append "+strconv.FormatUint(v, 10), func(ctx context.Context) (struct{}, error) {
		defer w.caught(id, "Append")
		w.asked(id)
		return struct{}{}, h.node.Client.Append(ctx, v)
	})
	done(err)
	return err
}

// read makes one client read at a node and takes it into the history.
func (w *world) read(ctx context.Context, p *stepsim.Proc, id leadership.NodeID) error {
	h := w.hosts[id]
	done := w.reading(p, id)
	got, err := stepsim.CallFor(ctx, clientWaits, p, h.proc, "read", h.readNow)
	done(got, err)
	return err
}

// readAll reads at a leader until it is told the log.
func (w *world) readAll(p *stepsim.Proc, id leadership.NodeID) (log []uint64, err error) {
	h := w.hosts[id]
	for range 20 {
		log, err = stepsim.CallFor(context.Background(), clientWaits, p, h.proc, "read", h.readNow)
		if err == nil {
			return log, nil
		}
	}
	return nil, err
}

func (h *Host) readNow(ctx context.Context) ([]uint64, error) {
	defer h.w.caught(h.ID, "Read")
	h.w.asked(h.ID)
	return h.node.Client.Read(ctx)
}

// caught is deferred around code under test: what panics fails the run, with
// its seed, instead of ending the process without one.
func (w *world) caught(id leadership.NodeID, what string) {
	r := recover()
	if r == nil {
		return
	}
	stack := debug.Stack()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail("panic", "%s panicked in %q: %v\n%s", id, what, r, stack)
}

// isRefusedDial reports whether nothing was sent at all.
func isRefusedDial(err error) bool { return errors.Is(err, stepsim.ErrRefused) }
