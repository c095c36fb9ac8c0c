package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// look is how often the show looks at the cluster.
const look = 250 * time.Millisecond

// show tells what happens. It has a guard of its own to look at the cluster
// with, and touches nothing. On a terminal it keeps a few lines up to date
// below the events; elsewhere it prints a line each second.
type show struct {
	o     options
	c     *cluster
	r     *router
	guard *reparent.Guard
	epoch time.Time
	live  bool

	cancel context.CancelFunc
	wg     sync.WaitGroup // the one goroutine that looks

	mu    sync.Mutex // guards what follows, and the order of what is printed
	out   io.Writer
	lines int // how many live lines are on the screen
	doing string
	marks map[leadership.NodeID]string
	block []string
}

func newShow(out io.Writer, o options, c *cluster, r *router, epoch time.Time) (*show, error) {
	g, err := order{By: "show", Registry: c.registry, Peers: c.peers}.guard(nil)
	if err != nil {
		return nil, err
	}
	return &show{
		o: o, c: c, r: r, guard: g, epoch: epoch, live: terminal(out), out: out,
		cancel: func() {}, marks: map[leadership.NodeID]string{},
	}, nil
}

// terminal reports whether out can move its cursor.
func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// start begins to look, until close or ctx ends.
func (s *show) start(ctx context.Context, l *load) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.event("%d members, policy %s, %d clients; G holds the grant, S a durable set accepts from it, R clients are routed to it",
		s.o.members, s.o.policy, s.o.clients)
	s.wg.Go(func() { s.watch(ctx, l) })
}

// close stops looking and takes the live lines away.
func (s *show) close() {
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.block = nil
}

// now notes what goes on.
func (s *show) now(doing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doing = doing
	if len(s.block) > 0 {
		s.block[0] = clip("        " + doing)
	}
}

// act announces a change.
func (s *show) act(n int, name string) {
	s.now(fmt.Sprintf("%d  %s", n, name))
	s.event("%2d  %s", n, name)
}

// ended tells what came of a change.
func (s *show) ended(n int, ch *change) {
	s.now("")
	text := fmt.Sprintf("%2d  = %s after %s", n, ch.result, measure.Short(ch.end-ch.begin))
	if ch.leaderless > 0 {
		text += ", " + measure.Short(ch.leaderless) + " without a leader"
	}
	s.event("%s", text)
	if s.o.verbose {
		for _, t := range ch.texts {
			s.event("%s", strings.TrimSpace(t))
		}
	}
}

// heard is called with what coordinators say.
func (s *show) heard(m message) {
	undo := ""
	if m.Undo {
		undo = "undo, "
	}
	switch {
	case m.What == "blocked":
		s.event("    %s hangs before %s", m.By, m.Step)
	case m.What == "before" && m.Step == reparent.StepRevoke && m.Undo:
		s.event("    %s undoes it under term %s", m.By, m.Term)
	case m.What == "after" && m.Error != "":
		s.event("    %s %s%s: %s", m.By, undo, m.Step, strings.ReplaceAll(m.Error, "\n", "; "))
	case m.What == "after" && s.o.verbose:
		s.event("    %s %s%s", m.By, undo, m.Step)
	}
}

// event prints a line above the live ones.
func (s *show) event(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.out, "%6.2fs  %s\n", time.Since(s.epoch).Seconds(), fmt.Sprintf(format, args...))
	s.draw()
}

// erase and draw are called with mu held.
func (s *show) erase() {
	if s.lines > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.lines)
		s.lines = 0
	}
}

func (s *show) draw() {
	if !s.live {
		return
	}
	for _, l := range s.block {
		fmt.Fprintf(s.out, "%s\x1b[K\n", l)
	}
	s.lines = len(s.block)
}

// watch looks at the cluster until ctx ends.
func (s *show) watch(ctx context.Context, l *load) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var pulses []pulse // of the last second
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		view, err := s.guard.View(ctx)
		rec, recErr := s.c.record(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil || recErr != nil {
			continue // the next look will do
		}
		pulses = append(pulses, l.pulse())
		pulses = pulses[max(0, len(pulses)-5):]
		s.see(view, rec, s.r.lane.Snapshot(), pulses, n%4 == 3)
	}
}

// see shows one look.
func (s *show) see(view leadership.View, rec leadership.Record, lane buffer.Snapshot, ps []pulse, plain bool) {
	p, since := ps[len(ps)-1], ps[0]
	// Each pulse is a look after the one before it.
	rate := 0.0
	if len(ps) > 1 {
		rate = float64(p.counts[done]-since.counts[done]) / (float64(len(ps)-1) * look.Seconds())
	}
	phase := "serving"
	if rec.Intent.Phase != leadership.Cleared {
		phase = fmt.Sprintf("%s change, %s", rec.Intent.Kind, rec.Intent.Phase)
	}
	summary := []string{
		fmt.Sprintf("%5.0f answers/s  p99 %-7s errors %d  unknown %d", rate, measure.Short(p.p99(since)), p.counts[refused], p.counts[unknown]),
		fmt.Sprintf("router %s, %d held; record: %s", lane.State, lane.Held+lane.Retrying+lane.Running, phase),
	}
	block := []string{"", clip("        " + summary[0]), clip("        " + summary[1])}
	var flips, short []string
	for _, id := range s.c.ids {
		mark, because := marks(view, id)
		if old, ok := s.marks[id]; ok && old != mark {
			flips = append(flips, fmt.Sprintf("%s %s > %s", id, old, mark))
		}
		s.marks[id] = mark
		short = append(short, fmt.Sprintf("%s %s", id, mark))
		block = append(block, clip(fmt.Sprintf("        %s  %s  %s", id, mark, because)))
	}
	s.mu.Lock()
	block[0] = clip("        " + s.doing)
	s.block = block
	s.mu.Unlock()
	switch {
	case len(flips) > 0:
		s.event("    %s", strings.Join(flips, "   "))
	case s.live:
		s.mu.Lock()
		s.erase()
		s.draw()
		s.mu.Unlock()
	}
	if plain && !s.live {
		s.event("    %s  %s; %s", strings.Join(short, "  "), summary[0], summary[1])
	}
}

// clip keeps a live line on one line of the screen: a longer one would wrap,
// and not be erased.
func clip(s string) string { return s[:min(len(s), 79)] }

// marks says in three letters which conditions hold for a node, and for
// people what the first that does not is about.
func marks(view leadership.View, id leadership.NodeID) (mark, because string) {
	for i, f := range leadership.LeaderConditions().Explain(view, id) {
		switch {
		case f.Holds:
			mark += "GSR"[i : i+1]
		default:
			mark += "."
			if because == "" {
				because = f.Because
			}
		}
	}
	if because == "" {
		because = "leads"
	}
	for _, st := range view.Statuses {
		if st.Node != id || !st.Reachable {
			continue
		}
		if lp, ok := st.Position.Point.(leadership.LogPoint); ok {
			because += fmt.Sprintf("; log at %d of term %s", lp.Index, st.Position.Term)
		}
		if !st.Source.IsZero() && st.Source.Leader != id {
			because += ", follows " + string(st.Source.Leader)
		}
	}
	return mark, because
}
