package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/examples/compare/internal/child"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/leadership"
)

// agents are the tool's processes beside the servers of a stage, which die with them
// when a machine does.
type agents struct {
	*stage.Stage
	tool  string
	procs map[leadership.NodeID]*child.Child
}

// startAgents starts one for each server.
func startAgents(ctx context.Context, st *stage.Stage, tool string) (*agents, error) {
	a := &agents{st, tool, map[leadership.NodeID]*child.Child{}}
	for _, id := range st.IDs {
		if err := a.start(ctx, id); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	return a, nil
}

// start starts the agent of a server, and returns when it listens.
func (a *agents) start(ctx context.Context, id leadership.NodeID) error {
	u, err := url.Parse(a.URLs[id])
	if err != nil {
		return err
	}
	p, err := child.Start(exec.Command(a.tool, "agent", string(id), "-config", a.Beside), filepath.Join(a.Dir, "agent-"+string(id)+".log"))
	if err != nil {
		return err
	}
	a.procs[id] = p
	bound := time.Now().Add(10 * time.Second)
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(bound) {
			return fmt.Errorf("the agent of %s: %w: %s", id, err, p.Tail())
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func (a *agents) close() error {
	var errs []error
	for _, p := range a.procs {
		errs = append(errs, p.Kill())
	}
	return errors.Join(errs...)
}

// withAgents is a side of this library with an agent beside each server of PostgreSQL,
// as where servers are on machines of their own.
func (c *compare) withAgents(d detector) side {
	name := d.name + ", agents"
	return side{postgres + ": Tenure, " + name, true, func(ctx context.Context) (err error) {
		if !c.wants(account.NodeKill) {
			return nil
		}
		s, err := c.scene(account.Key{Engine: postgres, Who: "Tenure", Settings: name, Ours: true})
		if err != nil {
			return err
		}
		op, end, err := s.stage(ctx, engines.Postgres, d.yaml, true)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
		if err := op.Watch(ctx, "w1", "w2", "w3"); err != nil {
			return err
		}
		defer op.EndWatch()
		return s.killed(ctx, op, account.NodeKill)
	}}
}
