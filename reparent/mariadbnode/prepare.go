package mariadbnode

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// Prepare implements reparent.Preparer: it connects, and, on a server that is
// read-only, begins a new file of the binary log. A follower that is pointed at a
// server has this one read its newest file from the beginning to where the follower
// goes on, before it is sent anything: clients would wait for that in Install, and a
// file has up to max_binlog_size, which is a gigabyte by default.
//
// It takes no turn, promises nothing and writes nothing that is replicated. It
// returns a *leadership.StaleTermError when more than t was promised, a
// *NotSetUpError or a *StepError.
func (n *Node) Prepare(ctx context.Context, t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	// One for the calls of the change, and one for what asks beside them.
	a, err := n.open(ctx)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := n.open(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	var r record
	var l live
	var size uint64
	if err := a.ask(ctx, append(n.askLive(a, &l), n.askRecord(&r), n.askLogSize(&size))...); err != nil {
		return err
	}
	if t.Less(r.Promised) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: r.Promised}
	}
	if l.readOnly && size > longLog {
		a.later("begin a new binary log", "FLUSH LOCAL BINARY LOGS")
	}
	if err := a.end(ctx); err != nil {
		return err
	}
	return b.end(ctx, n.askLive(b, &l)...)
}

// longLog is from how many bytes on a file of the binary log is not worth reading
// while clients wait.
const longLog = 64 << 10

// askLogSize asks how long the newest file of the binary log is; 0 when there is none.
func (n *Node) askLogSize(size *uint64) question {
	const step = "read how long the binary log is"
	return question{step: step, q: "SHOW MASTER STATUS", rows: func(rows *sql.Rows) error {
		all, err := columns(rows)
		for _, r := range all {
			*size, err = strconv.ParseUint(r["Position"], 10, 64)
		}
		return n.step(step, err)
	}}
}
