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
//
// The questions are asked in the message that stops the thread, or after it where
// that is not all that it takes.
func (s *session) fence(ctx context.Context, l live, p processes, qs ...question) error {
	switch {
	case !l.slave.ioRuns() && len(qs) == 0:
		return nil // what was left for later stays so
	case !l.slave.ioRuns():
		return s.ask(ctx, qs...)
	}
	if err := s.killIO(ctx, p.ioThreads()); err != nil {
		return err
	}
	s.later("stop the IO thread", "STOP SLAVE IO_THREAD")
	return s.n.poll(ctx, func() (bool, error) {
		err := s.ask(ctx, append([]question{s.n.askSlave(&l.slave)}, qs...)...)
		return err == nil && !l.slave.ioRuns(), err
	})
}

// killWait bounds the wait for an IO thread that was killed to be told as such. When
// it takes longer, STOP SLAVE waits for it.
const killWait = 200 * time.Millisecond

func (s *session) killIO(ctx context.Context, ids []uint64) error {
	for _, id := range ids {
		if err := s.gone(s.exec(ctx, "kill the IO thread", fmt.Sprintf("KILL %d", id))); err != nil {
			return err
		}
	}
	wctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	var p processes
	var failed error
	err := s.n.poll(wctx, func() (bool, error) {
		// Not bounded by wctx, whose end in the middle would cost the connection.
		failed = s.ask(ctx, s.n.askProcesses(&p)...)
		return failed == nil && len(p.ioThreads()) == 0, failed
	})
	// Only the wait may be given up: with the message that failed went what was left
	// for later, such as the promise.
	if failed == nil && wctx.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}
