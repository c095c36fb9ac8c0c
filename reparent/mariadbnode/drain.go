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
	first, now := 0, 0
	if err := n.announce(ctx, t, d); err != nil {
		return revoke.Drained{}, err
	}
	began, asked := time.Now(), time.Time{}
	wctx, cancel := context.WithTimeout(ctx, max(d, time.Millisecond))
	defer cancel()
	count := func(q question) error {
		err := n.reads(wctx, q)
		first = max(first, now)
		return err
	}
	err := n.poll(wctx, func() (bool, error) {
		switch {
		case asked.IsZero() && time.Since(began) < trxCopy:
			// Most units are over when their statement is: to ask for the copy while
			// statements run is to have it made too early.
			if err := count(n.count(selectStatements, &now)); err != nil || now > 0 {
				return false, err
			}
		case time.Since(asked) < trxCopy:
			return false, nil
		}
		err := count(n.count(selectUnits, &now))
		asked = time.Now()
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

const (
	fromClients = " FROM information_schema.PROCESSLIST p"
	areClients  = " WHERE p.USER NOT IN ('system user', SUBSTRING_INDEX(CURRENT_USER(), '@', 1)) AND p.COMMAND NOT LIKE 'Binlog Dump%'"
	execute     = "p.COMMAND IN ('Query', 'Execute')"

	// selectStatements counts statements that run, selectUnits besides those
	// transactions that may write. Replication's own threads are not clients, and
	// neither is this account.
	selectStatements = "SELECT COUNT(*)" + fromClients + areClients + " AND " + execute
	selectUnits      = "SELECT COUNT(*)" + fromClients + " LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = p.ID" + areClients +
		" AND (x.trx_id IS NOT NULL AND x.trx_is_read_only = 0 OR " + execute + ")"
)

func (n *Node) count(q string, into *int) question {
	return n.row("count the open transactions", q, into)
}

// announce writes that the leader drains.
func (n *Node) announce(ctx context.Context, t leadership.Term, d time.Duration) error {
	var c census
	s, r, l, err := n.begin(ctx, t, n.askCensus(&c)...)
	if err != nil {
		return err
	}
	defer s.close()
	if t.Less(r.Promised) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: r.Promised}
	}
	if l.readOnly || !r.Promised.Less(t) {
		return nil // there is nothing to drain
	}
	if err := n.privileged(&c, false); err != nil {
		return err
	}
	r.Drain, r.Until = t, l.now.Add(max(0, d)+n.cfg.Limits.Drain).UnixMicro()
	if err := s.save(r); err != nil {
		return err
	}
	return s.end(ctx)
}
