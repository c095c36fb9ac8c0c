package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// barrierTTL is the lease of routers that shall lapse, and longTTL of those that
// shall not while a check runs.
const (
	barrierTTL = 120 * time.Millisecond
	longTTL    = 10 * patience
)

// Barrier checks a barrier. open returns an empty one for each check and closes it
// by t.Cleanup if need be; again returns another handle on the same barrier, as
// another process would have, or is nil when there is no such thing. A barrier with a
// Close method is also checked for what happens after it.
func Barrier(t *testing.T, open func(t *testing.T) leadership.Barrier, again func(t *testing.T, b leadership.Barrier) leadership.Barrier) {
	t.Helper()
	if again == nil {
		again = func(_ *testing.T, b leadership.Barrier) leadership.Barrier { return b }
	}
	for _, c := range []struct {
		name  string
		check func(k *barrierKit)
	}{
		{"a Wait for nobody returns at once", (*barrierKit).empty},
		{"a Wait returns when the last router has acked its term", (*barrierKit).acks},
		{"an ack of an older term counts for nothing", (*barrierKit).older},
		{"an ack counts for its own term only, after a change was given up", (*barrierKit).undone},
		{"an ack of a newer term ends a Wait as superseded", (*barrierKit).newer},
		{"a router that joins during a Wait is waited for", (*barrierKit).joins},
		{"a router that leaves is not waited for", (*barrierKit).leaves},
		{"a router that dies is waited for until its lease has lapsed, and named", (*barrierKit).dies},
		{"a lease that is renewed does not lapse", (*barrierKit).renews},
		{"a router that lapsed has acked nothing when it joins again", (*barrierKit).lapsed},
		{"a session does not inherit the acks of another", (*barrierKit).sessions},
		{"a router that left has acked nothing when it joins again", (*barrierKit).rejoins},
		{"many routers are all waited for", (*barrierKit).many},
		{"a Wait that is cancelled says who was late and leaves nothing behind", (*barrierKit).cancelled},
		{"a cancelled context stops every call", (*barrierKit).stopped},
		{"what no router can be is refused", (*barrierKit).invalid},
		{"a closed barrier says so", (*barrierKit).closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t)
			c.check(&barrierKit{T: t, ctx: bounded(t), routers: b, coord: again(t, b)})
		})
	}
}

// barrierKit is one check: the barrier as routers have it, and as a coordinator.
type barrierKit struct {
	*testing.T
	ctx            context.Context
	routers, coord leadership.Barrier
}

func kitLease(router, session string, ttl time.Duration) leadership.RouterLease {
	return leadership.RouterLease{Router: leadership.RouterID(router), Session: session, TTL: ttl}
}

func kitTerm(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "kit"} }

func (k *barrierKit) join(l leadership.RouterLease, wantFresh bool) {
	k.Helper()
	fresh, err := k.routers.Join(k.ctx, l)
	if err != nil || fresh != wantFresh {
		k.Fatalf("Join of %s in session %s = fresh %v, %v, want fresh %v", l.Router, l.Session, fresh, err, wantFresh)
	}
}

func (k *barrierKit) ack(l leadership.RouterLease, term uint64) {
	k.Helper()
	if err := k.routers.Ack(k.ctx, l, kitTerm(term)); err != nil {
		k.Fatalf("Ack of %s for %d: %v", l.Router, term, err)
	}
}

// late returns who is late for the term: what a Wait says that is given up soon.
func (k *barrierKit) late(term uint64) leadership.RollCall {
	k.Helper()
	enough := errors.New("enough")
	for soon := barrierTTL / 4; ; soon *= 2 {
		ctx, cancel := context.WithTimeoutCause(k.ctx, soon, enough)
		rc, err := k.coord.Wait(ctx, kitTerm(term))
		cancel()
		var not *leadership.NotQuietError
		switch {
		case k.ctx.Err() != nil:
			k.Fatalf("Wait(%d) never got to look: %v", term, err)
		case err == nil && len(rc.Late) > 0:
			k.Errorf("Wait(%d) returned without an error while %v are late", term, rc.Late)
		case errors.Is(err, enough) && !errors.As(err, &not):
			continue // given up before it could look
		case err != nil && !errors.As(err, &not):
			k.Errorf("Wait(%d) = %v, want a *NotQuietError", term, err)
		case err != nil && (!errors.Is(err, enough) || !slices.Equal(not.Late, rc.Late) || len(rc.Late) == 0):
			k.Errorf("Wait(%d) = %+v, %v: want its own cause, and the same names as late", term, rc, err)
		}
		return rc
	}
}

// quiet fails unless a Wait for the term returns, with exactly these routers quiet.
func (k *barrierKit) quiet(term uint64, want ...leadership.RouterID) leadership.RollCall {
	k.Helper()
	rc, err := k.coord.Wait(k.ctx, kitTerm(term))
	if err != nil || len(rc.Late) > 0 || !slices.Equal(rc.Quiet, want) || rc.Term != kitTerm(term) {
		k.Fatalf("Wait(%d) = %+v, %v, want %v quiet and nobody late", term, rc, err, want)
	}
	return rc
}

// wantLate fails unless a Wait for the term does not return, for want of these.
func (k *barrierKit) wantLate(term uint64, want ...leadership.RouterID) {
	k.Helper()
	if rc := k.late(term); !slices.Equal(rc.Late, want) {
		k.Fatalf("late for %d: %+v, want %v", term, rc, want)
	}
}

// during runs f while a Wait for the term is under way, and returns what that
// came to. f may return before the Wait has begun: nothing may depend on it.
func (k *barrierKit) during(term uint64, f func()) (leadership.RollCall, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	type result struct {
		rc  leadership.RollCall
		err error
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel() // before the wait above, whatever failed
	wg.Add(1)
	go func() {
		defer wg.Done()
		rc, err := k.coord.Wait(ctx, kitTerm(term))
		done <- result{rc, err}
	}()
	f()
	r := <-done
	return r.rc, r.err
}

func (k *barrierKit) empty() { k.quiet(1) }

func (k *barrierKit) acks() {
	a, b := kitLease("a", "s", longTTL), kitLease("b", "s", longTTL)
	k.join(a, true)
	k.join(b, true)
	k.wantLate(5, "a", "b")
	k.ack(a, 5)
	k.ack(a, 5) // twice is once
	k.wantLate(5, "b")
	rc, err := k.during(5, func() { k.ack(b, 5) })
	if err != nil || !slices.Equal(rc.Quiet, []leadership.RouterID{"a", "b"}) || !rc.AllQuiet() {
		k.Errorf("Wait = %+v, %v", rc, err)
	}
	k.quiet(5, "a", "b") // it stays true
}

func (k *barrierKit) older() {
	a := kitLease("a", "s", longTTL)
	k.join(a, true)
	k.ack(a, 4)
	k.wantLate(5, "a")
	k.ack(a, 5)
	k.ack(a, 4) // late on its way: it takes nothing back
	k.quiet(5, "a")
}

func (k *barrierKit) undone() {
	a := kitLease("a", "s", longTTL)
	k.join(a, true)
	k.ack(a, 5)
	k.quiet(5, "a")
	k.join(a, false) // the change was given up, the router serves again
	k.wantLate(6, "a")
	k.ack(a, 6)
	k.quiet(6, "a")
}

func (k *barrierKit) newer() {
	a, b := kitLease("a", "s", longTTL), kitLease("b", "s", longTTL)
	k.join(a, true)
	k.join(b, true)
	k.ack(a, 5)
	_, err := k.during(5, func() { k.ack(b, 7) })
	var super *leadership.SupersededError
	if !errors.As(err, &super) || super.Term != kitTerm(5) || super.By != kitTerm(7) {
		k.Errorf("Wait(5) = %v, want a *SupersededError by 7", err)
	}
}

func (k *barrierKit) joins() {
	a, b := kitLease("a", "s", longTTL), kitLease("b", "s", longTTL)
	k.join(a, true)
	rc, err := k.during(5, func() {
		k.join(b, true)
		k.ack(a, 5)
		k.wantLate(5, "b")
		k.ack(b, 5)
	})
	if err != nil || !slices.Equal(rc.Quiet, []leadership.RouterID{"a", "b"}) {
		k.Errorf("Wait = %+v, %v, want both", rc, err)
	}
}

func (k *barrierKit) leaves() {
	a, b := kitLease("a", "s", longTTL), kitLease("b", "s", longTTL)
	k.join(a, true)
	k.join(b, true)
	k.ack(a, 5)
	rc, err := k.during(5, func() {
		other := b
		other.Session = "another"
		for _, l := range []leadership.RouterLease{kitLease("c", "s", longTTL), other} {
			if err := k.routers.Leave(k.ctx, l); err != nil {
				k.Errorf("Leave of what is not held: %v", err)
			}
		}
		k.wantLate(5, "b")
		if err := k.routers.Leave(k.ctx, b); err != nil {
			k.Error(err)
		}
	})
	if err != nil || !slices.Equal(rc.Quiet, []leadership.RouterID{"a"}) || !rc.AllQuiet() {
		k.Errorf("Wait = %+v, %v, want a quiet and b unmentioned", rc, err)
	}
	var lapsed *leadership.RouterLapsedError
	if err := k.routers.Ack(k.ctx, b, kitTerm(5)); !errors.As(err, &lapsed) || !leadership.NotExecuted(err) {
		k.Errorf("Ack of a router that left: %v, want a *RouterLapsedError", err)
	}
}

func (k *barrierKit) many() {
	const n = 40
	var all []leadership.RouterID
	for i := range n {
		all = append(all, leadership.RouterID(fmt.Sprintf("r%02d", i)))
	}
	rc, err := k.during(5, func() {
		var joined, done sync.WaitGroup
		joined.Add(n)
		for _, id := range all {
			done.Go(func() {
				l := kitLease(string(id), "s", longTTL)
				_, err := k.routers.Join(k.ctx, l)
				joined.Done()
				joined.Wait() // a Wait may end while nobody has joined
				if err == nil {
					err = k.routers.Ack(k.ctx, l, kitTerm(5))
				}
				if err != nil {
					k.Errorf("%s: %v", id, err)
				}
			})
		}
		done.Wait()
	})
	if err != nil || len(rc.Late) > 0 {
		k.Errorf("Wait = %+v, %v", rc, err)
	}
	k.quiet(5, all...)
	k.wantLate(6, all...)
}

func (k *barrierKit) cancelled() {
	a, b := kitLease("a", "s", longTTL), kitLease("b", "s", longTTL)
	k.join(a, true)
	k.join(b, true)
	k.ack(a, 4)
	for range 3 {
		k.wantLate(9, "a", "b")
	}
	// A Wait that stayed behind would hold up, or supersede, one for less.
	k.ack(b, 4)
	k.quiet(4, "a", "b")
	k.join(a, false)
	k.wantLate(9, "a", "b")
}

func (k *barrierKit) stopped() {
	a := kitLease("a", "s", longTTL)
	k.join(a, true)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	_, joined := k.routers.Join(ctx, kitLease("b", "s", longTTL))
	_, waited := k.coord.Wait(ctx, kitTerm(5))
	for what, err := range map[string]error{
		"Join": joined, "Ack": k.routers.Ack(ctx, a, kitTerm(5)), "Leave": k.routers.Leave(ctx, a), "Wait": waited,
	} {
		if !errors.Is(err, cause) {
			k.Errorf("%s = %v, want the cause of its context", what, err)
		}
	}
	k.wantLate(5, "a")
}

func (k *barrierKit) invalid() {
	good := kitLease("a", "s", longTTL)
	k.join(good, true)
	for _, l := range []leadership.RouterLease{
		{}, kitLease("", "s", longTTL), kitLease("a b", "s", longTTL), kitLease("a", "", longTTL),
		kitLease("a", string(make([]byte, 65)), longTTL), kitLease("a", "s", 0), kitLease("a", "s", -1),
		kitLease("a", "s", leadership.MinRouterTTL-1), kitLease("a", "s", leadership.MaxRouterTTL+1),
	} {
		_, err := k.routers.Join(k.ctx, l)
		for what, err := range map[string]error{
			"Join": err, "Ack": k.routers.Ack(k.ctx, l, kitTerm(5)), "Leave": k.routers.Leave(k.ctx, l),
		} {
			var bad *leadership.RouterLeaseError
			if !errors.As(err, &bad) || !leadership.NotExecuted(err) {
				k.Errorf("%s of %+v = %v, want a *RouterLeaseError", what, l, err)
			}
		}
	}
	_, err := k.coord.Wait(k.ctx, leadership.Term{})
	for what, err := range map[string]error{"Ack": k.routers.Ack(k.ctx, good, leadership.Term{}), "Wait": err} {
		var bad *leadership.TermError
		if !errors.As(err, &bad) {
			k.Errorf("%s of no term = %v, want a *TermError", what, err)
		}
	}
	k.wantLate(5, "a")
}

func (k *barrierKit) closed() {
	c, ok := k.coord.(io.Closer)
	if !ok {
		k.Skip("the barrier has no Close")
	}
	a := kitLease("a", "s", longTTL)
	k.join(a, true)
	if _, err := k.during(5, func() {
		if err := c.Close(); err != nil {
			k.Error(err)
		}
	}); !errors.Is(err, leadership.ErrClosed) {
		k.Errorf("a Wait under way: %v", err)
	}
	_, joined := k.coord.Join(k.ctx, a)
	_, waited := k.coord.Wait(k.ctx, kitTerm(5))
	for what, err := range map[string]error{
		"Join": joined, "Ack": k.coord.Ack(k.ctx, a, kitTerm(5)), "Leave": k.coord.Leave(k.ctx, a), "Wait": waited,
	} {
		if !errors.Is(err, leadership.ErrClosed) {
			k.Errorf("%s = %v, want ErrClosed", what, err)
		}
	}
}
