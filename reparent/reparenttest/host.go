package reparenttest

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Host is the simulated machine of one node: its disk, its network, its clock
// and its life. A node under test does all its IO through its host, so that
// the simulation can delay, lose, repeat and interrupt it.
//
// A host outlives its node: after a crash Harness.Boot is called again with the
// same host, and only what was written through Write is still there.
type Host struct {
	// ID is the node's name.
	ID leadership.NodeID
	// Disk is the node's: nil at the first Boot, what the node put there at
	// every later one. It is changed in Boot and in Write only.
	Disk any
	// Lost is how often its storage was lost. A Boot that finds no Disk and
	// Lost above zero is not that of a new node, but of one that forgot what
	// it promised.
	Lost int

	w    *world
	proc *stepsim.Proc
	node Node // of the present life
	// offers is what its first life offered, and every later one does. A
	// coordinator looks at it at any time, which node is not for.
	offers *reparent.Node
}

// Write carries out a durable write: f changes what the node will find after a
// restart. It is an event of its own: a crash may come before it or after it.
// f is called by the scheduler while nothing else runs and must not block. When
// the host dies, or the disk fails, Write returns an error and f may or may not have
// been called: the error matches leadership.ErrUnknownOutcome in the latter case.
// A write that was begun is finished and waited for when ctx ends.
func (h *Host) Write(ctx context.Context, what string, f func()) error {
	return h.WriteTorn(ctx, what, func(torn bool) {
		if !torn {
			f()
		}
	})
}

// WriteTorn is Write for a disk that a crash can leave in between: f is called
// with torn set when the host dies in the middle, and must leave behind what
// half a write leaves.
func (h *Host) WriteTorn(ctx context.Context, what string, f func(torn bool)) error {
	err := h.proc.Disk(ctx, what, func(torn bool) {
		if torn {
			h.w.count("a torn write")
		}
		f(torn)
	})
	if err != nil && !errors.Is(err, stepsim.ErrKilled) {
		h.w.count("a write failed")
	}
	return err
}

// Go starts f in the background of this life of the node: ctx ends when the
// host dies. The simulation waits for f at the end of the run.
func (h *Host) Go(f func(ctx context.Context)) {
	h.proc.Background(func(life context.Context) {
		defer h.w.caught(h.ID, "Host.Go")
		f(life)
	})
}

// Life ends when the host dies.
func (h *Host) Life() context.Context { return h.proc.Life() }

// Now is the time of the host's own clock, which may run fast or slow and jump.
func (h *Host) Now() time.Time { return h.proc.Now() }

// Elapsed is the host's monotonic clock: it may run fast or slow, and never
// jumps. It starts at zero and goes on across restarts.
func (h *Host) Elapsed() time.Duration { return h.proc.Mono() }

// Sleep waits for d on the host's own clock, or for the end of ctx, which it
// returns as an error.
func (h *Host) Sleep(ctx context.Context, d time.Duration) error { return sleep(ctx, h.proc, d) }

func sleep(ctx context.Context, p *stepsim.Proc, d time.Duration) error {
	t := time.NewTimer(p.After(d))
	defer t.Stop()
	select {
	case <-t.C:
		p.Sim().Shaken()
		if over(ctx) {
			return context.DeadlineExceeded
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// over reports whether the time of ctx is over, also where nobody has been told yet. What
// is waited for may come at the instant at which the wait ends, and which of the two a
// goroutine sees first would not be the scheduler's to say: it is the end.
func over(ctx context.Context) bool {
	until, ok := ctx.Deadline()
	return ok && !time.Now().Before(until)
}

// Reboot stops the host and starts it again, as an event of its own.
func (h *Host) Reboot() {
	h.proc.Later("reboot", func() {
		h.proc.Crash()
		h.proc.Restart()
	})
}

// Saw tells the checks of something only the node knows: see Event. What a node
// tells when its host is down never happened.
func (h *Host) Saw(e Event) {
	if !h.proc.Up() {
		return
	}
	e.Node = h.ID
	h.w.saw(e)
}

// Rules compiles a ruleset with the policies that the harness knows.
func (h *Host) Rules(rs leadership.Ruleset) (*leadership.Rules, error) {
	return rs.Compile(h.w.h.Catalog)
}

func (h *Host) origin() (*world, *stepsim.Proc) { return h.w, h.proc }

// Sender is who can send a message: a *Host or a *Process.
type Sender interface {
	origin() (*world, *stepsim.Proc)
}

// Send runs f at a host, as a message, with the node that lives there then: it
// may come late, twice or never, and f goes on at its host when ctx ends. The
// answer is a message too. what names it in traces, and must differ between two
// messages that are sent to one host at the same time. Errors: those of f; one
// that says that the other host is down; one that matches
// leadership.ErrUnknownOutcome; or a *leadership.UnknownNodeError.
func Send[V any](ctx context.Context, from Sender, to leadership.NodeID, what string, f func(ctx context.Context, peer Node) (V, error)) (V, error) {
	return sendFor(ctx, 0, from, to, what, f)
}

// sendFor is Send for a sender that gives up after d, 0 for never.
func sendFor[V any](ctx context.Context, d time.Duration, from Sender, to leadership.NodeID, what string, f func(ctx context.Context, peer Node) (V, error)) (V, error) {
	w, proc := from.origin()
	o, ok := w.hosts[to]
	if !ok {
		var zero V
		return zero, &leadership.UnknownNodeError{Node: to}
	}
	return stepsim.CallFor(ctx, d, proc, o.proc, what, func(ctx context.Context) (V, error) {
		defer w.caught(to, what)
		return f(ctx, o.node)
	})
}

// gone is what there is to see of a node whose disk was lost, until it boots.
type gone struct{}

func (gone) Facts() Facts { return Facts{Out: true} }
