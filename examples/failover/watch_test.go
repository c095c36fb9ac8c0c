package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/board"
	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

const eager = `watch:
  enabled: true
  observers: 2
  interval: 20ms
  timeout: 200ms
  refused_after: 100ms
  dead_after: 600ms
  calm: 1h
  window: 2h
`

// events collects what watch says, line by line.
type events struct {
	mu   sync.Mutex // guards what follows
	rest []byte
	all  []watchEvent
}

func (e *events) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rest = append(e.rest, b...)
	for {
		line, rest, ok := bytes.Cut(e.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		var ev struct {
			watchEvent
			Report *struct{ Outcome reparent.Outcome }
		}
		if err := json.Unmarshal(line, &ev); err != nil {
			return 0, err
		}
		if ev.Report != nil {
			ev.watchEvent.Report = &reparent.Report{Outcome: ev.Report.Outcome}
		}
		e.all, e.rest = append(e.all, ev.watchEvent), rest
	}
}

// has reports whether something was said.
func (e *events) has(what func(watchEvent) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if what(ev) {
			return true
		}
	}
	return false
}

// last reports whether the last thing that was said is so.
func (e *events) last(what func(watchEvent) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.all) > 0 && what(e.all[len(e.all)-1])
}

func is(s verdict.State) func(watchEvent) bool {
	return func(e watchEvent) bool { return e.Verdict != nil && e.Verdict.State == s }
}

func changed(e watchEvent) bool { return e.Report != nil && e.Report.Outcome == reparent.Done }

// watcher starts a watch under a name; the function returned ends it and returns
// its exit code.
func (x *tool) watcher(name string, args ...string) (*events, func() int) {
	x.t.Helper()
	b, err := os.ReadFile(x.config)
	require.NoError(x.t, err)
	path := x.config + "." + name
	require.NoError(x.t, os.WriteFile(path, []byte(strings.Replace(string(b), "watch:\n", "watch:\n  name: "+name+"\n", 1)), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	e := &events{}
	code := make(chan int, 1)
	a := app{stdout: e, stderr: &bytes.Buffer{}, engines: map[string]engine{config.MariaDBEngine: x.m.engine}}
	go func() { code <- a.run(ctx, append([]string{"watch", "-output", "json", "-config", path}, args...)) }()
	end := sync.OnceValue(func() int { cancel(); return <-code })
	x.t.Cleanup(func() { end() })
	return e, end
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, 5*time.Millisecond, what)
}

func TestTwoWatchersReplaceADeadLeaderOnce(t *testing.T) {
	t.Parallel()
	x := newTool(t, eager).bootstrapped()
	e1, end1 := x.watcher("w1")
	e2, end2 := x.watcher("w2")
	eventually(t, "both see a healthy leader", func() bool { return e1.has(is(verdict.Healthy)) && e2.has(is(verdict.Healthy)) })
	x.m.stop("n1")
	eventually(t, "one of them replaces it", func() bool { return e1.has(changed) || e2.has(changed) })
	for _, id := range ids { // the new leader has its followers
		x.m.mu.Lock()
		x.m.lost[id] = false
		x.m.mu.Unlock()
	}
	_, r := x.json(t.Context(), "status")
	require.Equal(t, exitOK, r.code, r.out)
	require.False(t, e1.has(changed) && e2.has(changed), "one change is enough")

	// Another death within the calm is left to a person, by both.
	var st struct {
		Status struct{ Leader leadership.NodeID }
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &st))
	x.m.restart("n1")
	require.Equal(t, exitOK, x.run(t.Context(), "rejoin", "n1").code)
	x.m.stop(st.Status.Leader)
	calm := func(ev watchEvent) bool {
		return is(verdict.Dead)(ev) && ev.Of.Leader == st.Status.Leader && ev.Verdict.Do == "" && strings.Contains(strings.Join(ev.Verdict.Reasons, " "), "changed automatically")
	}
	eventually(t, "both hold back", func() bool { return e1.has(calm) && e2.has(calm) })
	require.Equal(t, exitOK, end1())
	require.Equal(t, exitOK, end2())
}

func TestAWatcherAloneOfTwoDoesNothing(t *testing.T) {
	t.Parallel()
	x := newTool(t, eager).bootstrapped()
	e, end := x.watcher("w1")
	eventually(t, "it misses the other", func() bool {
		return e.has(func(ev watchEvent) bool {
			return is(verdict.Unsure)(ev) && strings.Contains(strings.Join(ev.Verdict.Reasons, " "), "only 1 of 2 observers")
		})
	})
	asked := x.m.asked.Load()
	x.m.stop("n1")
	// Well beyond the time in which two would have acted.
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	<-timer.C
	require.Equal(t, exitOK, end())
	require.Equal(t, asked, x.m.asked.Load())
	require.False(t, e.has(is(verdict.Dead)))
}

func TestADryRunOfAWatchSaysWhatItWouldDoAndDoesNothing(t *testing.T) {
	t.Parallel()
	x := newTool(t, strings.Replace(eager, "observers: 2", "observers: 1", 1)).bootstrapped()
	asked := x.m.asked.Load()
	e, end := x.watcher("w1", "-dry-run")
	eventually(t, "it sees a healthy leader", func() bool { return e.has(is(verdict.Healthy)) })
	x.m.stop("n1")
	eventually(t, "it would replace it", func() bool {
		return e.has(func(ev watchEvent) bool { return is(verdict.Dead)(ev) && ev.Verdict.Do == leadership.KindEmergency })
	})
	require.Equal(t, exitOK, end())
	require.False(t, e.has(func(ev watchEvent) bool { return ev.Report != nil }))
	require.Equal(t, asked, x.m.asked.Load())
}

func TestAnAnswerOfTheLeaderIsReadForWhatItProves(t *testing.T) {
	t.Parallel()
	t4, t5 := leadership.Term{Num: 4, Proposer: "a"}, leadership.Term{Num: 5, Proposer: "a"}
	busy := errors.New("too many connections")
	s := server{answered: func(err error) bool { return errors.Is(err, busy) }}
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	require.Equal(t, verdict.Leads, s.sees(leadership.Status{Leads: t4}, nil, t4))
	require.Equal(t, verdict.Leads, s.sees(leadership.Status{Leads: t5}, nil, t4), "the record is behind")
	require.Equal(t, verdict.NoGrant, s.sees(leadership.Status{}, nil, t4))
	require.Equal(t, verdict.NoGrant, s.sees(leadership.Status{Leads: t4}, nil, t5))
	require.Equal(t, verdict.Refused, s.sees(leadership.Status{}, refused, t4))
	require.Equal(t, verdict.Troubled, s.sees(leadership.Status{}, busy, t4))
	require.Equal(t, verdict.Silent, s.sees(leadership.Status{}, context.DeadlineExceeded, t4))
}

// oneLeader is a watcher of n1 alone, without others, whose leader gives the answers
// that it is told to.
func oneLeader(t *testing.T, answer func() (leadership.Status, error), pulses func() (pulse, error)) *watcher {
	t.Helper()
	leader := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 4, Proposer: "a"}}
	reg := &leadership.MemoryRegistry{}
	rs, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	require.NoError(t, err)
	rec := leadership.Record{Cluster: "c", Mode: leadership.Full, Fence: leader.Term, Active: leader, Ruleset: rs, Routed: leader, Addr: "h:1"}
	_, err = reg.Swap(t.Context(), 0, rec)
	require.NoError(t, err)
	b, err := board.OpenDir(t.TempDir())
	require.NoError(t, err)
	return &watcher{
		cl: &cluster{reg: reg, servers: []server{
			{node: reparent.Node{ID: "n1", Status: answering(answer)}},
			{node: reparent.Node{ID: "n2"}, pulse: func(context.Context) (pulse, error) { return pulses() }},
		}},
		cfg: config.Watch{
			Name: "w", Observers: 1, Interval: config.Duration(time.Second), Timeout: config.Duration(time.Second),
			DeadAfter: config.Duration(6 * time.Second), RefusedAfter: config.Duration(2 * time.Second), Most: 1, Window: config.Duration(time.Hour),
		},
		reader: board.Reader{Board: b}, post: board.Post{Observer: "w"}, beats: map[leadership.NodeID]heartbeat{},
	}
}

type answering func() (leadership.Status, error)

func (a answering) Status(context.Context) (leadership.Status, error) { return a() }

func TestAWatcherThatDidNotLookMissedNothing(t *testing.T) {
	t.Parallel()
	w := oneLeader(t, func() (leadership.Status, error) { return leadership.Status{}, errors.New("silence") }, func() (pulse, error) { return pulse{}, nil })
	require.Equal(t, verdict.Suspect, w.look(t.Context()).State)
	long := time.Now().Add(-time.Minute)
	w.led, w.sawSince = long, long
	require.Equal(t, verdict.Dead, w.look(t.Context()).State, "it has looked all the time")
	w.looked = long
	require.Equal(t, verdict.Suspect, w.look(t.Context()).State, "it was paused for a minute")
}

func TestAReplicaHearsAsLongAsSomethingArrives(t *testing.T) {
	t.Parallel()
	beat := pulse{up: true, beat: "1"}
	var lost error
	w := oneLeader(t, func() (leadership.Status, error) { return leadership.Status{}, errors.New("silence") }, func() (pulse, error) { return beat, lost })
	says := func() string { return strings.Join(w.look(t.Context()).Reasons, "; ") }
	require.Contains(t, says(), "n2 hears it")
	w.beats["n2"] = heartbeat{"1", time.Now().Add(-7 * time.Second)}
	require.Contains(t, says(), "n2 is connected and hears nothing")
	beat.beat = "2"
	require.Contains(t, says(), "n2 hears it")
	beat.up = false
	require.Contains(t, says(), "n2 has lost it")
	lost = errors.New("refused")
	require.Contains(t, says(), "n2 does not answer")
}

func TestAWatcherAsksNobodyWhileAChangeIsLeftAlone(t *testing.T) {
	t.Parallel()
	asked := 0
	w := oneLeader(t, func() (leadership.Status, error) { asked++; return leadership.Status{}, errors.New("silence") }, func() (pulse, error) { return pulse{}, nil })
	w.cfg.Grace = config.Duration(time.Minute)
	require.Equal(t, verdict.Suspect, w.look(t.Context()).State)
	require.Equal(t, 1, asked)
	_, err := leadership.Update(t.Context(), w.cl.reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Begin(leadership.Intent{
			Term: leadership.Term{Num: 5, Proposer: "b-1"}, By: "b", Kind: leadership.KindPlanned, From: "n1", To: "n2", Phase: leadership.Preparing, HoldFor: time.Second,
		}, false)
	})
	require.NoError(t, err)
	v := w.look(t.Context())
	require.Equal(t, verdict.Unsure, v.State)
	require.Contains(t, v.Reasons[0], "nobody is asked")
	require.Equal(t, 1, asked)
	w.intentSince = time.Now().Add(-55 * time.Second)
	require.Equal(t, verdict.Suspect, w.look(t.Context()).State, "what was not looked at was not missed")
	require.Equal(t, 2, asked)
}
