package buffer

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

const (
	followMin = 10 * time.Millisecond
	followMax = time.Second
	// followAsk bounds one Wait, so that a registry client that lost its
	// watch without noticing is asked again. Records are levels: asking twice
	// is harmless.
	followAsk = 10 * time.Second
)

// Follow feeds the lanes with the records of reg, from the newest on, until
// ctx ends, and returns context.Cause(ctx) then. It runs in the caller's
// goroutine and starts none. All lanes given follow the same cluster; a lane
// should be fed by one Follow.
//
// While the registry does not answer, Follow asks again with back-off from
// 10ms to 1s, and tells Hooks.Registry. Serving lanes then keep their target,
// and holding lanes go on probing it, and what refusals above the served term
// hint at, until something answers or their caps end the hold.
//
// It returns a *ConfigError when ctx or reg is nil or no lane of this buffer is
// given, and an error wrapping leadership.ErrClosed when reg is closed for
// good.
func (b *Buffer) Follow(ctx context.Context, reg leadership.Registry, lanes ...*Lane) error {
	switch {
	case ctx == nil:
		return errNoContext
	case reg == nil:
		return &ConfigError{"registry", "is nil"}
	}
	if err := b.ours(lanes); err != nil {
		return err
	}
	var after uint64
	pause, down := followMin, false
	tell := func(err error) {
		if h := b.cfg.Hooks.Registry; h != nil {
			h(err)
		}
	}
	for {
		ask, cancel := context.WithTimeout(ctx, followAsk)
		rec, err := reg.Wait(ask, after)
		quiet := err != nil && errors.Is(ask.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case quiet:
			continue
		case err == nil && rec.Version > after:
			if down {
				down = false
				tell(nil)
			}
			pause, after = followMin, rec.Version
			for _, l := range lanes {
				l.Observe(rec)
			}
			continue
		case errors.Is(err, leadership.ErrClosed):
			return err
		case err != nil && !down:
			down = true
			tell(err)
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
		pause = min(2*pause, followMax)
	}
}

// ours returns nil for lanes of this buffer, at least one.
func (b *Buffer) ours(lanes []*Lane) error {
	if len(lanes) == 0 {
		return &ConfigError{"lanes", "is empty: name the lanes that this registry leads"}
	}
	for _, l := range lanes {
		if l == nil || l.b != b {
			return &ConfigError{"lanes", "has a lane of no or another buffer"}
		}
	}
	return nil
}
