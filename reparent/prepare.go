package reparent

import (
	"context"
	"sync"
)

// ready lets every node do what need not be done while clients wait.
func (a *attempt) ready(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Status)
	defer cancel()
	errs := make([]error, len(a.g.ids))
	var wg sync.WaitGroup
	for i, id := range a.g.ids {
		if p := a.g.nodes[id].Prepare; p != nil {
			wg.Go(func() { errs[i] = p.Prepare(ctx, a.term) })
		}
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			a.rep.note("%s was not made ready: the change may take longer (%v)", a.g.ids[i], err)
		}
	}
}
