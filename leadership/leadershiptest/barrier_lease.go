package leadershiptest

import (
	"errors"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

func (k *barrierKit) dies() {
	a, b := kitLease("a", "s", longTTL), kitLease("b", "s", barrierTTL)
	k.join(a, true)
	k.ack(a, 5)
	start := time.Now()
	k.join(b, true)
	rc := k.quiet(5, "a")
	if took := time.Since(start); took < barrierTTL {
		k.Errorf("a router was given up %s after it joined, with a TTL of %s", took, barrierTTL)
	}
	if !slices.Equal(rc.Lapsed, []leadership.RouterID{"b"}) || rc.AllQuiet() {
		k.Errorf("Wait = %+v: b lapsed and is not named", rc)
	}
	var lapsed *leadership.RouterLapsedError
	if err := k.routers.Ack(k.ctx, b, kitTerm(5)); !errors.As(err, &lapsed) {
		k.Errorf("Ack after the lease has lapsed: %v, want a *RouterLapsedError", err)
	}
	k.join(kitLease("b", "s", longTTL), true)
	k.wantLate(5, "b")
}

func (k *barrierKit) renews() {
	a := kitLease("a", "s", 8*barrierTTL)
	for inTime := false; !inTime; {
		// When this process is stopped for long, the lease lapses by its own
		// fault, and the check says nothing: it begins anew.
		last := k.held(a)
		inTime = true
		for start := last; inTime && time.Since(start) < 2*a.TTL; {
			rc := k.late(6)
			fresh, err := k.routers.Join(k.ctx, a)
			inTime = time.Since(last) < a.Usable()
			if last = time.Now(); inTime && (err != nil || fresh || !slices.Equal(rc.Late, []leadership.RouterID{"a"})) {
				k.Fatalf("it was renewed in time, and yet: %+v, fresh %v, %v", rc, fresh, err)
			}
		}
	}
	k.quiet(5, "a") // renewing takes no ack back
}

// held takes the lease and acks 5 under it, however slow this process is. It
// returns when the lease began, at the earliest.
func (k *barrierKit) held(l leadership.RouterLease) time.Time {
	k.Helper()
	for {
		start := time.Now()
		_, err := k.routers.Join(k.ctx, l)
		if err == nil {
			err = k.routers.Ack(k.ctx, l, kitTerm(5))
		}
		if err == nil {
			return start
		}
		if time.Since(start) < l.TTL {
			k.Fatalf("join and ack of %s within its TTL: %v", l.Router, err)
		}
	}
}

func (k *barrierKit) lapsed() {
	a := kitLease("a", "s", barrierTTL)
	k.join(a, true)
	k.quiet(5) // it lapses
	long := kitLease("a", "s", longTTL)
	k.join(long, true)
	k.ack(long, 5)
	k.quiet(5, "a")
}

func (k *barrierKit) sessions() {
	first, second := kitLease("a", "first", 4*barrierTTL), kitLease("a", "second", longTTL)
	k.held(first)
	for {
		fresh, err := k.routers.Join(k.ctx, second)
		if err == nil {
			if !fresh {
				k.Error("another session's lease is not fresh")
			}
			break
		}
		var taken *leadership.RouterTakenError
		if !errors.As(err, &taken) || taken.Left <= 0 || taken.Left > first.TTL || !leadership.NotExecuted(err) {
			k.Fatalf("Join while another session has the lease: %v, want a *RouterTakenError with what is left of %s", err, first.TTL)
		}
		k.pause(taken.Left)
	}
	k.wantLate(5, "a")
	var lapsed *leadership.RouterLapsedError
	if err := k.routers.Ack(k.ctx, first, kitTerm(5)); !errors.As(err, &lapsed) {
		k.Errorf("Ack of the session that lapsed: %v, want a *RouterLapsedError", err)
	}
	k.wantLate(5, "a")
}

func (k *barrierKit) rejoins() {
	a := kitLease("a", "s", longTTL)
	k.join(a, true)
	k.ack(a, 5)
	if err := k.routers.Leave(k.ctx, a); err != nil {
		k.Fatal(err)
	}
	k.quiet(5)
	k.join(a, true)
	k.wantLate(5, "a")
}

// pause lets time pass that the other side measures.
func (k *barrierKit) pause(d time.Duration) {
	k.Helper()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.ctx.Done():
		k.Fatal("a lease did not lapse in time")
	}
}
