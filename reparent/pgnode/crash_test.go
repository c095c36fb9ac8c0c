package pgnode_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// coordinatorVar makes a coordinator of this binary, with the nodes in its own
// process, and with them everything that acts on the servers.
const coordinatorVar = "PGNODE_COORDINATOR"

type coordinatorSpec struct {
	Registry, Barrier string
	Nodes             []nodeSpec
	To                leadership.NodeID
	// Die is the step before which the process ends, as by SIGKILL.
	Die reparent.Step
}

type nodeSpec struct {
	ID                    leadership.NodeID
	Conn, Addr, Data, Dir string
	Log                   string
	Peers                 map[leadership.NodeID]pgnode.Peer
}

func coordinate(text string) error {
	var spec coordinatorSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	reg, err := leadership.OpenFileRegistry(spec.Registry)
	if err != nil {
		return err
	}
	barrier, err := leadership.OpenFileBarrier(spec.Barrier)
	if err != nil {
		return err
	}
	var nodes []reparent.Node
	for _, n := range spec.Nodes {
		node, err := pgnode.New(pgnode.Config{
			ID: n.ID, Conn: n.Conn, Addr: n.Addr, Data: n.Data, Dir: n.Dir, Peers: n.Peers,
			Controller: pgnode.PgCtl{Data: n.Data, Log: n.Log}, AdmitMethod: "trust",
		})
		if err != nil {
			return err
		}
		nodes = append(nodes, node.Reparent())
	}
	g, err := reparent.New("orders", reg, nodes, reparent.Config{
		By: "child", Barrier: barrier,
		Hooks: reparent.Hooks{Before: func(_ context.Context, e reparent.Event) error {
			if e.Step == spec.Die {
				os.Exit(99) // no defer runs, nothing is undone
			}
			return nil
		}},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	rep, err := g.Run(ctx, reparent.Planned(spec.To))
	fmt.Println(rep)
	return err
}

// child returns a coordinator in another process, not started.
func (c *cluster) child(to leadership.NodeID, die reparent.Step) *exec.Cmd {
	c.t.Helper()
	spec := coordinatorSpec{Registry: filepath.Join(c.dir, "registry"), Barrier: filepath.Join(c.dir, "barrier"), To: to, Die: die}
	for _, id := range c.ids {
		cfg := c.configs[id]
		spec.Nodes = append(spec.Nodes, nodeSpec{ID: id, Conn: cfg.Conn, Addr: cfg.Addr, Data: cfg.Data, Dir: cfg.Dir, Log: c.servers[id].Log(), Peers: cfg.Peers})
	}
	b, err := json.Marshal(spec)
	require.NoError(c.t, err)
	exe, err := os.Executable()
	require.NoError(c.t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), coordinatorVar+"="+string(b))
	return cmd
}

func TestG5_ACoordinatorThatDiesAtAnyStepLeavesNothingThatResumeCannotMend(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	l := c.write(1, 8)
	steps := []reparent.Step{
		reparent.StepPrepare, reparent.StepHold, reparent.StepRevoke, reparent.StepPropose,
		reparent.StepInstall, reparent.StepActivate, reparent.StepGrant, reparent.StepRoute, reparent.StepSettle,
	}
	lead := leadership.NodeID("n1")
	for _, step := range steps {
		c.flows(l, 10)
		out, err := c.child(others(c, lead)[0], step).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		require.Equal(t, 99, exit.ExitCode(), "%s", out)
		lead = c.resume()
		c.sweepAll()
	}
	// And at no step in particular.
	for range 3 {
		c.flows(l, 10)
		cmd := c.child(others(c, lead)[0], "")
		require.NoError(t, cmd.Start())
		time.AfterFunc(time.Duration(rand.Int64N(int64(time.Second))), func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		lead = c.resume()
		c.sweepAll()
	}
	c.flows(l, 20)
	c.sweepAll()
	c.verdict(l, lead, others(c, lead)...)
}

// resume lets another coordinator finish or undo what one left, and returns who
// leads.
func (c *cluster) resume() leadership.NodeID {
	c.t.Helper()
	for range 5 {
		ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
		rep, err := c.guard().Run(ctx, forced(reparent.Resume()))
		cancel()
		c.t.Log(strings.SplitN(rep.String(), "\n", 2)[0])
		if err == nil {
			return rep.To
		}
	}
	c.t.Fatal("nobody leads")
	return ""
}
