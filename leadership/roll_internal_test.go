package leadership

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
)

// rollRouter is a router that keeps the rules of Barrier, with a clock of its own,
// and a handle of its own on a roll that others see.
type rollRouter struct {
	lease  RouterLease
	rate   float64
	watch  watch
	sent   time.Duration // when it called the Join that is on its way, on its clock
	onWay  bool
	done   bool          // at the barrier, and not heard of yet
	fresh  bool          // which is what it will say
	until  time.Duration // when it may not send any more, on its clock
	loaded bool          // a record, since the lease is without a gap
	seen   bool          // that record, or a later one, says hold
	busy   int           // requests in flight
}

func (r *rollRouter) clock(now time.Duration) time.Duration {
	return time.Duration(float64(now) * r.rate)
}

// sends reports whether it would send a request now.
func (r *rollRouter) sends(now time.Duration) bool {
	return r.loaded && !r.seen && r.clock(now) < r.until
}

// TestG7_AWaitThatReturnsNamesEveryRouterThatMayHaveARequestInFlight runs routers
// with clocks that are up to 10% wrong, with renewals that are late, lost on their
// way or never sent, joining, leaving, dying and coming back, while a
// coordinator with such a clock, which looks now and then, waits: when it goes on,
// no router sends requests that no announcement reached, and none that is not
// named has one in flight.
func TestG7_AWaitThatReturnsNamesEveryRouterThatMayHaveARequestInFlight(t *testing.T) {
	t.Parallel()
	ended := 0
	for seed := range uint64(20_000) { // a run is short, and the window for a mistake narrow
		n, err := runRoll(rand.New(rand.NewPCG(seed, 1)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		ended += n
	}
	if ended == 0 {
		t.Error("no Wait returned: the property says nothing")
	}
}

func runRoll(rng *rand.Rand) (ended int, err error) {
	rate := func() float64 { return []float64{0.9, 1, 1.1}[rng.IntN(3)] }
	fail := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	var (
		now    = time.Second
		r      roll
		coord  = rollRouter{rate: rate()}
		holds  bool
		term   = Term{Num: 7, Proposer: "c"}
		router = make([]*rollRouter, 1+rng.IntN(3))
	)
	for i := range router {
		router[i] = &rollRouter{rate: rate(), lease: RouterLease{
			Router: RouterID('a' + rune(i)), Session: "s", TTL: time.Duration(1+rng.IntN(2)) * time.Second,
		}}
	}
	step := func() *rollRouter { return router[rng.IntN(len(router))] }
	actions := map[string]func(){
		"time": func() {
			now += time.Duration(1+rng.IntN(6)) * 25 * time.Millisecond
			for _, x := range router {
				x.loaded = x.loaded && x.clock(now) < x.until
			}
		},
		"call Join": func() {
			if x := step(); !x.onWay {
				x.sent, x.onWay = x.clock(now), true
			}
		},
		"Join arrives": func() {
			x := step()
			if !x.onWay || x.done {
				return
			}
			x.done = true
			x.watch.observe(r, x.clock(now))
			next, fresh, err := r.join(x.lease, &x.watch, x.clock(now))
			if err != nil {
				fail("%v", err)
			}
			r = next
			x.watch.observe(r, x.clock(now))
			x.fresh = fresh
		},
		"Join returns": func() {
			x := step()
			if !x.done {
				return
			}
			x.onWay, x.done = false, false
			if rng.IntN(10) == 0 {
				return // the answer was lost: an error of unknown outcome
			}
			if x.fresh || x.clock(now) >= x.until {
				x.loaded = false
			}
			x.until = x.sent + x.lease.Usable()
		},
		"load": func() {
			if x := step(); x.clock(now) < x.until {
				x.loaded, x.seen = true, holds
			}
		},
		"news": func() {
			if x := step(); holds {
				x.seen = true
			}
		},
		"send": func() {
			if x := step(); x.sends(now) {
				x.busy++
			}
		},
		"done": func() {
			x := step()
			x.busy = max(0, x.busy-1)
		},
		"ack": func() {
			if x := step(); x.seen && x.busy == 0 {
				x.watch.observe(r, x.clock(now))
				if next, err := r.ack(x.lease, term, &x.watch, x.clock(now)); err == nil {
					r = next
				}
			}
		},
		"leave": func() {
			if x := step(); x.busy == 0 && !x.onWay {
				x.loaded, x.until = false, 0
				r, _ = r.leave(x.lease)
			}
		},
		"hold": func() { holds = true },
		"look": func() {
			coord.watch.observe(r, coord.clock(now))
			rc, _, cerr := r.call(term, &coord.watch, coord.clock(now))
			if cerr != nil {
				fail("%v", cerr)
			}
			if !holds || len(rc.Late) > 0 {
				return
			}
			ended++
			for _, x := range router {
				lapsed := false
				for _, id := range rc.Lapsed {
					lapsed = lapsed || id == x.lease.Router
				}
				switch {
				case x.sends(now):
					fail("%s still sends: %+v", x.lease.Router, rc)
				case x.busy > 0 && !lapsed && x.until+x.lease.TTL+keepLapsed > x.clock(now):
					fail("%s has %d requests in flight and is not named: %+v", x.lease.Router, x.busy, rc)
				}
			}
		},
	}
	names := []string{
		"time", "time", "time", "time", "look", "look", "look", "send", "done", "done", "ack",
		"call Join", "call Join", "Join arrives", "Join arrives", "Join returns", "Join returns", "load", "news", "leave", "hold",
	}
	for _, x := range router {
		x.sent, x.onWay = x.clock(now), true
	}
	for range 2 * len(router) {
		actions["Join arrives"]()
		actions["Join returns"]()
		actions["load"]()
	}
	for range 60 {
		actions[names[rng.IntN(len(names))]]()
	}
	return ended, err
}

// A lease that lapsed is remembered for a while, then forgotten by whoever writes.
func TestARollDoesNotGrowByRoutersThatNeverComeBack(t *testing.T) {
	t.Parallel()
	var r roll
	var w watch
	now := time.Second
	for i := range 50 {
		l := RouterLease{Router: RouterID("r-" + string(rune('a'+i%26)) + string(rune('a'+i/26))), Session: "s", TTL: time.Second}
		var err error
		if r, _, err = r.join(l, &w, now); err != nil {
			t.Fatal(err)
		}
		w.observe(r, now)
		if err := r.validate(); err != nil {
			t.Fatal(err)
		}
		now += 10 * time.Second
	}
	if len(r.Seats) > 8 {
		t.Errorf("%d seats of routers that came one after the other, 10s apart", len(r.Seats))
	}
	rc, _, err := r.call(Term{Num: 1, Proposer: "c"}, &w, now)
	if err != nil || len(rc.Late) > 0 || len(rc.Lapsed) != 6 {
		t.Errorf("%+v, %v: want the six of the last minute as lapsed", rc, err)
	}
}

func FuzzBarrierFile(f *testing.F) {
	r := roll{Count: 4, Seats: []seat{{Router: "a", Session: "s", TTL: time.Second, Renewed: 4, Acked: Term{2, "c"}}}}
	whole, err := encodeFile(barrierMagic, r)
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(whole, []byte("\n"))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(body)
	f.Add(bytes.Replace(body, []byte("{"), []byte(`{"new": 1,`), 1))
	f.Add(bytes.Replace(body, []byte(`"s"`), []byte(`"\ufffd"`), 1))
	f.Add([]byte(barrierMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Also under a checksum that matches, or nothing gets past that.
		for _, in := range [][]byte{b, durable.Frame(barrierMagic, b)} {
			var r roll
			if decodeFile(barrierMagic, in, &r) != nil || r.validate() != nil {
				continue
			}
			if again, err := encodeFile(barrierMagic, r); err != nil || !bytes.Equal(again, in) {
				t.Fatalf("%q was taken for %q, %v", in, again, err)
			}
		}
	})
}

// FuzzRouterLease: a lease that may join is read back as it was.
func FuzzRouterLease(f *testing.F) {
	f.Add("r1", "s", int64(time.Second), uint64(2), "c")
	f.Add("r1", "\xff", int64(time.Second), uint64(0), "")
	f.Add("r 1", "", int64(0), uint64(1), "C")
	f.Fuzz(func(t *testing.T, router, session string, ttl int64, num uint64, by string) {
		l := RouterLease{Router: RouterID(router), Session: session, TTL: time.Duration(ttl)}
		acked := Term{num, by}
		if l.Validate() != nil || !acked.IsZero() && acked.Validate() != nil {
			return
		}
		want := seat{Router: l.Router, Session: l.Session, TTL: l.TTL, Renewed: 1, Acked: acked}
		b, err := encodeFile(barrierMagic, roll{Count: 1, Seats: []seat{want}})
		var back roll
		if err != nil || decodeFile(barrierMagic, b, &back) != nil || back.validate() != nil || len(back.Seats) != 1 || back.Seats[0] != want {
			t.Fatalf("%+v comes back as %+v, %v", want, back, err)
		}
	})
}
