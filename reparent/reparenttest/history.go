package reparenttest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// class is what a client knows of its request.
type class uint8

const (
	pending class = iota
	acknowledged
	refused
	unknown
)

// op is an operation of a client on the log.
type op struct {
	client int
	at     string // whom it asked
	// value is what was appended, 0 for a read.
	value uint64
	// began and ended are moments: what ended at an earlier moment than
	// another began was over before it. Of one moment nothing is said, except
	// of one client, whose operations follow each other.
	began, ended int64
	class        class
	// n and sum are how many values a read showed, and their digest.
	n   int
	sum uint64
	got []uint64 // may be nil
}

// digestOf is the digest of a list of values, which begins with 0.
func digestOf(sum, v uint64) uint64 {
	x := sum ^ (v + 0x9e3779b97f4a7c15 + sum<<6 + sum>>2)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// checkHistory checks a history of operations on a log of unique values against
// the log itself, read when all was over. It finds what one log, on which each
// operation takes effect at one moment between its beginning and its end, cannot
// have shown: a lost or doubled acknowledgement, a value nobody wrote or that was
// refused, an order against real time, and reads that are stale, of no prefix, or
// go back. Operations of unknown outcome may have taken effect at any later
// moment, or never. ops may come in any order but that of one client's are in
// its own.
//
// The position in the log gives every operation that took effect its place in
// the only order there is, so it suffices that no operation precedes, in real
// time, one with a lower place: O(n log n).
func checkHistory(ops []*op, log []uint64) *Violation {
	at := make(map[uint64]int32, len(log))
	sums := make([]uint64, len(log)+1)
	for i, v := range log {
		if j, twice := at[v]; twice {
			return violation("I23", "value %d is in the log twice, at %d and %d", v, j+1, i+1)
		}
		at[v] = int32(i)
		sums[i+1] = digestOf(sums[i], v)
	}
	effects := make([]effect, 0, len(ops))
	written := 0
	for _, o := range ops {
		e, err := effectOf(o, at, sums, log)
		if err != nil {
			return err
		}
		if e.place >= 0 {
			effects = append(effects, e)
			if o.value != 0 {
				written++
			}
		}
	}
	if written < len(log) {
		return unwritten(ops, log)
	}
	return inOrder(effects)
}

// effect is an operation with its place in the order of the log: an append
// behind i values has 2i+1, a read of n values 2n, -1 is none.
type effect struct {
	*op
	place       int
	from, until int64
}

func effectOf(o *op, at map[uint64]int32, sums []uint64, log []uint64) (effect, *Violation) {
	e := effect{op: o, place: -1, from: o.began, until: o.ended}
	if o.value == 0 {
		switch {
		case o.class != acknowledged:
			return e, nil
		case o.n >= len(sums):
			return e, violation("I23", "%s showed %d values, and the log has %d in the end", o, o.n, len(log))
		case sums[o.n] != o.sum:
			return e, violation("I23", "%s%s", o, notPrefix(o.got, log))
		}
		e.place = 2 * o.n
		return e, nil
	}
	i, in := at[o.value]
	switch {
	case in && o.class == refused:
		return e, violation("I12", "%s was refused as not executed, and is entry %d of the log", o, i+1)
	case !in && o.class == acknowledged:
		return e, violation("I23", "%s was acknowledged and is lost", o)
	case !in:
		return e, nil
	}
	if o.class != acknowledged {
		e.until = math.MaxInt64 // it may have happened later than the answer
	}
	e.place = 2*int(i) + 1
	return e, nil
}

func notPrefix(got, log []uint64) string {
	for i, v := range got {
		if v != log[i] {
			return fmt.Sprintf(" showed value %d as entry %d, where the log has %d in the end", v, i+1, log[i])
		}
	}
	return " showed no prefix of the log"
}

func unwritten(ops []*op, log []uint64) *Violation {
	wrote := make(map[uint64]bool, len(ops))
	for _, o := range ops {
		if o.value != 0 && wrote[o.value] {
			return violation("I23", "value %d was appended by two operations: the workload is no history of unique values", o.value)
		}
		wrote[o.value] = true
	}
	for i, v := range log {
		if !wrote[v] {
			return violation("I23", "value %d is entry %d of the log, and nobody wrote it", v, i+1)
		}
	}
	return nil
}

// inOrder sweeps through time: what begins must not have a lower place than
// anything that was over before.
func inOrder(effects []effect) *Violation {
	begins := slices.Clone(effects)
	slices.SortStableFunc(begins, func(a, b effect) int { return cmp.Compare(a.from, b.from) })
	slices.SortFunc(effects, func(a, b effect) int { return cmp.Compare(a.until, b.until) })
	var last *effect // of those that were over, the one of the highest place
	own := map[int]*effect{}
	ended := 0
	for i := range begins {
		b := &begins[i]
		for ; ended < len(effects) && effects[ended].until < b.from; ended++ {
			if e := &effects[ended]; last == nil || last.place < e.place {
				last = e
			}
		}
		for _, a := range [...]*effect{last, own[b.client]} {
			if a != nil && a.place > b.place {
				return against(a.op, b.op)
			}
		}
		if o := own[b.client]; b.until != math.MaxInt64 && (o == nil || o.place < b.place) {
			own[b.client] = b
		}
	}
	return nil
}

// against says what is wrong with a, which was over before b began.
func against(a, b *op) *Violation {
	switch {
	case a.value != 0 && b.value != 0:
		return violation("I23", "%s was acknowledged before %s began, and is behind it in the log", a, b)
	case a.value != 0:
		return violation("I23", "%s did not show %s, which was acknowledged before it began", b, a)
	case b.value != 0:
		return violation("I23", "%s showed %s, which began after it", a, b)
	}
	return violation("I23", "%s showed %d values, and %s, which was over before, %d", b, b.n, a, a.n)
}

// String names an operation.
func (o *op) String() string {
	if o.value == 0 {
		return fmt.Sprintf("a read of client %d at %s (moments %d to %d)", o.client, o.at, o.began, o.ended)
	}
	return fmt.Sprintf("value %d of client %d at %s (moments %d to %d)", o.value, o.client, o.at, o.began, o.ended)
}
