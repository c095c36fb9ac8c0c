package reparenttest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// journal is a history that one log showed, with its log.
type journal struct {
	ops  []*op
	log  []uint64
	sums []uint64 // of each length of the log
}

// live makes a history of n operations of a log: at each moment one client
// begins, has its effect, or is answered. One in lost is answered by nothing and
// may have its effect at any later moment, or never.
func live(rng *rand.Rand, clients, n, lost int) journal {
	j := journal{sums: []uint64{0}}
	type state struct {
		*op
		done, cut bool
	}
	now := make([]state, clients)
	var limbo []*op
	take := func(o *op) {
		j.log = append(j.log, o.value)
		j.sums = append(j.sums, digestOf(j.sums[len(j.log)-1], o.value))
	}
	for at := int64(1); len(j.ops) < n; at++ {
		if len(limbo) > 0 && rng.IntN(50) == 0 {
			k := rng.IntN(len(limbo))
			if rng.IntN(2) == 0 {
				take(limbo[k])
			}
			limbo = slices.Delete(limbo, k, k+1)
			continue
		}
		c := rng.IntN(clients)
		s := &now[c]
		switch {
		case s.op == nil:
			o := &op{client: c, at: "n1", began: at, ended: math.MaxInt64}
			if rng.IntN(4) > 0 {
				o.value = uint64(len(j.ops) + 1)
			}
			*s = state{op: o, cut: rng.IntN(lost) == 0}
			j.ops = append(j.ops, o)
		case s.cut:
			s.class, s.ended = unknown, at
			if s.value != 0 {
				limbo = append(limbo, s.op)
			}
			s.op = nil
		case !s.done:
			s.done = true
			if s.value != 0 {
				take(s.op)
			} else {
				s.n, s.sum = len(j.log), j.sums[len(j.log)]
			}
		default:
			s.class, s.ended = acknowledged, at
			s.op = nil
		}
	}
	return j
}

func TestAHistoryOfOneLogPasses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		j := live(rng, 1+rng.IntN(8), 200, 10)
		if v := checkHistory(j.ops, j.log); v != nil {
			t.Fatalf("seed %d: %v", seed, v)
		}
	}
}

func TestWhatNoLogShowsIsFound(t *testing.T) {
	t.Parallel()
	ack := func(client int, value uint64, began, ended int64) *op {
		return &op{client: client, at: "n1", value: value, began: began, ended: ended, class: acknowledged}
	}
	read := func(client int, began, ended int64, got ...uint64) *op {
		o := &op{client: client, at: "n2", began: began, ended: ended, class: acknowledged, got: got, n: len(got)}
		for _, v := range got {
			o.sum = digestOf(o.sum, v)
		}
		return o
	}
	as := func(o *op, c class) *op {
		o.class = c
		return o
	}
	for _, c := range []struct {
		name string
		ops  []*op
		log  []uint64
		want string // "" for a legal one
	}{
		{"acknowledged and lost", []*op{ack(1, 7, 1, 2)}, nil, "I23: value 7 of client 1 at n1 (moments 1 to 2) was acknowledged and is lost"},
		{"unknown and not there", []*op{as(ack(1, 7, 1, 2), unknown)}, nil, ""},
		{"unknown and there", []*op{as(ack(1, 7, 1, 2), unknown)}, []uint64{7}, ""},
		{"never answered and there", []*op{as(ack(1, 7, 1, math.MaxInt64), pending)}, []uint64{7}, ""},
		{"refused and not there", []*op{as(ack(1, 7, 1, 2), refused)}, nil, ""},
		{"refused and there", []*op{as(ack(1, 7, 1, 2), refused)}, []uint64{7}, "I12: "},
		{"twice", []*op{ack(1, 7, 1, 2)}, []uint64{7, 7}, "I23: value 7 is in the log twice"},
		{"by nobody", []*op{ack(1, 7, 1, 2)}, []uint64{7, 8}, "I23: value 8 is entry 2 of the log, and nobody wrote it"},
		{"behind what began after it ended", []*op{ack(1, 7, 1, 2), ack(2, 8, 3, 4)}, []uint64{8, 7}, "is behind it in the log"},
		{"behind what ended at the moment it began", []*op{ack(1, 7, 1, 2), ack(2, 8, 2, 4)}, []uint64{8, 7}, ""},
		{"behind its own client's next", []*op{ack(1, 7, 1, 2), ack(1, 8, 2, 4)}, []uint64{8, 7}, "is behind it in the log"},
		{"unknown, behind what began later", []*op{as(ack(1, 7, 1, 2), unknown), ack(2, 8, 3, 4)}, []uint64{8, 7}, ""},
		{"unknown, before what was over when it began", []*op{ack(2, 8, 3, 4), as(ack(1, 7, 5, 6), unknown)}, []uint64{7, 8}, "is behind it in the log"},
		{"a read of less than was acknowledged before", []*op{ack(1, 7, 1, 2), read(2, 3, 4)}, []uint64{7}, "did not show value 7"},
		{"a read of less than is acknowledged meanwhile", []*op{ack(1, 7, 1, 3), read(2, 2, 4)}, []uint64{7}, ""},
		{"a read of what began after it", []*op{read(2, 1, 2, 7), ack(1, 7, 3, 4)}, []uint64{7}, "showed value 7"},
		{"a read of no prefix", []*op{ack(1, 7, 1, 9), ack(2, 8, 1, 9), read(3, 2, 4, 8)}, []uint64{7, 8}, "showed value 8 as entry 1, where the log has 7"},
		{"a read of more than there is", []*op{ack(1, 7, 1, 9), as(ack(2, 8, 1, 9), unknown), read(3, 2, 4, 7, 8)}, []uint64{7}, "showed 2 values, and the log has 1"},
		{"a read that goes back", []*op{ack(1, 7, 1, 9), read(2, 2, 3, 7), read(3, 4, 5)}, []uint64{7}, "showed 0 values"},
		{"a read that goes back within one moment of one client", []*op{ack(1, 7, 1, 9), read(2, 2, 3, 7), read(2, 3, 3)}, []uint64{7}, "showed 0 values"},
		{"reads of one moment that differ", []*op{ack(1, 7, 1, 9), read(2, 2, 3, 7), read(3, 3, 5)}, []uint64{7}, ""},
		{"a failed read shows nothing", []*op{ack(1, 7, 1, 2), as(read(2, 3, 4, 9, 9), refused)}, []uint64{7}, ""},
	} {
		v := checkHistory(c.ops, c.log)
		switch {
		case c.want == "" && v != nil:
			t.Errorf("%s: legal, and %v", c.name, v)
		case c.want != "" && (v == nil || !strings.Contains(v.Error(), c.want)):
			t.Errorf("%s: %v, and should say %q", c.name, v, c.want)
		}
	}
}

// A generic checker, which searches, agrees on small histories, right and wrong.
func TestAGenericCheckerAgrees(t *testing.T) {
	t.Parallel()
	type state struct {
		n   int
		sum uint64
	}
	wrong := 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		j := live(rng, 2+rng.IntN(4), 8+rng.IntN(16), 12)
		spoil(rng, &j)
		model := porcupine.Model{
			Init: func() any { return state{} },
			Step: func(s, in, _ any) (bool, any) {
				o, now := in.(*op), s.(state)
				if o.value == 0 {
					return now == state{o.n, o.sum}, now
				}
				// The read of all that ends the history allows no other.
				return now.n < len(j.log) && j.log[now.n] == o.value, state{now.n + 1, digestOf(now.sum, o.value)}
			},
		}
		end := int64(1)
		for _, o := range j.ops {
			end = max(end, o.began+1)
			if o.ended != math.MaxInt64 {
				end = max(end, o.ended+1)
			}
		}
		all := &op{began: end, ended: end + 1, n: len(j.log)}
		for _, v := range j.log {
			all.sum = digestOf(all.sum, v)
		}
		var ops []porcupine.Operation
		for i, o := range append(slices.Clone(j.ops), all) {
			p := porcupine.Operation{ClientId: i, Input: o, Call: o.began, Return: o.ended}
			switch {
			case o == all, o.class == acknowledged:
			case o.class == refused || o.value == 0 || !slices.Contains(j.log, o.value):
				continue // it showed nothing, or happens after all is read
			default:
				p.Return = math.MaxInt64
			}
			ops = append(ops, p)
		}
		got := porcupine.CheckOperationsTimeout(model, ops, 10*time.Second)
		if got == porcupine.Unknown {
			t.Fatalf("seed %d: no answer", seed)
		}
		v := checkHistory(j.ops, j.log)
		if (v == nil) != (got == porcupine.Ok) {
			t.Fatalf("seed %d: %v, and the generic checker says %s", seed, v, got)
		}
		if v != nil {
			wrong++
		}
	}
	if wrong < 600 || wrong > 2400 {
		t.Errorf("%d of 3000 histories were wrong: too few of one kind to show anything", wrong)
	}
}

// spoil changes a history in one place, which may or may not make it illegal.
func spoil(rng *rand.Rand, j *journal) {
	if len(j.log) < 3 {
		return
	}
	a, b := rng.IntN(len(j.log)), rng.IntN(len(j.log))
	o := j.ops[rng.IntN(len(j.ops))]
	switch rng.IntN(7) {
	case 0:
		j.log = slices.Delete(j.log, a, a+1)
	case 1:
		j.log[a], j.log[b] = j.log[b], j.log[a]
	case 2:
		j.log = append(j.log, j.log[a])
	case 3:
		if o.value == 0 && o.class == acknowledged {
			o.n = rng.IntN(len(j.log) + 1)
			o.sum = j.sums[o.n]
		}
	case 4:
		o.class = refused
	case 5:
		o.class = unknown
	}
}

func TestAMillionOperationsAreCheckedInSeconds(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	j := live(rand.New(rand.NewPCG(1, 5)), 50, n, 20)
	start := time.Now()
	if v := checkHistory(j.ops, j.log); v != nil {
		t.Fatal(v)
	}
	t.Logf("%d operations, %d entries: %v", len(j.ops), len(j.log), time.Since(start).Round(time.Millisecond))
	last := j.ops[len(j.ops)-1]
	for i := len(j.ops) - 1; last.class != acknowledged || last.value != 0 || last.n == 0; i-- {
		last = j.ops[i]
	}
	last.n /= 2
	last.sum = j.sums[last.n]
	if v := checkHistory(j.ops, j.log); v == nil {
		t.Error("a read that shows half of the log passes")
	}
}
