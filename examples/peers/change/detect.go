package change

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// nextRTT is how much later than the one before it each further successor acts.
const nextRTT = 3

// succeed watches the leader of a node, and changes it when it is gone: the
// first successor, in the order of names, after the failure timeout, or as soon
// as its connection is reset; each further one a while later, in case the ones
// before it are gone, too.
func (c *tenure) succeed(n *node) {
	rtt := c.wire.rtt()
	timeout := time.Duration(c.timeout) * rtt
	for c.ctx.Err() == nil {
		src := n.acc.Status().Source
		if src.IsZero() || src.Leader == n.id || c.wire.isDead(n.i) {
			if !sleep(c.ctx, rtt/2) {
				return
			}
			continue
		}
		leader := hostOf(src.Leader)
		rank := n.i
		if leader < n.i {
			rank--
		}
		n.mu.Lock()
		due := n.heard.Add(timeout)
		n.mu.Unlock()
		reset := false
		t := time.NewTimer(time.Until(due.Add(time.Duration(rank*nextRTT) * rtt)))
		select {
		case <-c.ctx.Done():
		case <-t.C:
		case <-c.wire.gone[leader]:
			reset = true
		}
		t.Stop()
		if c.ctx.Err() != nil {
			return
		}
		if reset && !sleep(c.ctx, time.Duration(rank*nextRTT)*rtt) {
			return
		}
		n.mu.Lock()
		late := reset || time.Since(n.heard) >= timeout+time.Duration(rank*nextRTT)*rtt
		n.mu.Unlock()
		switch {
		case !late || n.acc.Status().Source != src || c.wire.isDead(n.i):
		case c.announced():
			sleep(c.ctx, rtt/2)
		default:
			c.emergency(n)
		}
	}
}

// announced reports whether the record says that a planned change is under way:
// a leader that hands over is silent for a while, and that is no failure.
func (c *tenure) announced() bool {
	rec, err := c.reg.Load(c.ctx)
	return err == nil && rec.Intent.Kind == leadership.KindPlanned && rec.Active.Term.Less(rec.Intent.Term)
}

// pollRTT is how often a coordinator asks the nodes how they are, so that it need
// not when it is to act.
const pollRTT = 2

// poll asks them from a host. What the leader is known to have is what it said a
// poll ago: a follower that has by now what the leader had then needs not be brought
// level.
func (c *tenure) poll(host int) {
	var before []leadership.Status
	for sleep(c.ctx, pollRTT*c.wire.rtt()) {
		ctx, cancel := context.WithTimeout(c.ctx, pollRTT*c.wire.rtt())
		v, err := c.guards[host].View(ctx)
		cancel()
		if err != nil || c.wire.isDead(host) {
			continue
		}
		known := slices.Clone(v.Statuses)
		for i, s := range known {
			j := slices.IndexFunc(before, func(b leadership.Status) bool { return b.Node == s.Node && b.Leads == s.Leads })
			if !s.Leads.IsZero() && j >= 0 {
				known[i] = before[j]
			}
		}
		before = v.Statuses
		c.mu.Lock()
		c.known[host] = known
		c.mu.Unlock()
	}
}

func (c *tenure) emergency(n *node) {
	change := reparent.Emergency()
	c.mu.Lock()
	change.Known = c.known[n.i]
	if c.detected.IsZero() {
		c.detected = time.Now()
	}
	c.mu.Unlock()
	rep, err := c.guards[n.i].Run(c.ctx, change)
	c.mu.Lock()
	c.report = rep
	c.mu.Unlock()
	// Another one may have been first; then there is a leader.
	var later *leadership.SupersededError
	var other *reparent.ChangeError
	if err != nil && c.ctx.Err() == nil && !errors.As(err, &later) && !errors.As(err, &other) {
		c.fail(fmt.Errorf("emergency at %s: %w", n.id, err))
	}
}
