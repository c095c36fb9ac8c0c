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
		return n.recruit(ctx, t, nil)
	}
	return n.recruit(ctx, t, n.quietReading)
}

func (n *store) recruit(ctx context.Context, t leadership.Term, read acceptor.ReadFunc) (got leadership.Testimony, err error) {
	err = n.decides(ctx, func(next func()) (err error) {
		got, err = n.acc.Recruit(ctx, t, after(next, read))
		return err
	})
	return got, err
}

// after is read, when next was called.
func after(next func(), read acceptor.ReadFunc) acceptor.ReadFunc {
	if read == nil {
		return nil
	}
	return func(ctx context.Context) (acceptor.Reading, error) {
		next()
		return read(ctx)
	}
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
	// A copy of the message may have slept as long, to the same instant.
	if err := n.h.proc.Yield(ctx, "applied"); err != nil {
		return leadership.Testimony{}, err
	}
	got, err := n.acc.Read(ctx, t, n.quietReading)
	got.LeaseLeft = n.leaseLeft()
	return got, err
}

// StepDown implements revoke.StepDowner.
func (n *store) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.stepping.Store(true)
	var got leadership.Testimony
	err := n.decides(ctx, func(next func()) (err error) {
		got, err = n.acc.StepDown(ctx, t, after(next, n.quietReading))
		return err
	})
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
