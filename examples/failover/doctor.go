package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// doctor reads the servers' configuration, and that of the tool. It is exitOK only
// when everything could be read and nothing can be lost.
func doctor(ctx context.Context, c *call) int {
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitFailed, err)
	}
	findings := cl.examine(ctx)
	if err := cl.close(); err != nil {
		return c.out.fail(exitFailed, err)
	}
	if ctx.Err() != nil {
		return c.out.fail(exitInterrupt, context.Cause(ctx))
	}
	d := document{Findings: findings, text: prescription(findings)}
	for _, f := range findings {
		if f.Severity.Rank() <= reparent.SeverityUnknown.Rank() {
			d.Exit = exitAttention
		}
	}
	return c.out.print(d)
}

// examine asks every server's doctor, and returns what they found, the gravest first.
func (cl *cluster) examine(ctx context.Context) []reparent.Finding {
	found := make([][]reparent.Finding, len(cl.servers)+1)
	var wg sync.WaitGroup
	for i, s := range cl.servers {
		if s.doctor == nil {
			found[i] = []reparent.Finding{{
				Node: s.node.ID, Severity: reparent.SeverityUnknown, Subject: "the server",
				Risk: "there is no doctor for it, so nothing is known", Remedy: "set the node up first",
			}}
			continue
		}
		wg.Go(func() {
			fs, err := s.doctor(ctx)
			if err == nil && cl.cfg.Watch.Enabled && s.pulse != nil {
				var p pulse
				if p, err = s.pulse(ctx); err == nil {
					fs = append(fs, silent(s.node.ID, p.silence, time.Duration(cl.cfg.Watch.DeadAfter))...)
				}
			}
			if err != nil {
				fs = append(fs, reparent.Finding{
					Node: s.node.ID, Severity: reparent.SeverityUnknown, Subject: "the server",
					Risk: "it could not be examined: " + oneText(err), Remedy: "make it reachable, and run the doctor again",
				})
			}
			found[i] = fs
		})
	}
	wg.Wait()
	found[len(cl.servers)] = own(cl.cfg)
	all := slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b reparent.Finding) int { return a.Severity.Rank() - b.Severity.Rank() })
	return all
}

// silent compares how long a replica may hear nothing from a leader that is well with
// how long the watchers wait before they take that for a sign of death.
func silent(id leadership.NodeID, silence, dead time.Duration) []reparent.Finding {
	if silence == 0 || silence < dead {
		return nil
	}
	long := silence.String()
	if silence == forever {
		long = "any time"
	}
	return []reparent.Finding{{
		Node: id, Severity: reparent.SeverityOutage, Subject: fmt.Sprintf("watch.dead_after = %s", dead),
		Risk: "a leader that has nothing to write may be silent to this replica for " + long +
			", and then counts as one that hangs: an observer's broken path to it is enough to have it replaced",
		Remedy: fmt.Sprintf("have it hear something more often (PostgreSQL: wal_receiver_timeout below %s, which pings after half of it; MariaDB: replication.heartbeat), or raise dead_after", 2*dead),
	}}
}

// own examines the tool's configuration.
func own(cfg *config.Config) []reparent.Finding {
	var fs []reparent.Finding
	add := func(s reparent.Severity, subject, risk, remedy string) {
		fs = append(fs, reparent.Finding{Severity: s, Subject: subject, Risk: risk, Remedy: remedy})
	}
	if cfg.Barrier == (config.Barrier{}) {
		add(reparent.SeverityAdvice, "barrier: none",
			"a planned change does not wait for routers, and a database cannot refuse what it has begun: requests in flight may end with an unknown outcome",
			"have the applications join a barrier (buffer.Buffer.Join) and name it here")
	}
	if cfg.Watch.Enabled && cfg.Watch.Observers == 1 {
		add(reparent.SeverityAdvice, "watch.observers = 1",
			"one host's view decides, with that of the replicas, whether the leader is replaced",
			"run watch on three hosts, with the registry in etcd, and set observers to 3")
	}
	if cfg.Watch.Observers > 1 && cfg.Registry.File != "" {
		add(reparent.SeverityOutage, fmt.Sprintf("watch.observers = %d with a registry in a file", cfg.Watch.Observers),
			"all of them run on one machine, see what it sees, and are gone when it is",
			"put the registry into etcd")
	}
	fs = append(fs, survivable(cfg)...)
	return fs
}

// survivable looks whether the cluster can lose a node, by the policy that it was
// configured to begin with.
func survivable(cfg *config.Config) []reparent.Finding {
	if cfg.Policy == "" {
		return nil
	}
	rs, err := cfg.Ruleset()
	if err != nil {
		return nil // the configuration was checked
	}
	rules, err := rs.Compile(nil)
	if err != nil {
		return []reparent.Finding{{Severity: reparent.SeverityOutage, Subject: "policy = " + cfg.Policy, Risk: err.Error(), Remedy: "choose another policy"}}
	}
	var fs []reparent.Finding
	for l := range rules.Leaders().All() {
		id := rules.Cohort().Node(l).ID
		if rules.Durable(l, leadership.SetOf(l)) {
			fs = append(fs, reparent.Finding{
				Node: id, Severity: reparent.SeverityLoss, Subject: "policy = " + cfg.Policy,
				Risk:   "it completes writes alone: when it is lost, so are they, and without it nobody can lead",
				Remedy: "choose a policy by which a write is on two nodes, such as at-least(2)",
			})
		}
		if _, ok := rules.Could(rules.Leaders().Without(l), rules.Members().Without(l)); !ok {
			fs = append(fs, reparent.Finding{
				Node: id, Severity: reparent.SeverityOutage, Subject: "policy = " + cfg.Policy,
				Risk: "without it nobody else can complete a write", Remedy: "add a node, or choose a policy that does without any one of them",
			})
		}
	}
	return fs
}

// prescription is what was found, for a person.
func prescription(fs []reparent.Finding) string {
	if len(fs) == 0 {
		return "nothing was found that could lose data or keep the leader from being changed\n"
	}
	var b strings.Builder
	for _, f := range fs {
		who := string(f.Node)
		if who == "" {
			who = "configuration"
		}
		fmt.Fprintf(&b, "%s  %s: %s\n    risk    %s\n    remedy  %s\n", f.Severity, who, f.Subject, f.Risk, f.Remedy)
	}
	return b.String()
}
