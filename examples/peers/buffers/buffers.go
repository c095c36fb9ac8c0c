// Package buffers measures what it costs to hold requests while a leader is
// changed, and what becomes of them: the buffer package beside that of vtgate.
package buffers

import (
	"context"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// Measure returns the rows of the group. It ends early, with an error, when ctx
// does; a row is not broken off. It turns the log of Vitess off in this process.
func Measure(ctx context.Context, o report.Options) ([]report.Row, error) {
	o = o.Filled()
	quiet()
	var ks keyspaces
	var rows []report.Row
	for _, part := range []func(report.Options, *keyspaces) ([]report.Row, error){idle, holding, storms, overflow} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := part(o, &ks)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	for _, b := range behaviours(o, &ks) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := b.measure(o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
