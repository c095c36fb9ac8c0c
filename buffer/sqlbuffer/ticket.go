package sqlbuffer

import (
	"context"

	"github.com/tenure-go/tenure/buffer"
)

// ticket is a turn in the lane. One that is kept belongs to InTx, which ends
// it.
type ticket struct {
	buffer.Turn
	used  bool // while it is the spare one and somebody's
	kept  bool
	ended chan struct{} // closed when the transaction has ended; made by BeginTx

	// Of the transaction, to be read once ended is closed.
	sent    bool  // its COMMIT was sent, and not refused
	verdict error // how it ended, nil when it was committed or rolled back
}

func (t *ticket) done(err error) {
	t.used = false
	if !t.kept {
		t.Done(err)
	}
}

type ticketKey struct{}

func (c *Conn) enter(ctx context.Context, unit bool) (*ticket, error) {
	switch {
	case c.c == nil:
		return nil, &ConfigError{"Conn", "was not made by a Connector"}
	case ctx == nil:
		return nil, errNoContext
	}
	if t, ok := ctx.Value(ticketKey{}).(*ticket); ok && unit {
		return t, nil
	}
	t := &c.spare
	if unit || t.used {
		t = &ticket{}
	}
	var err error
	if t.Turn, err = c.c.enter(ctx, unit); err != nil {
		return nil, err
	}
	t.used = true
	return t, nil
}
