package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// setUp is what became of one node.
type setUp struct {
	Node leadership.NodeID `json:"node"`
	// Did is "made", "was there" or, with -dry-run, "would be made".
	Did   string `json:"did,omitempty"`
	Error string `json:"error,omitempty"`
}

// setup makes the records in which nodes keep their promises. It stops at nothing:
// each node is one of its own.
func setup(ctx context.Context, c *call) int {
	want := leadership.NodeID(c.args[0])
	if want != "all" && !slices.Contains(c.cfg.IDs(), want) {
		return c.out.fail(exitUsage, &usageError{fmt.Sprintf("there is no node %q in %s", want, c.path)})
	}
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitNotStarted, err)
	}
	d := document{DryRun: c.dry}
	var lines []string
	for _, s := range cl.servers {
		if want != "all" && want != s.node.ID {
			continue
		}
		u := s.setUp(ctx, c.dry)
		d.Setup = append(d.Setup, u)
		lines = append(lines, fmt.Sprintf("%s: %s%s", u.Node, u.Did, u.Error))
		if u.Error != "" {
			d.Exit = exitIncomplete
		}
	}
	if err := cl.close(); err != nil {
		c.out.errorf("failover: closing: %v", err)
	}
	if !c.dry {
		d.Outcome = reparent.Done
		if d.Exit != exitOK {
			d.Outcome = reparent.Incomplete
		}
	}
	d.text = strings.Join(lines, "\n")
	return c.out.print(d)
}

func (s server) setUp(ctx context.Context, dry bool) setUp {
	u := setUp{Node: s.node.ID, Did: "was there"}
	_, err := s.node.Status.Status(ctx)
	var none *agent.NotSetUpError
	var noRecord *mariadbnode.NotSetUpError
	switch {
	case err == nil:
		return u
	case !errors.As(err, &none) && !errors.As(err, &noRecord):
		return setUp{Node: s.node.ID, Error: oneText(err)}
	case dry:
		u.Did = "would be made"
		return u
	}
	err = s.setup(ctx)
	var there *acceptor.ExistsError
	switch {
	case errors.As(err, &there):
		return u
	case err != nil:
		return setUp{Node: s.node.ID, Error: oneText(err)}
	}
	u.Did = "made"
	return u
}
