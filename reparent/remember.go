package reparent

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// asking is called before the registry is asked, and returns what remember has to
// know of that moment.
func (g *Guard) asking() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reads
}

// remember keeps the record read last, for an emergency without a registry. Its
// version does not tell which that is: those of a registry that was made anew, or
// restored from a copy, begin lower. What was asked for after another answer was
// heard is the later of the two. Of two that were asked for at once the later is the
// one of the newer leadership, whose term is above all before it, whichever registry
// shows it.
func (g *Guard) remember(r leadership.Record, asked uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads++
	if r.Version == 0 {
		return // what was known is still the best
	}
	if asked < g.lastRead {
		if c := r.Active.Term.Compare(g.last.Active.Term); c < 0 || c == 0 && r.Version < g.last.Version {
			return
		}
	}
	g.last, g.lastRead = r, g.reads
}

// owns returns a *ConfigError for a record of another cluster: whose members, leader
// and routes it has is nothing to read here, and nothing to write over.
func (g *Guard) owns(r leadership.Record) error {
	if r.Version == 0 || r.Cluster == g.cluster {
		return nil
	}
	return &ConfigError{"cluster", fmt.Sprintf("the registry holds %q, not %q", r.Cluster, g.cluster)}
}
