package mariadbnode

import (
	"context"
	"fmt"
	"time"
)

// fence stops the IO thread and reads that back: from then on the server
// acknowledges nothing to its source. The SQL thread goes on, because a
// replica with both threads stopped throws its relay log away when it starts
// them again with GTIDs, and with it what it acknowledged. One that does not run
// is not started here, since the IO thread may stop by itself just before: settle
// starts it, with the relay log named.
//
// STOP SLAVE IO_THREAD tries to end the dump thread at the source over a
// connection of its own (rpl_semi_sync_slave_kill_conn_timeout, 5 s). With a
// source that hangs it takes as long. A thread that was killed does not, once
// it is gone; on a busy server it seldom does by itself what STOP SLAVE does, and
// takes as long, so that timeout should be the least there is, 1 s.
func (s *session) fence(ctx context.Context) error {
	st, err := s.n.slave(ctx, s.conn)
	if err != nil || !st.ioRuns() {
		return err
	}
	if err := s.killIO(ctx); err != nil {
		return err
	}
	if err := s.exec(ctx, "stop the IO thread", "STOP SLAVE IO_THREAD"); err != nil {
		return err
	}
	return s.n.poll(ctx, func() (bool, error) {
		st, err := s.n.slave(ctx, s.conn)
		return err == nil && !st.ioRuns(), err
	})
}

// killWait bounds the wait for an IO thread that was killed. It needs some
// milliseconds; when it takes longer, STOP SLAVE waits for it.
const killWait = 200 * time.Millisecond

func (s *session) killIO(ctx context.Context) error {
	ids, err := s.ioThreads(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.exec(ctx, "kill the IO thread", fmt.Sprintf("KILL %d", id)); err != nil && number(err) != errNoSuchThread {
			return err
		}
	}
	wctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	err = s.n.poll(wctx, func() (bool, error) {
		ids, err := s.ioThreads(ctx)
		return len(ids) == 0, err
	})
	if wctx.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

func (s *session) ioThreads(ctx context.Context) ([]uint64, error) {
	rows, err := s.conn.QueryContext(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'system user' AND COMMAND = 'Slave_IO'")
	if err != nil {
		return nil, s.n.step("find the IO thread", err)
	}
	defer func() { _ = rows.Close() }()
	var ids []uint64
	for rows.Next() {
		var id uint64
		if err := rows.Scan(&id); err != nil {
			return nil, s.n.step("find the IO thread", err)
		}
		ids = append(ids, id)
	}
	return ids, s.n.step("find the IO thread", rows.Err())
}
