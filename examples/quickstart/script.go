package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

const (
	// detect stands for the failure detector: how long after a leader is gone
	// somebody calls for an emergency change.
	detect = 200 * time.Millisecond
	// before and after are what belongs to the window of a change, beside it.
	before = 100 * time.Millisecond
	after  = 500 * time.Millisecond
	// stepBound bounds each wait of the script.
	stepBound = 20 * time.Second
)

// change is one row of the table.
type change struct {
	name   string
	strict bool // it must not cost an error
	result string
	// begin and end count from the start of the show.
	begin, end time.Duration
	leaderless time.Duration
	texts      []string // the coordinators' reports
}

// script is the acts of the show. It runs in one goroutine.
type script struct {
	o       options
	c       *cluster
	r       *router
	load    *load
	show    *show
	epoch   time.Time
	changes []*change
	orders  int
	zombies []zombie
}

func (s *script) now() time.Duration { return time.Since(s.epoch) }

// bootstrap makes the first leadership and waits until the router knows it.
func (s *script) bootstrap(ctx context.Context) error {
	rs := s.o.rules
	if _, err := s.do(ctx, nil, order{Do: leadership.KindBootstrap, To: s.c.ids[0], Rules: &rs}); err != nil {
		return err
	}
	return s.wait(ctx, "the router to serve", s.r.lane.Ready)
}

// act is one part of the show, with what puts the cluster back in order.
type act func(*script, context.Context) error

// play runs the acts, spread over the duration of the load.
func (s *script) play(ctx context.Context) error {
	acts := s.o.acts
	if acts == nil {
		acts = []act{
			(*script).planned, (*script).planned, (*script).handedOver, (*script).handedOver, (*script).undone, (*script).killed, (*script).paused,
			(*script).plannedRace, (*script).killedRace, (*script).lostCoordinator, (*script).resumed, (*script).planned,
		}
	}
	first := s.now() + 500*time.Millisecond
	slot := (s.o.duration - time.Second) / time.Duration(len(acts))
	for i, act := range acts {
		at := first + time.Duration(i)*slot
		if err := s.wait(ctx, "the next act", func() bool { return s.now() >= at }); err != nil {
			return err
		}
		if err := act(s, ctx); err != nil {
			return err
		}
	}
	if s.now() >= s.o.duration {
		return nil
	}
	return s.wait(ctx, "the end", func() bool { return s.now() >= s.o.duration })
}

// wait polls until ok, at most stepBound or until the next act is due.
func (s *script) wait(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, max(stepBound, s.o.duration))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// change runs one change, notes it, and waits until it has left no trace: until
// its window is over, every request that it met has ended, and new ones are
// answered.
func (s *script) change(ctx context.Context, name string, strict bool, body func(*change) error) error {
	ch := &change{name: name, strict: strict}
	s.changes = append(s.changes, ch)
	s.show.act(len(s.changes), name)
	ch.begin = s.now()
	err := body(ch)
	if ch.end == 0 {
		ch.end = s.now()
	}
	if err != nil {
		ch.result = "failed"
		return fmt.Errorf("%s: %w", name, err)
	}
	s.show.ended(len(s.changes), ch)
	answered := s.load.counts[done].Load()
	return s.wait(ctx, "the traces of "+name, func() bool {
		return s.now() > ch.end+before+after && s.load.settled(ch.end) && s.load.counts[done].Load() > answered
	})
}

// order starts a coordinator, which then waits to be run.
func (s *script) order(ctx context.Context, o order) (*coordinator, error) {
	s.orders++
	o.By = fmt.Sprintf("c%d", s.orders)
	return s.c.dispatch(ctx, o, s.show.heard)
}

// do has one coordinator do one thing, which must come out as wanted.
func (s *script) do(ctx context.Context, ch *change, o order, want ...reparent.Outcome) (message, error) {
	k, err := s.order(ctx, o)
	if err != nil {
		return message{}, err
	}
	return s.run(ch, 0, k, want...)
}

// run lets a coordinator begin that is ready. Since the wall clock's gone, if
// not 0, there has been no leader.
func (s *script) run(ch *change, gone int64, k *coordinator, want ...reparent.Outcome) (message, error) {
	m, err := k.run()
	if ch != nil {
		s.note(ch, gone, k)
	}
	if len(want) == 0 {
		want = []reparent.Outcome{reparent.Done}
	}
	if err == nil && !slices.Contains(want, m.Outcome) {
		err = fmt.Errorf("%s, wanted %s: %s\n%s", m.Outcome, want[0], m.Error, m.Text)
	}
	return m, err
}

// note puts what coordinators said into the change. It ends with their last
// word, not when their processes are gone.
func (s *script) note(ch *change, gone int64, ks ...*coordinator) {
	var said []message
	for _, k := range ks {
		said = append(said, k.said...)
		m := k.said[len(k.said)-1]
		if m.Text != "" {
			ch.texts = append(ch.texts, m.Text)
		}
		ch.end = max(ch.end, time.Duration(m.At-s.epoch.UnixNano()))
	}
	ch.leaderless = leaderless(gone, said)
}

// leaderless sums up how long nobody led: from gone, or from when a revocation
// began, until a grant. A hand-over is both, and what the coordinator sees of it is
// more than the two members take. What is open at the end is not counted.
func leaderless(gone int64, said []message) (total time.Duration) {
	said = slices.Clone(said)
	slices.SortStableFunc(said, func(a, b message) int { return int(a.At - b.At) })
	open := gone
	for _, m := range said {
		switch {
		case open == 0 && m.What == "before" && (m.Step == reparent.StepRevoke || m.Step == reparent.StepHandOver):
			open = m.At
		case open > 0 && m.What == "after" && (m.Step == reparent.StepGrant || m.Step == reparent.StepHandOver) && m.Error == "":
			total += time.Duration(m.At - open)
			open = 0
		}
	}
	return total
}

// leader returns who leads, and the next two after it in the ring.
func (s *script) leader(ctx context.Context) (lead, next, third leadership.NodeID, err error) {
	rec, err := s.c.record(ctx)
	if err != nil {
		return "", "", "", err
	}
	i := slices.Index(s.c.ids, rec.Active.Leader)
	if i < 0 {
		return "", "", "", errors.New("the record names no leader")
	}
	n := len(s.c.ids)
	return s.c.ids[i], s.c.ids[(i+1)%n], s.c.ids[(i+2)%n], nil
}

func (s *script) planned(ctx context.Context) error {
	lead, next, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return s.one(ctx, fmt.Sprintf("planned %s -> %s", lead, next), order{Do: leadership.KindPlanned, To: next})
}

// handedOver is a planned change that the leader leads itself: it hands what the
// new one needs to know to it, and the coordinator checks what they did.
func (s *script) handedOver(ctx context.Context) error {
	lead, next, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	k, err := s.order(ctx, order{Do: leadership.KindPlanned, To: next, Led: true})
	if err != nil {
		return err
	}
	return s.change(ctx, fmt.Sprintf("handed over %s -> %s", lead, next), true, func(ch *change) error {
		m, err := s.run(ch, 0, k)
		ch.result = result(m)
		if err == nil && !k.did(reparent.StepHandOver) {
			err = errors.New("the leader did not lead it")
		}
		return err
	})
}

// one is a change by one coordinator. A planned one must not cost an error.
func (s *script) one(ctx context.Context, name string, o order, want ...reparent.Outcome) error {
	k, err := s.order(ctx, o)
	if err != nil {
		return err
	}
	return s.change(ctx, name, o.Do == leadership.KindPlanned, func(ch *change) error {
		m, err := s.run(ch, 0, k, want...)
		ch.result = result(m)
		return err
	})
}

// result is an outcome in a few words.
func result(m message) string {
	if m.Leader == "" || m.Outcome == reparent.NotStarted {
		return string(m.Outcome)
	}
	return fmt.Sprintf("%s, %s leads", m.Outcome, m.Leader)
}

// undone is a planned change that fails once the old leader has stepped down.
func (s *script) undone(ctx context.Context) error {
	lead, next, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return s.one(ctx, fmt.Sprintf("planned %s -> %s, fails", lead, next),
		order{Do: leadership.KindPlanned, To: next, Veto: reparent.StepInstall}, reparent.Restored)
}

// resumed finishes what the lost coordinator left. It trusts nobody's word that
// the leader in between is well, and revokes it without a drain.
func (s *script) resumed(ctx context.Context) error {
	return s.one(ctx, "resume by another", order{Do: leadership.KindResume})
}

// killed is kill -9 of the leader.
func (s *script) killed(ctx context.Context) error {
	lead, _, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	k, err := s.order(ctx, order{Do: leadership.KindEmergency})
	if err != nil {
		return err
	}
	err = s.change(ctx, "emergency, kill -9 "+string(lead), false, func(ch *change) error {
		gone := time.Now().UnixNano()
		s.c.kill(lead)
		if err := sleep(ctx, detect); err != nil {
			return err
		}
		m, err := s.run(ch, gone, k)
		ch.result = result(m)
		return err
	})
	if err != nil {
		return err
	}
	return s.bringBack(ctx, lead)
}

// bringBack starts a killed member again, and sweeps.
func (s *script) bringBack(ctx context.Context, id leadership.NodeID) error {
	if err := s.c.restart(ctx, id); err != nil {
		return err
	}
	_, err := s.do(ctx, nil, order{Do: doSweep})
	return err
}

// lostCoordinator is a coordinator that is killed between Activate and Route.
// The router finds the leader by itself, from the record's Active or from what
// nodes say; the record goes on saying that the change is under way.
func (s *script) lostCoordinator(ctx context.Context) error {
	_, next, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	k, err := s.order(ctx, order{Do: leadership.KindPlanned, To: next, Block: reparent.StepRoute})
	if err != nil {
		return err
	}
	return s.change(ctx, fmt.Sprintf("planned -> %s, coordinator killed", next), true, func(ch *change) error {
		m, err := k.run()
		s.note(ch, 0, k)
		if err != nil {
			return err
		}
		k.kill()
		if m.What != "blocked" {
			return fmt.Errorf("it ended before it could be killed: %s\n%s", m.Outcome, m.Text)
		}
		if err := s.wait(ctx, "the router to find the leader", s.r.lane.Ready); err != nil {
			return err
		}
		rec, err := s.c.record(ctx)
		if err != nil {
			return err
		}
		to := s.r.lane.Snapshot().Leadership
		if rec.Active.Leader != next || rec.Routed == rec.Active || to != rec.Active {
			return fmt.Errorf("active %s, routed %s, the router sends to %s", rec.Active, rec.Routed, to)
		}
		ch.end = s.now()
		ch.result = fmt.Sprintf("not routed, the router found %s", next)
		return nil
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
