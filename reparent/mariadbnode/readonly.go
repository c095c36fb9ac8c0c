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
//
// check reads is and p, and whatever else is wanted once the server is read-only. They
// have been read already where is says that it is.
func (s *session) readOnly(ctx context.Context, is *bool, p *processes, check []question) error {
	var failed error
	if !*is {
		bound := s.readOnlyBound(ctx)
		var tried bool // all that stands before it in the message is done
		failed = s.ask(ctx, append([]question{
			s.n.row("begin to set read_only", "SELECT 1", &tried),
			do("set read_only", fmt.Sprintf("SET STATEMENT max_statement_time=%s, lock_wait_timeout=%d FOR SET GLOBAL read_only=1", seconds(bound), wholeSeconds(bound))),
		}, check...)...)
		if failed != nil && !tried {
			return failed
		}
		if failed != nil {
			if err := s.ask(ctx, check...); err != nil {
				return err
			}
		}
	}
	waits := p.waiting()
	switch {
	case *is && len(waits) == 0:
		return nil
	case failed == nil:
		failed = fmt.Errorf("commits wait for their acknowledgement")
	}
	b := &BlockedError{Node: s.n.cfg.ID, Waiting: waits, Err: failed}
	for _, o := range p.clients() {
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
