package pgnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is one connection of the node's role, used for statements of the
// simple protocol, each of which carries a bound that the server keeps.
type session struct {
	c     *pgconn.PgConn
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
	return &session{c: pc, bound: bound}, nil
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

// local opens a session at the node's own server that may change it, or returns the
// one that the step before left.
func (o *op) local(ctx context.Context) (*session, error) {
	if s := o.idle; s != nil {
		o.idle = nil
		return s, nil
	}
	return dial(ctx, o.conf, opName, o.cfg.Limits.Connect)
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

// peerSession opens a session at another node.
func (n *Node) peerSession(ctx context.Context, p Peer) (*session, error) {
	conf, err := pgx.ParseConfig(p.Conn)
	if err != nil {
		return nil, err
	}
	return dial(ctx, conf, peerName, n.cfg.Limits.Connect)
}

// configure writes settings with ALTER SYSTEM, lets the server load them, and
// returns when a new session has them: what was written and not loaded is not in
// force, and one session's word says nothing of the next one's.
func (n *Node) configure(ctx context.Context, s *session, settings map[string]string) error {
	if err := n.alter(ctx, s, settings); err != nil {
		return err
	}
	return n.reload(ctx, s, settings, true)
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

// reload has the server read its configuration, pg_hba.conf included, and returns
// when a session that began after that has the settings.
//
// The postmaster reads both before it accepts another connection, and every
// session inherits the time of that. A file that it could not read changes the
// time as well, so both files are asked for errors. Without rules, of pg_hba.conf and
// for sessions to come, this session's word will do: the postmaster has told it to read
// the files when it had read them itself.
func (n *Node) reload(ctx context.Context, s *session, want map[string]string, rules bool) error {
	r, err := s.row(ctx, "SELECT clock_timestamp()::text, pg_reload_conf()")
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	since := r[0]
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Limits.Connect)
	defer cancel()
	var wrong error
	err = poll(ctx, 3*time.Millisecond, func() (bool, error) {
		teller := s
		if rules {
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
	for _, k := range sortedKeys(want) {
		r, err := s.row(ctx, "SELECT current_setting("+quote(k)+")")
		if err != nil {
			return err
		}
		if r[0] != want[k] {
			if k == "primary_conninfo" { // it may have a password
				return fmt.Errorf("a new session has another %s than was set: something overrides it", k)
			}
			return fmt.Errorf("%s is %q in a new session, not %q: something overrides it", k, r[0], want[k])
		}
	}
	return nil
}
