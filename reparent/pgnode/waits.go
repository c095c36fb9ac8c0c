package pgnode

import (
	"context"
	"fmt"
	"time"
)

// waits proves that commits wait for standbys. That the setting is in force in a
// new session is no proof: a commit asks a flag in shared memory, which the
// checkpointer sets when it comes to it, and until then commits wait for nobody.
// The names that are set by then are nobody's, so a commit that ends by itself has
// not waited, and one that is seen waiting has found the flag.
func (o *op) waits(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Limits.Promote)
	defer cancel()
	err := poll(ctx, 3*time.Millisecond, func() (bool, error) { return o.waited(ctx, s) })
	if err != nil {
		return fmt.Errorf("promoted, and no commit is seen to wait for standbys: %w", err)
	}
	return nil
}

// waited makes one commit in a session of its own and reports whether it waited.
func (o *op) waited(ctx context.Context, s *session) (waits bool, err error) {
	probe := o.probe
	if o.probe = nil; probe == nil {
		if probe, err = o.dial(ctx); err != nil {
			return false, err
		}
	}
	defer probe.close()
	r, err := probe.row(ctx, "SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')")
	if err == nil && (r[0] != nobody || r[1] != "on" && r[1] != "remote_apply") {
		err = fmt.Errorf("a new session waits for %q with synchronous_commit=%s, not for %q: something overrides it", r[0], r[1], nobody)
	}
	if err != nil {
		return false, err
	}
	sent := probe.c.Exec(ctx, "SELECT pg_logical_emit_message(true, 'tenure', '')")
	ask := fmt.Sprintf(`SELECT coalesce((SELECT CASE WHEN wait_event = 'SyncRep' THEN 'waits'
		WHEN state = 'idle' AND query LIKE '%%emit_message%%' THEN 'ended' END FROM pg_stat_activity WHERE pid = %d), '')`, probe.c.PID())
	err = poll(ctx, time.Millisecond, func() (bool, error) {
		r, err := s.row(ctx, ask)
		if err != nil {
			return false, err
		}
		waits = r[0] == "waits"
		return r[0] != "", nil
	})
	switch {
	case err != nil:
		return false, err
	case waits:
		// What it wrote means nothing, and it waits for nothing else.
		err = s.exec(ctx, fmt.Sprintf("SELECT pg_terminate_backend(%d)", probe.c.PID()))
		_ = sent.Close()
		return true, err
	}
	return false, sent.Close()
}
