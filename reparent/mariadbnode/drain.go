package mariadbnode

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Drain implements revoke.StepDowner. A MariaDB server cannot refuse new
// transactions and let open ones finish. What is refused is new sessions, and
// probes, of clients that ask before they write: SQL's Check answers with a
// *leadership.Refusal from here on, until StepDown, or until Limits.Drain after
// d on the server's own clock, whether the coordinator lives or not. Clients
// behind a leadership.Barrier have nothing in flight when this is called.
//
// It returns when no transaction of a client is open, or d has passed.
// Survivors are those open then.
func (n *Node) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	if err := t.Validate(); err != nil {
		return revoke.Drained{}, err
	}
	var p processes
	if err := n.announce(ctx, t, d, n.askProcesses(&p)...); err != nil {
		return revoke.Drained{}, err
	}
	now := p.statements(n.cfg.Replication.User)
	first := now
	began, asked := time.Now(), time.Time{}
	wctx, cancel := context.WithTimeout(ctx, max(d, time.Millisecond))
	defer cancel()
	told := true // how many statements run
	err := n.poll(wctx, func() (bool, error) {
		switch {
		case asked.IsZero() && time.Since(began) < trxCopy:
			// Most units are over when their statement is: to ask for the copy while
			// statements run is to have it made too early.
			if !told {
				if err := n.pool().ask(wctx, n.askProcesses(&p)...); err != nil {
					return false, err
				}
				now = p.statements(n.cfg.Replication.User)
				first = max(first, now)
			}
			if told = false; now > 0 {
				return false, nil
			}
		case time.Since(asked) < trxCopy:
			return false, nil
		}
		err := n.pool().ask(wctx, n.row("count the open transactions", n.selectUnits(), &now))
		asked = time.Now()
		first = max(first, now)
		return err == nil && now == 0, err
	})
	switch {
	case ctx.Err() != nil:
		return revoke.Drained{}, context.Cause(ctx)
	case err != nil && wctx.Err() == nil:
		return revoke.Drained{}, err
	}
	return revoke.Drained{Finished: max(0, first-now), Survivors: max(0, now)}, nil
}

// trxCopy is for how long the server answers from the copy that it made of
// information_schema.INNODB_TRX: 100 ms since anybody read it. Who asks more often
// never hears that a transaction ended.
const trxCopy = 110 * time.Millisecond

// selectUnits counts statements that run, and transactions that may write. Replication's
// own threads are not clients, and neither are its account and this one.
func (n *Node) selectUnits() string {
	return "SELECT COUNT(*) FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = p.ID" +
		" WHERE p.USER NOT IN ('system user', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), " + quote(n.cfg.Replication.User) + ") AND p.COMMAND NOT LIKE 'Binlog Dump%'" +
		" AND (x.trx_id IS NOT NULL AND x.trx_is_read_only = 0 OR p.COMMAND IN ('Query', 'Execute'))"
}

// announce writes that the leader drains, and asks the questions then.
func (n *Node) announce(ctx context.Context, t leadership.Term, d time.Duration, qs ...question) error {
	var c census
	b, err := n.begin(ctx, t, n.askCensus(&c)...)
	if err != nil {
		return err
	}
	defer b.close()
	r := b.record
	if t.Less(r.Promised) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: r.Promised}
	}
	if b.live.readOnly || !r.Promised.Less(t) {
		return b.end(ctx, qs...) // there is nothing to drain
	}
	if err := n.privileged(&c, b.processes, false); err != nil {
		return err
	}
	r.Drain, r.Until = t, b.live.now.Add(max(0, d)+n.cfg.Limits.Drain).UnixMicro()
	if err := b.save(r); err != nil {
		return err
	}
	return b.end(ctx, qs...)
}
