package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
)

func obeysLate() Harness {
	h := LogStore()
	h.obeysLate = true
	return h
}

func anySource() Harness {
	tr := mariadbTraits()
	tr.bugs.anySource = true
	return Store(tr)
}

func hastyInstall() Harness {
	tr := postgresTraits()
	tr.bugs.hastyInstall = true
	return Store(tr)
}

// floored is a store that says in its status that it is below its floor for as
// long as there is one.
func floored() Harness {
	h := LogStore()
	boot := h.Boot
	h.Boot = func(host *Host) (Node, error) {
		n, err := boot(host)
		n.Status = floorKeeper{n.Client.(*store)}
		return n, err
	}
	return h
}

type floorKeeper struct{ *store }

func (f floorKeeper) Status(ctx context.Context) (leadership.Status, error) {
	s, err := f.store.Status(ctx)
	s.BelowFloor = err == nil && !f.acc.Status().Floor.IsZero()
	return s, err
}

// promisesFirst is a store that reports the term it promised as that of its
// log.
func promisesFirst() Harness {
	h := LogStore()
	boot := h.Boot
	h.Boot = func(host *Host) (Node, error) {
		n, err := boot(host)
		n.Promise = overstating{n.Client.(*store)}
		return n, err
	}
	return h
}

type overstating struct{ *store }

func (o overstating) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	prior := o.acc.Status().Promised
	got, err := o.store.Promise(ctx, t)
	if got.Read != nil && got.Read.Term.Less(prior) {
		read := *got.Read
		read.Term = prior
		got.Read = &read
	}
	return got, err
}
