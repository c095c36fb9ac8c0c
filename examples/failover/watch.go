package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/board"
	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// watchEvent is one line of watch's output as JSON.
type watchEvent struct {
	At       time.Time             `json:"at"`
	Observer string                `json:"observer"`
	Of       leadership.Leadership `json:"of"`
	Verdict  *verdict.Verdict      `json:"verdict,omitempty"`
	Report   *reparent.Report      `json:"report,omitempty"`
}

// watch looks at the leader until it is interrupted.
func watch(ctx context.Context, c *call) int {
	if !c.cfg.Watch.Enabled {
		return c.out.fail(exitUsage, &usageError{"watch is off: it replaces leaders without asking anybody. Set watch.enabled in " + c.path + " when that is what you want"})
	}
	if c.name != "" {
		if !config.WatcherName(c.name) {
			return c.out.fail(exitUsage, &usageError{fmt.Sprintf("-name is %q, want 1 to 20 of a-z, 0-9 and -", c.name)})
		}
		c.cfg.Watch.Name = c.name
	}
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitFailed, err)
	}
	w, err := newWatcher(cl, c)
	if err != nil {
		return c.out.fail(exitFailed, errors.Join(err, cl.close()))
	}
	code := w.loop(ctx)
	if err := errors.Join(w.reader.Board.Close(), cl.close()); err != nil {
		c.out.errorf("failover: closing: %v", err)
	}
	return code
}

// watcher is one observer. Everything in it belongs to the goroutine of loop.
type watcher struct {
	cl     *cluster
	cfg    config.Watch
	out    *output
	dry    bool
	guard  *reparent.Guard
	reader board.Reader
	post   board.Post

	rec leadership.Record
	// intent is the term of the intent that is seen, since when.
	intent      leadership.Term
	intentSince time.Time
	// saw is what was seen last of rec.Active, since when, and led is when it
	// last gave a sign of life, or was first asked.
	saw      verdict.Seen
	sawSince time.Time
	led      time.Time
	looked   time.Time
	beats    map[leadership.NodeID]heartbeat
	told     string
}

// heartbeat is when something last arrived at a replica.
type heartbeat struct {
	beat string
	at   time.Time
}

func newWatcher(cl *cluster, c *call) (*watcher, error) {
	b, err := cl.board()
	if err != nil {
		return nil, err
	}
	w := &watcher{
		cl: cl, cfg: cl.cfg.Watch, out: c.out, dry: c.dry, reader: board.Reader{Board: b}, beats: map[leadership.NodeID]heartbeat{},
		post: board.Post{Observer: cl.cfg.Watch.Name, Run: time.Now().UTC().Format(time.RFC3339Nano)},
	}
	w.guard, err = cl.guard(c.out.hooks(), nil)
	return w, errors.Join(err, w.remember(b))
}

// remember takes over the acts of an earlier run under the same name.
func (w *watcher) remember(b board.Board) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	posts, err := b.All(ctx)
	for _, p := range posts {
		if p.Observer == w.post.Observer {
			w.post.Acts = p.Acts
		}
	}
	return err
}

// rules are what the configuration says.
func rules(w config.Watch) verdict.Rules {
	return verdict.Rules{
		Observers: w.Observers, Stale: 2 * (time.Duration(w.Interval) + time.Duration(w.Timeout)),
		Dead: time.Duration(w.DeadAfter), Refused: time.Duration(w.RefusedAfter), Grace: time.Duration(w.Grace),
		Calm: time.Duration(w.Calm), Retry: time.Duration(w.Retry), Most: w.Most, Window: time.Duration(w.Window),
		// As long as it can take until the next look, and that takes.
		Stagger: time.Duration(w.Interval) + time.Duration(w.Timeout),
	}
}

// loop looks once per interval until ctx ends, which is how it is meant to end.
func (w *watcher) loop(ctx context.Context) int {
	tick := time.NewTicker(time.Duration(w.cfg.Interval))
	defer tick.Stop()
	for {
		v := w.look(ctx)
		if ctx.Err() != nil {
			return exitOK
		}
		w.tell(v)
		if v.Do != "" && !w.dry {
			if code := w.act(ctx, v.Do); ctx.Err() != nil {
				return code
			}
		}
		select {
		case <-ctx.Done():
			return exitOK
		case <-tick.C:
		}
	}
}

// look sees, says what was seen, hears the others, and decides.
func (w *watcher) look(ctx context.Context) verdict.Verdict {
	c := verdict.Case{Self: w.cfg.Name}
	if now := time.Now(); now.Sub(w.looked) > rules(w.cfg).Stale {
		w.forget()
	}
	err := w.load(ctx)
	w.looked = time.Now()
	if err != nil {
		w.forget()
		c.Unread = "the record cannot be read (" + oneText(err) + ")"
		return verdict.Decide(c, rules(w.cfg))
	}
	c.Of, c.Intent = w.rec.Active, w.rec.Intent
	if c.Intent.Term != w.intent {
		w.intent, w.intentSince = c.Intent.Term, w.looked
	}
	c.IntentFor = w.looked.Sub(w.intentSince)
	if v, ok := verdict.LeftAlone(c, rules(w.cfg)); ok {
		w.forget()
		return v
	}
	c.Replicas = w.ask(ctx)
	now := time.Now()
	self := verdict.Sighting{Observer: w.cfg.Name, Of: c.Of, Saw: w.saw, For: now.Sub(w.sawSince)}
	if w.saw != verdict.Leads {
		self.Missed = now.Sub(w.led)
	}
	others, acts, err := w.share(ctx, self)
	if err != nil {
		c.Unread = "what the others saw and did cannot be read (" + oneText(err) + ")"
	}
	c.Acts = acts
	c.Sightings = append(c.Sightings, self)
	for _, s := range others {
		if s.Observer != self.Observer {
			c.Sightings = append(c.Sightings, s)
		}
	}
	return verdict.Decide(c, rules(w.cfg))
}

// forget begins anew to miss the leader: while nobody looked, because this process
// was paused or the record could not be read, nothing was missed.
func (w *watcher) forget() {
	w.saw, w.led = "", time.Time{}
	clear(w.beats)
}

// bound is the context of one question.
func (w *watcher) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(w.cfg.Timeout))
}

// load reads the record. What was seen of another leadership is forgotten.
func (w *watcher) load(ctx context.Context) error {
	ctx, cancel := w.bound(ctx)
	defer cancel()
	rec, err := w.cl.reg.Load(ctx)
	if err != nil {
		return err
	}
	if rec.Active != w.rec.Active {
		w.forget()
	}
	w.rec = rec
	return nil
}

// ask asks the leader and every other server, at once.
func (w *watcher) ask(ctx context.Context) []verdict.Replica {
	ctx, cancel := w.bound(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var saw verdict.Seen
	pulses := make([]pulse, len(w.cl.servers))
	errs := make([]error, len(w.cl.servers))
	for i, s := range w.cl.servers {
		wg.Go(func() {
			if s.node.ID == w.rec.Active.Leader {
				st, err := s.node.Status.Status(ctx)
				saw = s.sees(st, err, w.rec.Active.Term)
			} else {
				pulses[i], errs[i] = s.pulse(ctx)
			}
		})
	}
	wg.Wait()
	now := time.Now()
	if saw != w.saw {
		w.saw, w.sawSince = saw, now
	}
	if saw == verdict.Leads || saw == verdict.Troubled || w.led.IsZero() {
		w.led = now
	}
	var replicas []verdict.Replica
	for i, s := range w.cl.servers {
		if s.node.ID != w.rec.Active.Leader {
			replicas = append(replicas, verdict.Replica{Node: s.node.ID, Link: w.link(s.node.ID, pulses[i], errs[i], now)})
		}
	}
	return replicas
}

// link reads a replica's pulse. One that is up hears until nothing has arrived for
// as long as a leader may be silent.
func (w *watcher) link(id leadership.NodeID, p pulse, err error, now time.Time) verdict.Link {
	last, ok := w.beats[id]
	switch {
	case err != nil:
		return verdict.NoAnswer
	case !p.up:
		delete(w.beats, id)
		return verdict.Lost
	case !ok || last.beat != p.beat:
		w.beats[id] = heartbeat{p.beat, now}
	case now.Sub(last.at) >= time.Duration(w.cfg.DeadAfter):
		return verdict.Still
	}
	return verdict.Hears
}

// sees reads the answer of a leader.
func (s server) sees(st leadership.Status, err error, term leadership.Term) verdict.Seen {
	switch {
	case err == nil && !st.Leads.Less(term) && !st.Leads.IsZero():
		return verdict.Leads
	case err == nil:
		return verdict.NoGrant
	case errors.Is(err, syscall.ECONNREFUSED):
		return verdict.Refused
	case s.answered != nil && s.answered(err):
		return verdict.Troubled
	}
	return verdict.Silent
}

// share says what this observer saw, and hears the others.
func (w *watcher) share(ctx context.Context, self verdict.Sighting) ([]verdict.Sighting, []verdict.Act, error) {
	ctx, cancel := w.bound(ctx)
	defer cancel()
	if !w.dry {
		w.post.Seq++
		w.post.Of, w.post.Saw, w.post.For, w.post.Missed = self.Of, self.Saw, self.For, self.Missed
		if err := w.reader.Board.Put(ctx, w.post); err != nil {
			return nil, nil, err
		}
	}
	return w.reader.Read(ctx, time.Now())
}

// act replaces the leader, and notes that it did.
func (w *watcher) act(ctx context.Context, kind leadership.Kind) int {
	ch := reparent.Emergency()
	if kind == leadership.KindResume {
		ch = reparent.Resume()
	}
	rep, err := w.guard.Run(ctx, ch)
	w.out.event(watchEvent{At: time.Now(), Observer: w.cfg.Name, Of: w.rec.Active, Report: rep}, rep.String())
	if err != nil {
		w.out.errorf("failover: watch: %s", oneText(err))
	}
	if rep.Outcome != reparent.Superseded {
		settled := rep.Leader() != "" && rep.Outcome != reparent.NotStarted
		w.post.Acts = append(w.post.Acts, board.Act{At: time.Now(), Term: rep.Term, Outcome: string(rep.Outcome), Settled: settled})
		w.post.Acts = w.post.Acts[max(0, len(w.post.Acts)-64):]
	}
	// The others must know of it even when this process is about to end.
	_, _, err = w.share(context.WithoutCancel(ctx), verdict.Sighting{Of: w.rec.Active, Saw: w.saw})
	if err != nil {
		w.out.errorf("failover: watch: the other observers could not be told: %s", oneText(err))
	}
	return exitOf(rep.Outcome)
}

// tell prints a verdict when it is not the one that was printed last. Durations in
// the reasons change all the time; what they are about does not.
func (w *watcher) tell(v verdict.Verdict) {
	key := string(v.State) + string(v.Do) + w.rec.Active.String()
	if key == w.told {
		return
	}
	w.told = key
	text := fmt.Sprintf("%s  %s is %s", time.Now().Format(time.TimeOnly), named(w.rec.Active), v.State)
	if v.Do != "" {
		text += ": " + string(v.Do)
		if w.dry {
			text += " would be run (dry run)"
		}
	}
	w.out.event(watchEvent{At: time.Now(), Observer: w.cfg.Name, Of: w.rec.Active, Verdict: &v}, text+"\n    "+strings.Join(v.Reasons, "\n    "))
}

// event prints one line of JSON, or its text.
func (o *output) event(e watchEvent, text string) {
	if o.json {
		b, err := json.Marshal(e)
		if err != nil {
			o.errorf("failover: an event cannot be written as JSON: %v", err)
			return
		}
		text = string(b)
	}
	_, _ = o.out.Write([]byte(strings.TrimRight(text, "\n") + "\n"))
}
