package reparenttest

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// Promise implements revoke.Promiser.
func (n *store) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	got, err := n.promise(ctx, t)
	if err == nil {
		n.stopped()
		n.close(ctx, t)
		err = n.admin(ctx)
	}
	got.LeaseLeft = n.leaseLeft()
	return got, err
}

func (n *store) promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if got, err, wrong := n.promiseWrong(ctx, t); wrong {
		return got, err
	}
	if n.SlowRead {
		return n.acc.Recruit(ctx, t, nil)
	}
	return n.acc.Recruit(ctx, t, n.quietReading)
}

// quietReading waits for the writer that had the log before the gate was shut.
func (n *store) quietReading(ctx context.Context) (acceptor.Reading, error) {
	give, err := n.take(ctx)
	if err != nil {
		return acceptor.Reading{}, err
	}
	defer give()
	return n.reading(ctx)
}

// slowReader is a store whose position takes time to read.
type slowReader struct{ *store }

// Read implements revoke.Reader.
func (n slowReader) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if err := n.h.Sleep(ctx, 7*time.Millisecond); err != nil { // the relay log is being applied
		return leadership.Testimony{}, err
	}
	got, err := n.acc.Read(ctx, t, n.quietReading)
	got.LeaseLeft = n.leaseLeft()
	return got, err
}

// StepDown implements revoke.StepDowner.
func (n *store) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.stepping.Store(true)
	got, err := n.acc.StepDown(ctx, t, n.quietReading)
	n.stepping.Store(false)
	if err == nil {
		n.close(ctx, t)
	}
	got.LeaseLeft = n.leaseLeft()
	if err == nil && n.Restarts && n.life.Err() == nil {
		n.stopping.Store(true)
		n.h.Reboot()
	}
	return got, err
}
