package mariadbnode

import (
	"context"
	"fmt"
	"time"
)

// errStatementTime is ER_STATEMENT_TIMEOUT, errLockWait is ER_LOCK_WAIT_TIMEOUT.
const (
	errStatementTime = 1969
	errLockWait      = 1205
)

// readOnly makes the server read-only, within Limits.ReadOnly, and reads that
// back. It never frees a commit that waits for its acknowledgement: whatever
// SQL does to such a commit may answer its client OK although no replica has it
// (KILL QUERY and rpl_semi_sync_master_enabled=0 always do, KILL CONNECTION now
// and then).
func (s *session) readOnly(ctx context.Context) error {
	var is bool
	if err := s.conn.QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&is); err != nil {
		return s.n.step("read read_only", err)
	}
	var failed error
	if !is {
		bound := s.readOnlyBound(ctx)
		failed = s.exec(ctx, "set read_only", fmt.Sprintf("SET STATEMENT max_statement_time=%s, lock_wait_timeout=%d FOR SET GLOBAL read_only=1", seconds(bound), wholeSeconds(bound)))
		if err := s.conn.QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&is); err != nil {
			return s.n.step("read read_only back", err)
		}
	}
	ss, err := s.n.sessions(ctx, s.conn)
	if err != nil {
		return err
	}
	waits := waiting(ss)
	switch {
	case is && len(waits) == 0:
		return nil
	case failed == nil:
		failed = fmt.Errorf("commits wait for their acknowledgement")
	}
	b := &BlockedError{Node: s.n.cfg.ID, Waiting: waits, Err: failed}
	for _, o := range ss {
		if !o.waits() && o.State != "Sleep" {
			b.Others = append(b.Others, o)
		}
	}
	return s.kills(ctx, b)
}

// readOnlyBound leaves the caller time to hear of the failure.
func (s *session) readOnlyBound(ctx context.Context) time.Duration {
	d := s.n.cfg.Limits.ReadOnly
	if at, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(at)*3/4)
	}
	return d
}

// kills has the Controller end a server whose commits are stuck. A process that
// ends by SIGKILL answers nobody.
func (s *session) kills(ctx context.Context, b *BlockedError) error {
	if s.n.cfg.Controller == nil || len(b.Waiting) == 0 {
		return b
	}
	s.n.cfg.Logger.Warn("mariadbnode: killing a server that cannot be made read-only", "node", s.n.cfg.ID, "error", b)
	if err := s.n.cfg.Controller.Kill(ctx); err != nil {
		return s.n.step("kill the server", err)
	}
	return &KilledError{Node: s.n.cfg.ID, Why: b}
}

// readOnlyAdmin is the bit of READ_ONLY ADMIN in the access mask of
// mysql.global_priv. SUPER does not imply it.
const readOnlyAdmin = 1 << 33

const selectPrivileged = `SELECT DISTINCT User FROM mysql.global_priv WHERE User <> SUBSTRING_INDEX(CURRENT_USER(), '@', 1)
 AND JSON_VALUE(Priv, '$.access') & ? AND COALESCE(JSON_VALUE(Priv, '$.account_locked'), 'false') NOT IN ('true', '1') ORDER BY User`

// privileged returns a *PrivilegedError when somebody is connected, or an event
// is scheduled, who writes although the server is read-only.
func (s *session) privileged(ctx context.Context) error {
	rows, err := s.conn.QueryContext(ctx, `SELECT ID, USER, COALESCE(STATE, ''), COALESCE(TIME_MS, 0) FROM information_schema.PROCESSLIST
 WHERE COMMAND NOT LIKE 'Binlog Dump%' AND USER IN (`+selectPrivileged+`)`, uint64(readOnlyAdmin))
	if err != nil {
		return s.n.step("look for privileged writers", err)
	}
	defer func() { _ = rows.Close() }()
	e := &PrivilegedError{Node: s.n.cfg.ID}
	for rows.Next() {
		var o Session
		var ms float64
		if err := rows.Scan(&o.ID, &o.User, &o.State, &ms); err != nil {
			return s.n.step("look for privileged writers", err)
		}
		o.For = time.Duration(ms * float64(time.Millisecond))
		e.Sessions = append(e.Sessions, o)
	}
	if err := rows.Err(); err != nil {
		return s.n.step("look for privileged writers", err)
	}
	if e.Events, err = s.n.privilegedEvents(ctx, s.conn); err != nil {
		return err
	}
	if len(e.Sessions)+len(e.Events) == 0 {
		return nil
	}
	return e
}

// privilegedEvents returns the events that run, while the scheduler does, with
// an account that may write to a read-only server.
func (n *Node) privilegedEvents(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT CONCAT(EVENT_SCHEMA, '.', EVENT_NAME) FROM information_schema.EVENTS
 WHERE @@global.event_scheduler = 'ON' AND STATUS = 'ENABLED' AND SUBSTRING_INDEX(DEFINER, '@', 1) IN (`+selectPrivileged+`)`, uint64(readOnlyAdmin))
	if err != nil {
		return nil, n.step("look for privileged events", err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, n.step("look for privileged events", err)
		}
		out = append(out, name)
	}
	return out, n.step("look for privileged events", rows.Err())
}
