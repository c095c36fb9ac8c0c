package pgnode

import (
	"context"
	"time"
)

// nudge has a standby try again at once to get a stream. After an attempt that failed, or
// a stream that ended, which all do when their source is promoted, the startup process
// waits for wal_retrieve_retry_interval; a reload wakes it.
type nudge struct {
	at    time.Time // of the last look
	pause time.Duration
}

const (
	nudgeEvery = 10 * time.Millisecond // at first, and twice as long each time that it waits again
	nudgeMost  = 500 * time.Millisecond
)

// end looks whether the server waits, if it did not just now, and ends the wait.
func (n *nudge) end(ctx context.Context, s *session) error {
	n.pause = max(n.pause, nudgeEvery)
	if n.at.IsZero() {
		n.at = time.Now() // it was told to attach just now
	}
	if time.Since(n.at) < n.pause {
		return nil
	}
	n.at = time.Now()
	r, err := s.row(ctx, `SELECT count(CASE WHEN wait_event = 'RecoveryRetrieveRetryInterval' THEN pg_reload_conf() END)
		FROM pg_stat_activity WHERE backend_type = 'startup'`)
	if err == nil && r[0] != "0" {
		n.pause = min(2*n.pause, nudgeMost)
	}
	return err
}
