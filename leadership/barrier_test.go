package leadership_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

func TestAWaitEndsInTheMomentInWhichTheLastLeaseLapses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b MemoryBarrier
		a := RouterLease{Router: "a", Session: "s", TTL: time.Second}
		if _, err := b.Join(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(600*time.Millisecond, func() { _, _ = b.Join(context.Background(), a) })
		start := time.Now()
		rc, err := b.Wait(t.Context(), term(1, "c"))
		if took := time.Since(start); err != nil || took != 1600*time.Millisecond || len(rc.Lapsed) != 1 {
			t.Errorf("%+v, %v after %s, want it 1s after the renewal at 600ms", rc, err, took)
		}
		if fresh, err := b.Join(t.Context(), a); err != nil || !fresh {
			t.Errorf("fresh %v, %v", fresh, err)
		}
		synctest.Wait()
	})
}

func TestARouterMaySendForLessThanItsTTLAndRenewsThriceInIt(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{MinRouterTTL, 2 * time.Second, MaxRouterTTL} {
		l := RouterLease{Router: "a", Session: "s", TTL: ttl}
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		if l.Usable() != ttl*4/5 || l.Renew() != ttl/4 || 3*l.Renew() > l.Usable() {
			t.Errorf("%s: usable for %s, renewed every %s", ttl, l.Usable(), l.Renew())
		}
	}
}

func TestARollCallReadsWellAndIsJSON(t *testing.T) {
	t.Parallel()
	rc := RollCall{Term: term(7, "c1"), Quiet: []RouterID{"r1", "r2"}, Late: []RouterID{"r3"}, Lapsed: []RouterID{"r4"}}
	if got, want := rc.String(), "quiet for 7.c1: r1, r2; late: r3; lease lapsed: r4"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (RollCall{Term: term(7, "c1")}).String(), "quiet for 7.c1: none"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b, err := json.Marshal(rc)
	if want := `{"term":"7.c1","quiet":["r1","r2"],"late":["r3"],"lapsed":["r4"]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}

// A change waits until no router has a request in flight at a leader that could
// not refuse it.
func ExampleMemoryBarrier() {
	ctx := context.Background()
	var b MemoryBarrier
	change := Term{Num: 8, Proposer: "c1"}

	router := RouterLease{Router: "api-1", Session: "boot-77", TTL: 2 * time.Second}
	fresh, err := b.Join(ctx, router)
	fmt.Println("joined:", fresh, err)

	// The coordinator has announced its change, the router has a request in flight.
	limit, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	_, err = b.Wait(limit, change)
	cancel()
	fmt.Println(err)

	// It is over, and the router holds all others.
	fmt.Println("acked:", b.Ack(ctx, router, change))
	call, err := b.Wait(ctx, change)
	fmt.Println(call, err)
	// Output:
	// joined: true <nil>
	// leadership: not quiet for term 8.c1: waited for api-1: context deadline exceeded
	// acked: <nil>
	// quiet for 8.c1: api-1 <nil>
}
