package mha

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/examples/compare/internal/child"
)

// command prepares one of MHA's programs, with our ssh in its PATH.
func (k *Cluster) command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, err
	}
	cmd, err := k.servers[0].Command(ctx, path, append(args, "--conf="+filepath.Join(k.dir, "app.cnf"))...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Environ(), "PATH="+filepath.Join(k.dir, "bin")+":"+os.Getenv("PATH"), "HOME="+k.dir, "PERL5LIB="+filepath.Join(k.dir, "lib"))
	return cmd, nil
}

// Switch hands the leadership from one server to the next.
func (k *Cluster) Switch(ctx context.Context) error {
	lead, err := k.Leader(ctx)
	if err != nil {
		return err
	}
	at, err := k.index(lead)
	if err != nil {
		return err
	}
	to := k.servers[(at+1)%len(k.servers)]
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	cmd, err := k.command(ctx, switcher, "--master_state=alive", "--interactive=0", "--orig_master_is_new_slave",
		"--new_master_host=127.0.0.1", "--new_master_port="+strconv.Itoa(to.Port()), "--running_updates_limit=10000")
	if err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("mha: %w\n%s", err, out[max(0, len(out)-3000):])
	}
	return nil
}

// Watch starts the manager, and returns when it watches the leader.
func (k *Cluster) Watch(ctx context.Context) error {
	if err := k.EndWatch(); err != nil {
		return err
	}
	cmd, err := k.command(context.WithoutCancel(ctx), manager, "--ignore_last_failover")
	if err != nil {
		return err
	}
	k.starts++
	log := filepath.Join(k.servers[0].Dir(), fmt.Sprintf("manager-%d.log", k.starts))
	if k.manager, err = child.Start(cmd, log); err != nil {
		return err
	}
	var ended error
	err = k.poll(ctx, "the manager", func(context.Context) bool {
		select {
		case <-k.manager.Done():
			ended = fmt.Errorf("mha: the manager has ended: %s", k.manager.Tail())
			return true
		default:
		}
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "waiting until MySQL doesn't respond")
	})
	return errors.Join(err, ended)
}

// EndWatch ends the manager.
func (k *Cluster) EndWatch() error {
	if k.manager == nil {
		return nil
	}
	err := k.manager.Kill()
	k.manager = nil
	return err
}

// Kill ends a server with SIGKILL.
func (k *Cluster) Kill(name string) error {
	i, err := k.index(name)
	if err != nil {
		return err
	}
	return k.servers[i].Kill()
}

// Freeze stops a server with SIGSTOP, and Thaw lets it go on.
func (k *Cluster) Freeze(name string) error {
	i, err := k.index(name)
	if err != nil {
		return err
	}
	return k.servers[i].Freeze()
}

// Thaw lets a server go on.
func (k *Cluster) Thaw(name string) error {
	i, err := k.index(name)
	if err != nil {
		return err
	}
	return k.servers[i].Thaw()
}

// Rejoin kills a server that led, starts it as a replica, which takes out what nobody
// acknowledged, and makes it follow. MHA leaves that to people.
func (k *Cluster) Rejoin(ctx context.Context, name string) error {
	i, err := k.index(name)
	if err != nil {
		return err
	}
	if err := k.servers[i].Kill(); err != nil {
		return err
	}
	lead, err := k.Leader(ctx, name)
	if err != nil {
		return err
	}
	at, err := k.index(lead)
	if err != nil {
		return err
	}
	if err := k.servers[i].Start(ctx); err != nil {
		return err
	}
	if err := k.follow(ctx, i, at, ", MASTER_DEMOTE_TO_SLAVE=1"); err != nil {
		return err
	}
	return k.Settled(ctx)
}

// Close ends everything.
func (k *Cluster) Close() error {
	errs := []error{k.EndWatch()}
	for _, db := range k.dbs {
		errs = append(errs, db.Close())
	}
	for _, s := range k.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
