package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
)

// detector is how the tool's watchers are set.
type detector struct {
	name, yaml string
	// repeats says that a second leader may be replaced right after the first.
	repeats bool
}

// detectors are the tool's defaults, as anybody gets them, and quick ones.
func detectors() []detector {
	return []detector{
		{name: "quick detector", yaml: stage.QuickWatch, repeats: true},
		{name: "default detector", yaml: "watch:\n  enabled: true\n  observers: 3\n"},
	}
}

// ours is a side of this library.
func (c *compare) ours(engine engines.Engine, d detector) side {
	name := map[engines.Engine]string{engines.Postgres: postgres, engines.MariaDB: mariadb}[engine]
	return side{name + ": Tenure, " + d.name, true, func(ctx context.Context) (err error) {
		s, err := c.scene(account.Key{Engine: name, Who: "Tenure", Settings: d.name, Ours: true})
		if err != nil {
			return err
		}
		op, end, err := s.stage(ctx, engine, d.yaml, false)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
		if err := op.Watch(ctx, "w1", "w2", "w3"); err != nil {
			return err
		}
		defer op.EndWatch()
		if d.repeats { // a planned change does not depend on the detector
			for _, conns := range c.conns {
				err := c.plannedTimes(func() error { return s.hand(ctx, op, conns) })
				if err != nil {
					return err
				}
			}
		}
		if c.wants(account.ServerKill) {
			if err := s.killed(ctx, op, account.ServerKill); err != nil {
				return err
			}
		}
		if d.repeats && c.wants(account.Zombie) {
			return s.frozen(ctx, op)
		}
		return nil
	}}
}

// stage puts up three servers with an etcd, led by the first. end takes them down.
func (s *scene) stage(ctx context.Context, engine engines.Engine, more string, beside bool) (_ *stage.Operator, end func() error, err error) {
	etcd, err := s.host.Etcd(ctx, engines.EtcdConfig{})
	if err != nil {
		return nil, nil, err
	}
	st, err := stage.New(ctx, s.host, stage.Options{Engine: string(engine), Dir: s.dir, Etcd: etcd.Endpoints(), Agents: beside, More: more})
	if err != nil {
		return nil, nil, errors.Join(err, etcd.Close())
	}
	s.agents = nil
	end = func() error {
		var errs []error
		if s.agents != nil {
			errs = append(errs, s.agents.close())
		}
		for _, srv := range st.Servers {
			errs = append(errs, srv.Close())
		}
		return errors.Join(append(errs, etcd.Close())...)
	}
	if beside {
		if s.agents, err = startAgents(ctx, st, s.tool); err != nil {
			return nil, nil, errors.Join(err, end())
		}
	}
	op := &stage.Operator{Stage: st, Exe: s.tool, Say: s.say}
	if err := op.Begin(ctx); err != nil {
		return nil, nil, errors.Join(err, end())
	}
	s.rows = func(ctx context.Context) (all []load.Rows, err error) {
		lead, err := op.Leader(ctx)
		if err != nil {
			return nil, err
		}
		ids := append([]leadership.NodeID{lead}, slices.DeleteFunc(slices.Clone(op.IDs), func(id leadership.NodeID) bool { return id == lead })...)
		for _, id := range ids {
			r, err := op.Rows(ctx, id)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", id, err)
			}
			all = append(all, r)
		}
		return all, nil
	}
	return op, end, nil
}

// buffered are writers that go through this library.
func buffered(op *stage.Operator, conns int) ([]client, error) {
	conf, err := op.Load(conns, "")
	return []client{{"sqlbuffer", conns, conf}}, err
}

// hand hands the leadership to the next node.
func (s *scene) hand(ctx context.Context, op *stage.Operator, conns int) error {
	lead, err := op.Leader(ctx)
	if err != nil {
		return err
	}
	to := op.IDs[(slices.Index(op.IDs, lead)+1)%len(op.IDs)]
	if err := op.Ready(ctx, to); err != nil {
		return err
	}
	clients, err := buffered(op, conns)
	if err != nil {
		return err
	}
	return s.change(ctx, account.Planned, clients, func(ctx context.Context, _ flows) error {
		_, err := op.Tool(ctx, 0, "planned", "-to", string(to))
		return err
	}, func(ctx context.Context) error { return rejoin(ctx, op) })
}

// killed ends the leader's server, and the agent beside it if there is one, which the
// watchers replace. They come back afterwards.
func (s *scene) killed(ctx context.Context, op *stage.Operator, e account.Event) error {
	lead, err := op.Leader(ctx)
	if err != nil {
		return err
	}
	clients, err := buffered(op, connections)
	if err != nil {
		return err
	}
	return s.change(ctx, e, clients, func(ctx context.Context, _ flows) error {
		gone := time.Now()
		if s.agents != nil {
			if err := s.agents.procs[lead].Kill(); err != nil {
				return err
			}
		}
		if err := op.Servers[lead].Kill(); err != nil {
			return err
		}
		_, err := op.Replaced(ctx, lead, gone)
		return err
	}, func(ctx context.Context) error {
		if s.agents != nil {
			if err := s.agents.start(ctx, lead); err != nil {
				return err
			}
		}
		return errors.Join(op.ComeBack(ctx, lead), rejoin(ctx, op))
	})
}

// rejoin brings back whoever a change left out.
func rejoin(ctx context.Context, op *stage.Operator) error {
	for _, id := range op.IDs {
		if err := op.Rejoin(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// frozen stops the leader until another one leads, and lets it go on under load.
func (s *scene) frozen(ctx context.Context, op *stage.Operator) error {
	lead, err := op.Leader(ctx)
	if err != nil {
		return err
	}
	clients, err := buffered(op, connections)
	if err != nil {
		return err
	}
	return s.change(ctx, account.Zombie, clients, func(ctx context.Context, flow flows) error {
		gone := time.Now()
		if err := op.Servers[lead].Freeze(); err != nil {
			return err
		}
		_, err := op.Replaced(ctx, lead, gone)
		return errors.Join(err, orWait(ctx, flow), op.Servers[lead].Thaw(), wait(ctx, awake))
	}, func(ctx context.Context) error { return rejoin(ctx, op) })
}

// awake is for how long the load goes on after a frozen leader wakes up.
const awake = 5 * time.Second
