package etcdregistry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

func TestAnAttemptLeavesTimeForAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ full, left, want time.Duration }{
		{time.Second, time.Hour, time.Second},
		{time.Second, time.Second, 500 * time.Millisecond},
		{time.Second, 15 * time.Millisecond, minAttempt},
		{time.Second, 5 * time.Millisecond, 5 * time.Millisecond},
		{time.Second, 0, 0},
	} {
		if got := attempt(c.full, c.left); got != c.want {
			t.Errorf("attempt(%s, %s) = %s, want %s", c.full, c.left, got, c.want)
		}
	}
}

// Whatever may come from a request that was executed is no refusal.
func TestOnlyTheWordOfAServerThatDidNotExecuteIsARefusal(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail, rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrLeaderChanged,
		rpctypes.ErrStopped, rpctypes.ErrNoLeader, rpctypes.ErrCorrupt, rpctypes.ErrUnhealthy, context.DeadlineExceeded, context.Canceled,
		status.Error(codes.Unavailable, "transport is closing"), status.Error(codes.ResourceExhausted, "grpc: received message larger than max"),
		status.Error(codes.PermissionDenied, "said by a proxy"), errors.New("x"), nil,
	} {
		if r := refused(err); r != nil {
			t.Errorf("%v is taken for the refusal %v", err, r)
		}
	}
	for _, err := range []error{rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCNoSpace, rpctypes.ErrGRPCRequestTooLarge, rpctypes.ErrGRPCUserEmpty} {
		if refused(err) == nil {
			t.Errorf("%v is not taken for a refusal", err)
		}
	}
}

func TestAValueThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	rs, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := leadership.Record{}.Create("c", leadership.Full, rs)
	if err != nil {
		t.Fatal(err)
	}
	good, err := encodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := encodeRecord(rec); err != nil || twice == good {
		t.Errorf("two writes of one record cannot be told apart (%v)", err)
	}
	load := func(value string) (leadership.Record, error) {
		return decodeRecord(&mvccpb.KeyValue{Key: []byte("/k"), Value: []byte(value), ModRevision: 7})
	}
	if got, err := load(good); err != nil || got.Version != 7 || got.Cluster != "c" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, bad := range map[string]string{
		"empty": "", "no JSON": "x", "null": "null", "another format": strings.Replace(good, recordFormat, "tenure-registry-2", 1),
		"cut": good[:len(good)-1], "more": good + " ", "other spaces": strings.ReplaceAll(good, "\n", ""),
		"a version": strings.Replace(good, `"version": 0`, `"version": 3`, 1), "a field": strings.Replace(good, `"cluster"`, `"x": 1, "cluster"`, 1),
		"an impossible record": strings.Replace(good, `"fence": "0"`, `"fence": "x"`, 1), "a mode": strings.Replace(good, `"mode": "full"`, `"mode": "half"`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed in %s", name, good)
		}
		var c *leadership.CorruptError
		if r, err := load(bad); !errors.As(err, &c) || !strings.Contains(c.Path, "/k") {
			t.Errorf("%s: taken as %+v, %v", name, r, err)
		}
	}
	rec.Cluster = "\xff" // JSON would not give it back
	var bad *leadership.TransitionError
	if _, err := encodeRecord(rec); !errors.As(err, &bad) {
		t.Errorf("stored what cannot be read back: %v", err)
	}
}

func TestASeatThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	good := seat{Session: "s", TTL: time.Second, Renewed: 1}
	value, err := good.encode()
	if err != nil {
		t.Fatal(err)
	}
	load := func(key, value string) (placed, error) {
		return decodeSeat("/r/", &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: 3, ModRevision: 7})
	}
	if p, err := load("/r/a", value); err != nil || p.seat != good || p.router != "a" || p.created != 3 || p.mod != 7 {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, bad := range [][2]string{
		{"/r/a b", value}, {"/r/", value}, {"/r/a", ""}, {"/r/a", value + " "}, {"/r/a", strings.Replace(value, `"renewed":1`, `"renewed":0`, 1)},
		{"/r/a", strings.Replace(value, `"s"`, `""`, 1)}, {"/r/a", strings.Replace(value, "1000000000", "1", 1)},
	} {
		var c *leadership.CorruptError
		if p, err := load(bad[0], bad[1]); !errors.As(err, &c) {
			t.Errorf("%q taken as %+v, %v", bad, p, err)
		}
	}
}

// The router left and joined again, unseen: both leases were renewed once.
func TestAKeyThatWasMadeAnewIsANewLease(t *testing.T) {
	t.Parallel()
	seen := sightings{}
	first := placed{seat: seat{Session: "s", TTL: time.Second, Renewed: 1}, router: "r", created: 3, mod: 3}
	seen.see(first, 0)
	again := first
	again.created, again.mod = 5, 5
	seen.see(again, 900*time.Millisecond)
	if left := seen.left(again, 900*time.Millisecond); left != time.Second {
		t.Errorf("%s is left of a lease that was just seen", left)
	}
	seen.see(again, 1500*time.Millisecond)
	if left := seen.left(again, 1500*time.Millisecond); left != 400*time.Millisecond {
		t.Errorf("%s is left of a lease that was not renewed", left)
	}
}

// One router, one session after the other, and an observer with a clock of its own,
// against the rules in the documentation of leadership.Barrier.
func TestNoRouterThatMaySendIsCountedOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := sightings{}
		var cur *placed
		var rev int64
		now := time.Duration(0) // of router and observer; what they compare is differences only
		joined := -time.Hour
		lease := leadership.RouterLease{Router: "r", Session: "s0", TTL: time.Second}
		quietFor, mayBeQuiet := leadership.Term{}, leadership.Term{}
		write := func(s seat) {
			rev++
			created := rev
			if cur != nil {
				created = cur.created
			}
			cur = &placed{seat: s, router: "r", created: created, mod: rev}
		}
		look := func() time.Duration {
			if cur == nil {
				return 0
			}
			seen.see(*cur, now)
			return seen.left(*cur, now)
		}
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) { now += time.Duration(rapid.IntRange(1, 1200).Draw(t, "ms")) * time.Millisecond },
			"join": func(t *rapid.T) {
				had := cur != nil && !cur.Lapsed && cur.Session == lease.Session
				next, fresh, err := join(lease, cur, look())
				if err != nil {
					return
				}
				if fresh == had {
					t.Fatalf("fresh %v of a router that had a lease: %v", fresh, had)
				}
				write(next)
				joined = now
				if fresh {
					mayBeQuiet = leadership.Term{}
				}
			},
			"ack": func(t *rapid.T) {
				term := leadership.Term{Num: uint64(rapid.IntRange(1, 4).Draw(t, "term")), Proposer: "x"}
				next, ok, err := ack(lease, term, cur)
				if err != nil {
					return
				}
				mayBeQuiet = leadership.MaxTerm(mayBeQuiet, term)
				if ok {
					write(next)
				}
			},
			"leave": func(*rapid.T) {
				if cur != nil && cur.Session == lease.Session {
					cur, joined = nil, now-time.Hour
				}
			},
			"another session": func(t *rapid.T) {
				lease.Session = fmt.Sprintf("s%d", rapid.IntRange(0, 2).Draw(t, "session"))
				joined = now - time.Hour // it has no lease before its own Join
			},
			"roll call": func(t *rapid.T) {
				quietFor = leadership.Term{Num: uint64(rapid.IntRange(1, 4).Draw(t, "term")), Proposer: "x"}
				var seats []placed
				if cur != nil {
					seen.see(*cur, now)
					seats = append(seats, *cur)
				}
				seen.forget(seats)
				rc, overdue, _, err := seen.roll(quietFor, seats, now)
				sends := now-joined < lease.Usable()
				if len(overdue) > 0 && err == nil {
					if sends {
						t.Fatalf("a router that may send for %s more is overdue", lease.Usable()-(now-joined))
					}
					next := overdue[0].seat
					next.Lapsed = true
					write(next)
					return
				}
				if sends && len(rc.Late) == 0 && err == nil && mayBeQuiet != quietFor {
					t.Fatalf("%+v: a router that may send and has acked %s is not waited for", rc, mayBeQuiet)
				}
			},
		})
	})
}

func TestWhatIsRecalledIsWhatWasReadLastOfARevision(t *testing.T) {
	t.Parallel()
	c := &Client{life: t.Context()}
	reg := &Registry{c: c}
	read := func(rev int64, cluster string) {
		t.Helper()
		rec, err := leadership.Record{}.Create(cluster, leadership.Full, leadership.Ruleset{})
		if err != nil {
			t.Fatal(err)
		}
		value, err := encodeRecord(rec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.decodeRecord(&mvccpb.KeyValue{Value: []byte(value), ModRevision: rev}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []struct {
		rev         int64
		wrote, want string
	}{{5, "a", "a"}, {7, "b", "b"}, {6, "late", "b"}, {7, "of another history", "of another history"}} {
		read(s.rev, s.wrote)
		if rec, ok := reg.Recall(); !ok || rec.Cluster != s.want {
			t.Errorf("after %q of revision %d: %q, %v", s.wrote, s.rev, rec.Cluster, ok)
		}
	}
}
