package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/tenure-go/tenure/leadership"
)

// session is one connection of the node's role, used for statements of the
// simple protocol, each of which carries a bound that the server keeps.
type session struct {
	c     *pgconn.PgConn
	name  string
	bound time.Duration
}

// dial opens a session at conf, whose statements the server bounds: a client that
// gives up leaves a statement running. It takes replication commands, too, and so
// is none of max_connections, which clients may have used up.
func dial(ctx context.Context, conf *pgx.ConnConfig, name string, bound time.Duration) (*session, error) {
	return dialWith(ctx, conf, bound, map[string]string{
		"statement_timeout": fmt.Sprint(bound.Milliseconds()), "replication": "database", "application_name": name,
	})
}

// The names of sessions at a server. The first one's change it, and are made under
// the lock of the server's node and by nobody else.
const opName, askName, peerName = "tenure_op", "tenure", "tenure_peer"

func dialWith(ctx context.Context, conf *pgx.ConnConfig, bound time.Duration, params map[string]string) (*session, error) {
	c := conf.Config.Copy()
	if c.RuntimeParams == nil {
		c.RuntimeParams = map[string]string{}
	}
	c.RuntimeParams["application_name"] = askName
	maps.Copy(c.RuntimeParams, params)
	c.RuntimeParams["standard_conforming_strings"] = "on"
	c.ConnectTimeout = bound
	c.OnNotice = watch(c.OnNotice)
	neverCancel(c)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	pc, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	return &session{c: pc, name: c.RuntimeParams["application_name"], bound: bound}, nil
}

// close ends a session; a nil one, of a connection that failed, is fine.
func (s *session) close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.c.Close(ctx)
	// pgx closes a connection whose context ended in a goroutine of its own.
	select {
	case <-s.c.CleanupDone():
	case <-ctx.Done():
	}
}

// rows runs one statement and returns what it returned, as text; NULL is "".
func (s *session) rows(ctx context.Context, sql string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.bound+time.Second)
	defer cancel()
	res, err := s.c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range res {
		for _, row := range r.Rows {
			fields := make([]string, len(row))
			for i, f := range row {
				fields[i] = string(f)
			}
			out = append(out, fields)
		}
	}
	return out, nil
}

// row is rows for a statement that returns exactly one.
func (s *session) row(ctx context.Context, sql string) ([]string, error) {
	rows, err := s.rows(ctx, sql)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("want one row, got %d, from %q", len(rows), sql)
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

func (s *session) exec(ctx context.Context, sql string) error {
	_, err := s.rows(ctx, sql)
	return err
}

// local opens a session at the node's own server that only looks.
func (n *Node) local(ctx context.Context) (*session, error) {
	return dial(ctx, n.conf, askName, n.cfg.Limits.Connect)
}

// keptFor is after how long the server ends a session of an operation that nothing was
// asked in.
const keptFor = 30 * time.Second

// dial opens a session at the node's own server that may change it.
func (o *op) dial(ctx context.Context) (*session, error) {
	return dialWith(ctx, o.conf, o.cfg.Limits.Connect, map[string]string{
		"statement_timeout": fmt.Sprint(o.cfg.Limits.Connect.Milliseconds()), "replication": "database", "application_name": opName,
		"idle_session_timeout": fmt.Sprint(keptFor.Milliseconds()),
	})
}

// pingWait is how long a session that was left is waited for.
const pingWait = 200 * time.Millisecond

// local returns a session at the node's own server that may change it: the one that the
// step before left, or the operation before, or a new one.
//
// A change asks a node for several operations within a moment, most of them while nobody
// leads, and to connect and authenticate takes longer than most of what is asked. What
// was left has no statement under way, so that nothing of an older term can land in it;
// the next operation of another process ends it with the rest. It is asked first whether
// it is still there, since the server may have restarted.
func (o *op) local(ctx context.Context) (*session, error) {
	s := o.warm
	if o.warm = nil; s.answers(ctx) {
		return s, nil
	}
	return o.dial(ctx)
}

// answers reports whether a session that was left is still there, and closes it if not.
func (s *session) answers(ctx context.Context) bool {
	if s == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	if s.exec(ctx, "SELECT 1") == nil {
		return true
	}
	s.close()
	return false
}

// leave leaves a session for the next step, or for the next operation.
func (n *Node) leave(s *session) {
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	// One in a transaction would commit nothing of what the next step does.
	idle := s != nil && !s.c.IsClosed() && !s.c.IsBusy() && s.c.TxStatus() == 'I'
	if !idle || closed || n.warm != nil || s.name != opName {
		s.close()
		return
	}
	n.warm = s
}

// meanwhile opens the session that an operation of t needs, if none was left, and returns
// what waits for it. A session does nothing until somebody uses it, and so may be opened
// before a promise is on disk.
func (o *op) meanwhile(t leadership.Term) (wait func()) {
	var opening sync.WaitGroup
	if o.warm == nil && !t.Less(o.acc.Status().Promised) {
		opening.Go(func() {
			// Without it the step opens one, and has the error.
			ctx, cancel := context.WithTimeout(o.ctx, pingWait)
			defer cancel()
			if s, err := o.dial(ctx); err == nil {
				o.leave(s)
			}
		})
	}
	return opening.Wait
}

// lent returns a session at the node's own server for a call that takes no turn: the one
// that was left, if nobody has the turn, or a new one of the name. giveBack ends it, or
// leaves it again.
func (n *Node) lent(ctx context.Context, name string) (*session, error) {
	select {
	case n.turn <- struct{}{}:
		s := n.warm
		n.warm = nil
		n.give()
		if s.answers(ctx) {
			return s, nil
		}
	default:
	}
	return dial(ctx, n.conf, name, n.cfg.Limits.Connect)
}

func (n *Node) giveBack(s *session) {
	select {
	case n.turn <- struct{}{}:
		defer n.give()
		n.leave(s)
	default:
		s.close()
	}
}

// alone ends the sessions of operations that are over: one whose context ended, or
// whose process did, may have left a statement at the server that has not run yet.
// A source that it sets, or a promotion, must not land after what comes next.
func (o *op) alone(s *session) error {
	const others = " FROM pg_stat_activity WHERE application_name = '" + opName + "' AND usename = current_user AND pid <> pg_backend_pid()"
	ctx, cancel := context.WithTimeout(o.ctx, o.cfg.Limits.Connect)
	defer cancel()
	return poll(ctx, 3*time.Millisecond, func() (bool, error) {
		r, err := s.row(ctx, "SELECT count(*), count(pg_terminate_backend(pid))"+others)
		return err == nil && r[0] == "0", err
	})
}

// await opens a session at the node's own server as soon as that answers.
func (o *op) await(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Limits.Start)
	defer cancel()
	var s *session
	var last error
	tries := 0
	err := poll(ctx, 5*time.Millisecond, func() (bool, error) {
		var err error
		if s, err = o.local(ctx); err == nil {
			return true, nil
		}
		last = err
		if refused(err) {
			return false, err
		}
		if tries++; tries%20 == 0 {
			if running, err := o.cfg.Controller.Running(ctx); err != nil || !running {
				return false, errors.Join(errDown, err)
			}
		}
		return false, nil
	})
	if err != nil && last != nil {
		err = errors.Join(err, last)
	}
	return s, err
}

var errDown = errors.New("the server does not stay up: its log says why")

// refused reports whether a server answered that it will not have this session,
// now or later: as opposed to one that is starting, stopping or away.
func refused(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && !strings.HasPrefix(pe.Code, "57P") && !strings.HasPrefix(pe.Code, "53")
}

// configure writes settings with ALTER SYSTEM, lets the server load them, and
// returns when a new session has them: what was written and not loaded is not in
// force, and one session's word says nothing of the next one's.
func (n *Node) configure(ctx context.Context, s *session, settings map[string]string) error {
	if err := n.alter(ctx, s, settings); err != nil {
		return err
	}
	_, err := n.reload(ctx, s, settings, fresh)
	return err
}

// alter writes the settings that are not there yet.
func (n *Node) alter(ctx context.Context, s *session, settings map[string]string) error {
	b, err := n.cfg.Files.Read(ctx, filepath.Join(n.cfg.Data, "postgresql.auto.conf"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, k := range sortedKeys(settings) {
		if autoSays(string(b), k, settings[k]) {
			continue
		}
		if err := s.exec(ctx, "ALTER SYSTEM SET "+k+" = "+quote(settings[k])); err != nil {
			return fmt.Errorf("ALTER SYSTEM SET %s: %w", k, err)
		}
	}
	return nil
}

// teller is who is asked whether the server has read its configuration.
type teller int

const (
	// itself: the session that had it read. The postmaster reads the settings, tells
	// its sessions to, and reads the rules, before it accepts another connection, so
	// that a session which has read them was told by one whose next session has both.
	itself teller = iota
	// fresh: a session that began after that, and says so.
	fresh
)

// reload has the server read its configuration, pg_hba.conf included, and returns when
// it has, by the word of who, and since when it may have.
//
// Every session inherits the time of the last reading. A file that could not be read
// changes the time as well, so both files are asked for errors.
func (n *Node) reload(ctx context.Context, s *session, want map[string]string, who teller) (since string, err error) {
	r, err := s.row(ctx, "SELECT clock_timestamp()::text, pg_reload_conf()")
	if err != nil {
		return "", fmt.Errorf("reload: %w", err)
	}
	return r[0], n.taken(ctx, s, r[0], want, who)
}

// taken waits until the server has read its configuration since then.
func (n *Node) taken(ctx context.Context, s *session, since string, want map[string]string, who teller) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Limits.Connect)
	defer cancel()
	var wrong error
	err := poll(ctx, time.Millisecond, func() (bool, error) {
		teller := s
		if who == fresh {
			var err error
			if teller, err = n.local(ctx); err != nil {
				wrong = err
				return false, nil
			}
			defer teller.close()
		}
		wrong = n.loaded(ctx, teller, since, want)
		return wrong == nil, nil
	})
	if err != nil {
		return fmt.Errorf("reload: the server has not taken the configuration: %w", errors.Join(wrong, err))
	}
	return nil
}

func (n *Node) loaded(ctx context.Context, s *session, since string, want map[string]string) error {
	r, err := s.row(ctx, "SELECT pg_conf_load_time() >= "+quote(since)+"::timestamptz, "+
		"coalesce((SELECT string_agg(line_number || ': ' || error, '; ') FROM pg_hba_file_rules WHERE error IS NOT NULL), '')")
	switch {
	case err != nil:
		return err
	case r[0] != "t":
		return errors.New("it has not reloaded yet")
	case r[1] != "":
		return fmt.Errorf("pg_hba.conf: %s", r[1])
	}
	return n.lacks(ctx, s, want)
}

// lacks returns an error unless a session has the settings.
func (n *Node) lacks(ctx context.Context, s *session, want map[string]string) error {
	keys := sortedKeys(want)
	ask := make([]string, len(keys))
	for i, k := range keys {
		ask[i] = "current_setting(" + quote(k) + ")"
	}
	r, err := s.row(ctx, "SELECT "+strings.Join(ask, ", "))
	if err != nil {
		return err
	}
	for i, k := range keys {
		switch {
		case r[i] == want[k]:
		case k == "primary_conninfo": // it may have a password
			return fmt.Errorf("a new session has another %s than was set: something overrides it", k)
		default:
			return fmt.Errorf("%s is %q in a new session, not %q: something overrides it", k, r[i], want[k])
		}
	}
	return nil
}
