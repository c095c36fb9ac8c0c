package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
)

// agentServer is a node behind its agent. It dials nothing.
func agentServer(cfg *config.Config, n config.Node) (server, error) {
	cc := agent.ClientConfig{Cluster: cfg.Cluster, Node: n.ID, URL: n.Agent}
	var err error
	if cc.Token, err = cfg.Agents.Token.Value(); err != nil {
		return server{}, err
	}
	if t := cfg.Agents.TLS; t != nil {
		if cc.TLS, err = agent.ClientTLS(t.CA, t.Cert, t.Key, t.ServerName); err != nil {
			return server{}, err
		}
	}
	c, err := agent.NewClient(cc)
	if err != nil {
		return server{}, err
	}
	return server{
		node: c.Reparent(n.Addr, n.Priority), doctor: c.Doctor, setup: c.Setup,
		pulse: func(ctx context.Context) (pulse, error) {
			p, err := c.Pulse(ctx)
			return pulse{up: p.Up, beat: p.Beat, silence: p.Silence}, err
		},
		answered: postgresAnswered,
		close:    c.Close,
	}, nil
}

// beside is the node of an agent.
type beside struct {
	node *config.Node
	url  string
}

// prepareAgent makes the configuration that of a node on this machine.
func prepareAgent(c *call) (err error) {
	c.beside.node, c.beside.url, err = c.cfg.Beside(leadership.NodeID(c.args[0]))
	return err
}

// runAgent serves one node until it is interrupted. It is exitOK when the calls that
// ran by then had ended.
func runAgent(ctx context.Context, c *call) int {
	u, err := agent.CheckURL(c.beside.url)
	if err != nil {
		return c.out.fail(exitUsage, err)
	}
	sc := agent.ServerConfig{
		Cluster: c.cfg.Cluster, Node: c.beside.node.ID, Hide: c.out.err.clean,
		Log: func(line string) { c.out.progress("%s", line) },
	}
	if sc.Token, err = c.cfg.Agents.Token.Value(); err != nil {
		return c.out.fail(exitUsage, err)
	}
	if u.Scheme == "https" {
		t := c.cfg.Agents.TLS
		if sc.TLS, err = agent.ServerTLS(t.CA, t.Cert, t.Key); err != nil {
			return c.out.fail(exitUsage, err)
		}
	}
	pc, err := postgresConfig(c.cfg, *c.beside.node)
	if err != nil {
		return c.out.fail(exitUsage, err)
	}
	sc.Open = func() (agent.Local, error) {
		s, err := postgresServer(pc)
		return s.local(), err
	}
	s, err := agent.NewServer(sc)
	if err != nil {
		return c.out.fail(exitFailed, err)
	}
	at := c.listen
	if at == "" {
		at = u.Host
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return c.out.fail(exitFailed, errors.Join(err, s.Close()))
	}
	c.out.progress("the agent of %s of %s listens at %s://%s", sc.Node, sc.Cluster, u.Scheme, ln.Addr())
	err = s.Serve(ctx, ln, time.Duration(c.cfg.Agents.Stop))
	switch {
	case err != nil && ctx.Err() == nil:
		return c.out.fail(exitFailed, err)
	case err != nil:
		return c.out.fail(exitIncomplete, err)
	}
	return c.out.print(document{text: fmt.Sprintf("the agent of %s has ended; no call was broken off", sc.Node)})
}

// local is the server as its agent serves it.
func (s server) local() agent.Local {
	return agent.Local{
		Node: s.node, Doctor: s.doctor, Setup: s.setup, Close: s.close, Unset: s.doctor == nil,
		Pulse: func(ctx context.Context) (agent.Pulse, error) {
			p, err := s.pulse(ctx)
			return agent.Pulse{Up: p.up, Beat: p.beat, Silence: p.silence}, err
		},
	}
}
