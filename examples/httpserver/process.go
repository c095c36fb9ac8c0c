package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/examples/internal/loadtest"
	"github.com/tenure-go/tenure/leadership"
)

// process is a backend as its parent sees it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer
}

// deployment is the two backends of one phase. One goroutine uses it.
type deployment struct {
	exe, dir, store string
	plain           bool
	addrs           map[leadership.NodeID]string
	versions        map[leadership.NodeID]int
	running         map[leadership.NodeID]*process
}

func newDeployment(dir string, plain bool) (*deployment, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &deployment{
		exe: exe, dir: dir, store: filepath.Join(dir, "orders"), plain: plain,
		addrs:    map[leadership.NodeID]string{},
		versions: map[leadership.NodeID]int{},
		running:  map[leadership.NodeID]*process{},
	}
	for _, id := range ids {
		if err := os.MkdirAll(filepath.Join(dir, string(id)), 0o700); err != nil {
			return nil, err
		}
		if d.addrs[id], err = loadtest.FreeAddr(d.addrs); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// start starts the next version of a backend and returns when it is up.
func (d *deployment) start(id leadership.NodeID) error {
	d.versions[id]++
	p := &process{cmd: exec.Command(d.exe, "-id", string(id), "-addr", d.addrs[id], "-peer", d.addrs[other(id)],
		"-dir", filepath.Join(d.dir, string(id)), "-store", d.store, fmt.Sprintf("-plain=%t", d.plain),
		fmt.Sprintf("-create=%t", d.versions[id] == 1), // the first start of it, and no other
		"-version", "v"+strconv.Itoa(d.versions[id]))}
	p.cmd.Env = append(os.Environ(), backendVar+"=1")
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return errors.Join(fmt.Errorf("backend %s did not start", id), p.end(), errors.New(p.stderr.String()))
	}
	d.running[id] = p
	return nil
}

// stop stops a backend in good order and returns when its process is gone.
func (d *deployment) stop(id leadership.NodeID) error {
	p := d.running[id]
	if p == nil {
		return nil
	}
	delete(d.running, id)
	if err := p.end(); err != nil {
		return fmt.Errorf("backend %s: %w: %s", id, err, p.stderr.String())
	}
	return nil
}

func (p *process) end() error {
	_ = p.stdin.Close()
	t := time.AfterFunc(2*stopBound, func() { _ = p.cmd.Process.Kill() })
	defer t.Stop()
	return p.cmd.Wait()
}

func (d *deployment) stopAll() error {
	var err error
	for _, id := range ids {
		err = errors.Join(err, d.stop(id))
	}
	return err
}

// ids are the backends.
var ids = []leadership.NodeID{"n1", "n2"}

func other(id leadership.NodeID) leadership.NodeID {
	if id == ids[0] {
		return ids[1]
	}
	return ids[0]
}
