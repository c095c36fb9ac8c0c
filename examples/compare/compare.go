package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
)

// What is the same for all writers.
const (
	pause          = 2 * time.Millisecond
	patience       = 5 * time.Second
	connectTimeout = 2 * time.Second
	connections    = 4
	// steady is how long the load flows before a change, and linger after it.
	steady = 500 * time.Millisecond
	linger = 500 * time.Millisecond
	// stepBound bounds each wait.
	stepBound = 120 * time.Second
)

// compare is everything that the runs share.
type compare struct {
	say       func(format string, args ...any)
	host      *engines.Host
	dir       string
	tool, exe string
	events    []account.Event // those that are made
	conns     []int           // on how many connections a planned change of ours is
	planned   int             // how many planned changes a cluster makes in its turn
	who       string          // what the name of a side must have in it
	table     account.Table
	wrong     []string // runs that could not be made
	failed    []string // those of them that are ours
	left      []string // what is not installed
	number    int      // of scenes
}

// wants says whether an event is to be made.
func (c *compare) wants(e account.Event) bool { return slices.Contains(c.events, e) }

// plannedTimes calls f as often as a cluster makes a planned change, until one fails.
func (c *compare) plannedTimes(f func() error) error {
	if !c.wants(account.Planned) {
		return nil
	}
	for range c.planned {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// side is one cluster with its settings, to be put up, put through its changes, and
// taken down.
type side struct {
	name string
	ours bool
	run  func(ctx context.Context) error
}

// client is a group of writers that reach the leader in one way.
type client struct {
	name  string
	conns int
	conf  load.Config
}

// scene is one cluster while it is up.
type scene struct {
	*compare
	key     account.Key // Engine, Who, Settings and Ours
	dir     string
	seen    []load.History
	workers int
	agents  *agents // of ours, nil when there are none
	// rows reads the ids that each server has, the leader's first.
	rows func(ctx context.Context) ([]load.Rows, error)
}

func (c *compare) scene(k account.Key) (*scene, error) {
	c.number++
	s := &scene{compare: c, key: k, dir: filepath.Join(c.dir, fmt.Sprintf("scene-%d", c.number))}
	return s, os.Mkdir(s.dir, 0o700)
}

// load is that of a client, with everything that is the same for all of them.
func (s *scene) load(cl client) load.Config {
	conf := cl.conf
	conf.Exe, conf.Workers = s.exe, 2
	conf.Spec.Pause, conf.Spec.Patience = pause, patience
	conf.Spec.Writers = max(cl.conns/conf.Workers, 1)
	conf.Spec.Number = s.workers
	s.workers += conf.Workers
	return conf
}

// change makes one change under the load of all clients at once. mend brings back what
// the change left behind, once the load has ended.
func (s *scene) change(ctx context.Context, e account.Event, clients []client, do func(context.Context, flows) error, mend func(context.Context) error) error {
	s.say("  %s", e)
	results, err := s.make(ctx, clients, do, mend)
	total := 0
	for _, cl := range clients {
		total += cl.conns
	}
	for i, cl := range clients {
		k := s.key
		k.Event, k.Client, k.Conns, k.Load = e, cl.name, cl.conns, total
		if err != nil {
			s.table.Add(k, account.Result{Wrong: err.Error()})
			continue
		}
		s.table.Add(k, results[i])
		s.say("%s", tell(cl, results[i]))
	}
	return err
}

// flows waits until writers of every client get acknowledgements.
type flows func(ctx context.Context) error

func (s *scene) make(ctx context.Context, clients []client, do func(context.Context, flows) error, mend func(context.Context) error) (_ []account.Result, err error) {
	var loads []*load.Load
	defer func() {
		for _, l := range loads { // what Stop has not ended yet
			_, e := l.Stop(context.WithoutCancel(ctx))
			err = errors.Join(err, e)
		}
	}()
	for _, cl := range clients {
		conf := s.load(cl)
		conf.Spec.Dir = filepath.Join(s.dir, fmt.Sprintf("load-%d", conf.Spec.Number))
		if err := os.Mkdir(conf.Spec.Dir, 0o700); err != nil {
			return nil, err
		}
		l, err := load.Start(ctx, conf)
		if err != nil {
			return nil, err
		}
		loads = append(loads, l)
	}
	flow := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, stepBound)
		defer cancel()
		for i, l := range loads {
			if err := l.AwaitAcks(ctx, 20); err != nil {
				return fmt.Errorf("%s: %w", clients[i].name, err)
			}
		}
		return nil
	}
	if err := errors.Join(flow(ctx), wait(ctx, steady)); err != nil {
		return nil, err
	}
	begin := time.Now()
	err = do(ctx, flow)
	if err = errors.Join(err, flow(ctx)); err != nil {
		return nil, err
	}
	end := time.Now()
	if err := wait(ctx, linger); err != nil {
		return nil, err
	}
	results := make([]account.Result, len(clients))
	for len(loads) > 0 {
		l := loads[0]
		loads = loads[1:]
		h, err := l.Stop(ctx)
		if err != nil {
			return nil, err
		}
		if len(h.Failures) > 0 {
			return nil, errors.New(strings.Join(h.Failures, "; "))
		}
		s.seen = append(s.seen, h)
		results[len(results)-len(loads)-1].Sample = account.Measure(h, begin, end)
	}
	if mend != nil {
		if err := mend(ctx); err != nil {
			return nil, fmt.Errorf("afterwards: %w", err)
		}
	}
	v, err := s.check(ctx)
	for i := range results {
		results[i].Loss = account.Losses(v, s.seen[len(s.seen)-len(results)+i])
	}
	return results, err
}

// frozenFor is how long a frozen leader stays so at most, once another one leads.
const frozenFor = 30 * time.Second

// orWait waits until writes flow, for as long as a frozen leader stays so: it wakes up
// also where they do not, which their gap then shows.
func orWait(ctx context.Context, flow flows) error {
	short, cancel := context.WithTimeout(ctx, frozenFor)
	defer cancel()
	if err := flow(short); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// check looks for every id that any load on this cluster was acknowledged, on every
// server, once they have had the time to become equal.
func (s *scene) check(ctx context.Context) (load.Verdict, error) {
	h := account.Merge(s.seen...)
	bound := time.Now().Add(15 * time.Second)
	for {
		rows, err := s.rows(ctx)
		if err == nil && len(rows) < 2 {
			err = fmt.Errorf("%d servers answer", len(rows))
		}
		if err == nil {
			v := h.Check(rows[0], rows[1:]...)
			if len(v.Problems) == 0 || time.Now().After(bound) {
				return v, nil
			}
		} else if time.Now().After(bound) {
			return load.Verdict{}, err
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return load.Verdict{}, err
		}
	}
}

// wait waits for as long, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
