package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/tenure-go/tenure/examples/internal/loadtest"
	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

const (
	clusterName = "quickstart"
	// orderly is how long members may take to stop by themselves.
	orderly = 3 * time.Second
	// startBound is how long a member may take to answer.
	startBound = 10 * time.Second
)

// cluster is the members, each a process, and the directory of their files.
// All but member is fixed; the script's goroutine alone starts and ends
// processes.
type cluster struct {
	exe      string
	dir      string
	made     []string // what to remove at the end, in this order
	registry string
	ids      []leadership.NodeID
	peers    map[leadership.NodeID]string
	rules    leadership.Ruleset
	remote   map[leadership.NodeID]*kv.Remote
	http     *http.Client
	members  map[leadership.NodeID]*member
	// coordinators are all that were started, whatever became of them.
	coordinators []*coordinator
}

// member is one process of a member. It ended when done is closed.
type member struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *os.File
	done  chan struct{}
}

func newCluster(o options) (c *cluster, err error) {
	c = &cluster{
		peers: map[leadership.NodeID]string{}, remote: map[leadership.NodeID]*kv.Remote{},
		members: map[leadership.NodeID]*member{}, rules: o.rules, ids: o.rules.IDs(), http: kv.NewHTTPClient(),
	}
	if c.exe, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, id := range c.ids {
		addr, err := loadtest.FreeAddr(c.peers)
		if err != nil {
			return nil, err
		}
		c.peers[id] = addr
		c.remote[id] = kv.NewRemote(id, addr, c.http)
	}
	c.dir = o.dir
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "tenure-quickstart-"); err != nil {
			return nil, err
		}
		c.made = []string{c.dir}
	} else {
		_, err := os.Stat(c.dir)
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return nil, err
		}
		if errors.Is(err, os.ErrNotExist) {
			c.made = []string{c.dir}
		}
		for _, id := range c.ids {
			c.made = append(c.made, filepath.Join(c.dir, string(id)), c.logFile(id))
		}
		c.made = append(c.made, filepath.Join(c.dir, "registry"), filepath.Join(c.dir, "registry.lock"))
	}
	if o.keep {
		c.made = nil
	}
	c.registry = filepath.Join(c.dir, "registry")
	return c, nil
}

func (c *cluster) logFile(id leadership.NodeID) string {
	return filepath.Join(c.dir, string(id)+".log")
}

func (c *cluster) startAll(ctx context.Context) error {
	for _, id := range c.ids {
		if err := c.launch(ctx, id, true); err != nil {
			return err
		}
	}
	for _, id := range c.ids {
		if err := c.answers(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// restart starts a member again that was killed.
func (c *cluster) restart(ctx context.Context, id leadership.NodeID) error {
	if err := c.launch(ctx, id, false); err != nil {
		return err
	}
	return c.answers(ctx, id)
}

func (c *cluster) launch(ctx context.Context, id leadership.NodeID, create bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	args := []string{
		"-id", string(id), "-dir", filepath.Join(c.dir, string(id)), "-peers", kv.FormatPeers(c.peers),
		"-tied", "-request-timeout", (2 * attemptTimeout).String(), fmt.Sprintf("-create=%t", create),
	}
	m := &member{cmd: exec.Command(c.exe, args...), done: make(chan struct{})}
	m.cmd.Env = append(os.Environ(), roleVar+"="+roleMember)
	tie(m.cmd)
	var err error
	if m.log, err = os.OpenFile(c.logFile(id), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	m.cmd.Stderr = m.log
	// Open until this process ends, so that the member ends with it.
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return errors.Join(err, m.log.Close())
	}
	if err := m.cmd.Start(); err != nil {
		return errors.Join(err, m.log.Close())
	}
	c.members[id] = m
	// This goroutine ends with the process, which kill and end wait for.
	go func() {
		_ = m.cmd.Wait()
		_ = m.log.Close()
		close(m.done)
	}()
	return nil
}

// answers waits until the member does.
func (c *cluster) answers(ctx context.Context, id leadership.NodeID) error {
	m := c.members[id]
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		_, err := c.remote[id].Status(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-m.done:
			delete(c.members, id)
			b, _ := os.ReadFile(c.logFile(id))
			return fmt.Errorf("member %s has ended: %s", id, tail(b, 400))
		case <-ctx.Done():
			return fmt.Errorf("member %s does not answer: %w", id, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// kill is kill -9.
func (c *cluster) kill(id leadership.NodeID) {
	m := c.members[id]
	if m == nil {
		return
	}
	delete(c.members, id)
	_ = m.cmd.Process.Kill()
	<-m.done
}

// end ends all members and removes their files: in good order, or at once when
// ctx has ended.
func (c *cluster) end(ctx context.Context) error {
	for _, k := range c.coordinators {
		k.kill()
	}
	ctx, cancel := context.WithTimeout(ctx, orderly)
	defer cancel()
	var wg sync.WaitGroup
	for id, m := range c.members {
		_ = resume(m.cmd.Process)
		_ = m.stdin.Close()
		wg.Go(func() {
			select {
			case <-m.done:
			case <-ctx.Done():
				_ = m.cmd.Process.Kill()
				<-m.done
			}
		})
		delete(c.members, id)
	}
	wg.Wait()
	c.http.CloseIdleConnections()
	var err error
	for _, path := range c.made {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// level waits until every member holds the same log.
func (c *cluster) level(ctx context.Context, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		var first, seen string
		same := true
		for _, id := range c.ids {
			st, err := c.remote[id].Status(ctx)
			pos := st.Position.String()
			if err != nil {
				pos = err.Error()
			}
			if first == "" {
				first = pos
			}
			same = same && err == nil && pos == first
			seen += fmt.Sprintf(" %s: %s;", id, pos)
		}
		if same {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the members did not come level:%s", seen)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
