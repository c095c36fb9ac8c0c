package kv

import (
	"context"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
)

// Logged is one place of a member's log.
type Logged struct {
	Index uint64
	Term  leadership.Term
	// Marker is set for the first entry of a leadership; the rest is zero
	// then.
	Marker bool
	Client string
	Write  Write
}

// Log returns the member's log as it is while it is read, complete or not: it
// is for checks of a cluster at rest, whose members must all return the same.
func (r *Remote) Log(ctx context.Context) ([]Logged, error) {
	var out []Logged
	var have leadership.LogPoint
	var term leadership.Term
	for {
		pos := leadership.Position{Term: term}
		if have.Index > 0 {
			pos.Point = have
		}
		got, err := (&Node{http: r.http}).pull(ctx, r.id, r.addr, pos)
		if err != nil || len(got.entries) == 0 {
			return out, err
		}
		if got.prev.Index != have.Index {
			return out, errMessage // it was changed while it was read
		}
		for _, e := range got.entries {
			l := Logged{Index: e.Index, Term: e.Term, Marker: e.Kind == replog.Mark}
			if !l.Marker {
				c, err := decodeCommand(e.Data)
				if err != nil {
					return out, err
				}
				l.Client, l.Write = c.client, Write{Key: c.key, Value: c.value, Delete: c.op == opDelete, Seq: c.seq}
			}
			if e.Term != term {
				term = e.Term
				have.Eras = append(have.Eras, leadership.Era{Term: term, First: e.Index})
			}
			have.Index = e.Index
			out = append(out, l)
		}
	}
}
