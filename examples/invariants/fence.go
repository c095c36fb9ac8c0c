package main

import (
	"context"
	"sync"

	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// fence is where a server remembers up to which term it is fenced.
type fence struct {
	host *reparenttest.Host
	disk *any // the configuration file: survives a crash
	lazy bool // the mistake

	mu      sync.Mutex // guards setting
	setting *acceptor.State
}

// Load is called when the server starts: only the file is still there.
func (f *fence) Load(context.Context) (acceptor.State, bool, error) {
	st, ok := (*f.disk).(acceptor.State)
	return st, ok, nil
}

// Save is called before the server answers that it is fenced.
func (f *fence) Save(ctx context.Context, st acceptor.State) error {
	if !f.lazy {
		return f.write(ctx, st)
	}
	f.mu.Lock()
	f.setting = &st // SET GLOBAL ...
	f.mu.Unlock()
	f.host.Go(func(ctx context.Context) { _ = f.write(ctx, st) }) // and soon in the file
	return nil
}

// write returns when the file is on disk. Whatever a server does goes through
// its host, so that the simulation can interrupt it at any point.
func (f *fence) write(ctx context.Context, st acceptor.State) error {
	return f.host.Write(ctx, "fence "+st.Promised.String(), func() { *f.disk = st })
}

// harness is what is tested: servers with such a fence, and changes of leader
// that revoke by fencing.
func harness(lazy bool) reparenttest.Harness {
	h := reparenttest.Store(reparenttest.Traits{
		Promises: func(host *reparenttest.Host, disk *any) acceptor.Store {
			return &fence{host: host, disk: disk, lazy: lazy}
		},
	})
	h.Name = "fenced servers"
	h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) {
		fences, err := revoke.NewFence(p.Promisers(), revoke.Options{})
		if err != nil {
			return nil, err
		}
		// The leader is asked as well: a fence needs enough of the others, and
		// sometimes there are not enough.
		step, err := revoke.NewStepDown(p.StepDowners())
		if err != nil {
			return nil, err
		}
		return revoke.Together(fences, step)
	}
	return h
}
