package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tenure-go/tenure/examples/internal/register"
	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

// checkBound bounds the check for linearizability.
const checkBound = 15 * time.Second

// finding is one thing that was checked.
type finding struct {
	what string
	// wrong says what does not hold, the first few of it.
	wrong []string
	count int // of wrong
}

func (f *finding) bad(format string, args ...any) {
	if f.count++; f.count <= 3 {
		f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
	}
}

// verdict is all findings.
type verdict struct{ findings []*finding }

func (v *verdict) check(format string, args ...any) *finding {
	f := &finding{what: fmt.Sprintf(format, args...)}
	v.findings = append(v.findings, f)
	return f
}

func (v *verdict) ok() bool {
	return !slices.ContainsFunc(v.findings, func(f *finding) bool { return f.count > 0 })
}

// String returns one line per finding, and what is wrong.
func (v *verdict) String() string {
	var b strings.Builder
	for _, f := range v.findings {
		if f.count == 0 {
			fmt.Fprintf(&b, "ok      %s\n", f.what)
			continue
		}
		fmt.Fprintf(&b, "FAILED  %s: %d times\n", f.what, f.count)
		for _, w := range f.wrong {
			fmt.Fprintf(&b, "          %s\n", w)
		}
	}
	return b.String()
}

// verify checks everything that was promised. The load has ended.
func (s *script) verify(ctx context.Context, ops []op, cost measure.Report) *verdict {
	v := &verdict{}
	level := v.check("all %d members are level", len(s.c.ids))
	if err := s.c.level(ctx, stepBound); err != nil {
		level.bad("%v", err)
	}
	logs, err := s.logs(ctx)
	if err != nil {
		level.bad("a log cannot be read: %v", err)
		return v
	}
	sameLogs(v, s.c.ids, logs)
	writesInLog(v, ops, logs[0])
	s.zombiesGone(v, logs[0])
	s.readBack(ctx, v, logs[0])
	linearizable(v, ops)
	noErrors(v, cost)
	return v
}

// logs reads the log of every member, in the order of their names.
func (s *script) logs(ctx context.Context) ([][]kv.Logged, error) {
	out := make([][]kv.Logged, len(s.c.ids))
	errs := make([]error, len(s.c.ids))
	var wg sync.WaitGroup
	for i, id := range s.c.ids {
		wg.Go(func() { out[i], errs[i] = s.c.remote[id].Log(ctx) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.c.ids[i], err)
		}
	}
	return out, nil
}

// sameLogs checks every log against the first, entry by entry.
func sameLogs(v *verdict, ids []leadership.NodeID, logs [][]kv.Logged) {
	f := v.check("all members hold the same log of %d entries", len(logs[0]))
	for i, log := range logs {
		if len(log) != len(logs[0]) {
			f.bad("%s holds %d entries", ids[i], len(log))
		}
		for j := range min(len(log), len(logs[0])) {
			a, b := logs[0][j], log[j]
			if a.Index != b.Index || a.Term != b.Term || a.Marker != b.Marker || a.Write.Key != b.Write.Key || !bytes.Equal(a.Write.Value, b.Write.Value) {
				f.bad("%s holds %+v where %s holds %+v", ids[i], b, ids[0], a)
				break
			}
		}
	}
}

// writesInLog checks what clients were told of their writes against the log.
func writesInLog(v *verdict, ops []op, log []kv.Logged) {
	at := map[string][]uint64{} // of a value, which is unique
	for _, e := range log {
		if !e.Marker {
			at[string(e.Write.Value)] = append(at[string(e.Write.Value)], e.Index)
		}
	}
	var acked []op
	n := [3]int{}
	executed := 0
	for _, o := range ops {
		if o.write {
			n[o.outcome]++
			if o.outcome == done {
				acked = append(acked, o)
			}
		}
	}
	once := v.check("%d acknowledged writes are in it once, where their clients were told", n[done])
	proven := v.check("%d writes that were refused with proof are not in it", n[refused])
	unclear := v.check("")
	for _, o := range ops {
		places := at[o.value]
		switch {
		case !o.write:
		case o.outcome == done && (len(places) != 1 || places[0] != o.index):
			once.bad("%s = %s was acknowledged at %d and is at %v", o.key, o.value, o.index, places)
		case o.outcome == refused && len(places) > 0:
			proven.bad("%s = %s is at %v: %v", o.key, o.value, places, o.err)
		case o.outcome == unknown && len(places) > 1:
			unclear.bad("%s = %s is at %v", o.key, o.value, places)
		case o.outcome == unknown && len(places) == 1:
			executed++
		}
	}
	unclear.what = fmt.Sprintf("%d writes of unknown outcome were executed at most once (%d were)", n[unknown], executed)
	inOrder(v.check("their order agrees with what was answered before what was asked"), acked)
}

// inOrder checks that a write that was answered before another was called
// comes before it in the log.
func inOrder(f *finding, acked []op) {
	byCall := slices.SortedFunc(slices.Values(acked), func(a, b op) int { return int(a.call - b.call) })
	byRet := slices.SortedFunc(slices.Values(acked), func(a, b op) int { return int(a.ret - b.ret) })
	var last op // of the highest place that was answered by then
	next := 0
	for _, o := range byCall {
		for ; next < len(byRet) && byRet[next].ret < o.call; next++ {
			if byRet[next].index > last.index {
				last = byRet[next]
			}
		}
		if last.index > 0 && o.index <= last.index {
			f.bad("%s at %d was asked for after %s at %d was answered", o.value, o.index, last.value, last.index)
		}
	}
}

// readBack reads every key through the router.
func (s *script) readBack(ctx context.Context, v *verdict, log []kv.Logged) {
	last := map[string]string{}
	for _, e := range log {
		if !e.Marker {
			last[e.Write.Key] = string(e.Write.Value)
		}
	}
	f := v.check("all %d keys read as the log ends", len(last))
	for key, want := range last {
		if got, err := s.r.get(ctx, key); err != nil || got != want {
			f.bad("%s is %q, %v, want %q", key, got, err, want)
		}
	}
}

// zombiesGone checks that a leader that was replaced completed nothing.
func (s *script) zombiesGone(v *verdict, log []kv.Logged) {
	f := v.check("%d requests to a paused leader after its replacement were not answered, nor executed", len(s.zombies))
	values := map[string]bool{}
	for _, z := range s.zombies {
		values[z.value] = true
		if z.err == nil {
			f.bad("%s was answered", z.value)
		}
	}
	for _, e := range log {
		if values[string(e.Write.Value)] {
			f.bad("%s is in the log at %d", e.Write.Value, e.Index)
		}
	}
}

// noErrors checks that planned changes, and calm, cost no client an error.
func noErrors(v *verdict, r measure.Report) {
	planned := v.check("no planned change cost an error or an unknown outcome")
	for i, ch := range r.Changes {
		if c := r.Costs(i); ch.Strict && c.Errors+c.Unknown > 0 {
			planned.bad("change %d, %s: %d errors, %d unknown, such as: %v", i+1, ch.Name, c.Errors, c.Unknown, c.First)
		}
	}
	quiet := v.check("nor was there one outside of the changes")
	if c := r.Calm(); c.Errors+c.Unknown > 0 {
		quiet.bad("%d errors, %d unknown, such as: %v", c.Errors, c.Unknown, c.First)
	}
}

// linearizable checks the histories of the clients, key by key.
func linearizable(v *verdict, ops []op) {
	h := history(ops)
	f := v.check("%d reads and writes are linearizable, key by key", len(h))
	switch porcupine.CheckOperationsTimeout(register.Model(), h, checkBound) {
	case porcupine.Illegal:
		f.bad("there is no order of them that explains what was read")
	case porcupine.Unknown:
		f.bad("the check did not end within %s", checkBound)
	}
}

// history turns what clients did into operations. A request that was refused
// with proof, or a read without an answer, had no effect. A write of unknown
// outcome may take effect at any time after it was called, or never: it never
// returns, and so belongs to a client of its own. When nobody ever read its
// value it explains nothing, for "never" is then as good as any other time.
func history(ops []op) []porcupine.Operation {
	read := map[string]bool{}
	clients := 0
	for _, o := range ops {
		if !o.write && o.outcome == done {
			read[o.value] = true
		}
		clients = max(clients, o.client+1)
	}
	var out []porcupine.Operation
	for _, o := range ops {
		p := porcupine.Operation{
			ClientId: o.client, Input: register.Access{Key: o.key, Value: o.value, Write: o.write}, Output: o.value,
			Call: int64(o.call), Return: int64(o.ret),
		}
		switch {
		case o.outcome == done:
		case o.outcome == unknown && o.write && read[o.value]:
			p.ClientId, p.Return = clients, 1<<62
			clients++
		default:
			continue
		}
		out = append(out, p)
	}
	return out
}
