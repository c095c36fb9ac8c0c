package report

import (
	"log/slog"
	"time"
)

// Options is how much to measure. Each group is a function of it that returns its
// rows: func(context.Context, Options) ([]Row, error).
type Options struct {
	// Quick asks for a run that only shows that every row can still be measured:
	// all groups together within twenty seconds. Its figures are not worth quoting.
	Quick bool
	// Rounds is how often each row is measured, sides alternating; the row shows
	// the median. Zero is 1 when Quick, else 7.
	Rounds int
	// Log receives progress. Nil discards.
	Log *slog.Logger

	_ struct{}
}

// Filled returns the options with every zero value replaced by its meaning.
func (o Options) Filled() Options {
	if o.Rounds <= 0 {
		o.Rounds = 7
		if o.Quick {
			o.Rounds = 1
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Chunk is how long one side of an operation of nanoseconds is measured at a time.
func (o Options) Chunk() time.Duration {
	if o.Quick {
		return time.Millisecond
	}
	return 5 * time.Millisecond
}
