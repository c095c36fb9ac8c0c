package mariadbnode

import (
	"context"
	"slices"
	"strings"
)

// READ_ONLY ADMIN and SUPER in the access mask of mysql.global_priv.
const (
	readOnlyAdmin = 1 << 33
	super         = 1 << 15
	// superOnly is the first version in which SUPER does not imply READ_ONLY ADMIN;
	// an account that an earlier server changed last has kept it.
	superOnly = 101100
)

// account is a row of mysql.global_priv: an account or a role.
type account struct {
	name    string
	access  uint64
	version uint64
	locked  bool
}

// grant is a role that an account, or another role, may take.
type grant struct{ to, role string }

// writers returns the names of the accounts and roles that write although a
// server is read-only, but for the own one.
func writers(accounts []account, grants []grant, own string) map[string]bool {
	out := map[string]bool{}
	for _, a := range accounts {
		if a.access&readOnlyAdmin != 0 || a.access&super != 0 && a.version < superOnly {
			out[a.name] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, g := range grants {
			if out[g.role] && !out[g.to] {
				out[g.to], grown = true, true
			}
		}
	}
	delete(out, own)
	return out
}

// open returns those of the writers that somebody may still connect with. A
// session that was there before its account was locked goes on.
func open(writers map[string]bool, accounts []account) []string {
	var out []string
	for _, a := range accounts {
		if writers[a.name] && !a.locked {
			out = append(out, a.name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// writers reads who writes although the server is read-only. The parts are put
// together here: a recursive query over them inside another one has made 10.11
// crash.
func (n *Node) writers(ctx context.Context, q querier) (map[string]bool, []account, error) {
	const step = "look for privileged accounts"
	accounts, err := table(ctx, q, func(scan func(...any) error) (a account, err error) {
		return a, scan(&a.name, &a.access, &a.version, &a.locked)
	}, `SELECT User, COALESCE(JSON_VALUE(Priv, '$.access'), 0), COALESCE(JSON_VALUE(Priv, '$.version_id'), 0),
 COALESCE(JSON_VALUE(Priv, '$.account_locked'), 'false') IN ('true', '1') FROM mysql.global_priv`)
	if err != nil {
		return nil, nil, n.step(step, err)
	}
	grants, err := table(ctx, q, func(scan func(...any) error) (g grant, err error) {
		return g, scan(&g.to, &g.role)
	}, "SELECT User, Role FROM mysql.roles_mapping")
	if err != nil {
		return nil, nil, n.step(step, err)
	}
	var own string
	if err := q.QueryRowContext(ctx, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)").Scan(&own); err != nil {
		return nil, nil, n.step(step, err)
	}
	return writers(accounts, grants, own), accounts, nil
}

// table reads all rows of a query.
func table[T any](ctx context.Context, q querier, row func(scan func(...any) error) (T, error), query string) ([]T, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		r, err := row(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// privileged returns a *PrivilegedError when somebody is connected, or an event
// is scheduled, who writes although the server is read-only. promised says that
// the term of the call is promised already.
func (s *session) privileged(ctx context.Context, promised bool) error {
	writers, _, err := s.n.writers(ctx, s.conn)
	if err != nil {
		return err
	}
	e := &PrivilegedError{Node: s.n.cfg.ID, promised: promised}
	all, err := s.n.sessions(ctx, s.conn)
	if err != nil {
		return err
	}
	for _, o := range all {
		if writers[o.User] {
			e.Sessions = append(e.Sessions, o)
		}
	}
	if e.Events, err = s.n.privilegedEvents(ctx, s.conn, writers); err != nil {
		return err
	}
	if len(e.Sessions)+len(e.Events) == 0 {
		return nil
	}
	return e
}

// privilegedEvents returns the events that run, while the scheduler does, with
// an account that may write to a read-only server.
func (n *Node) privilegedEvents(ctx context.Context, q querier, writers map[string]bool) ([]string, error) {
	type event struct{ name, definer string }
	all, err := table(ctx, q, func(scan func(...any) error) (e event, err error) {
		return e, scan(&e.name, &e.definer)
	}, "SELECT CONCAT(EVENT_SCHEMA, '.', EVENT_NAME), DEFINER FROM information_schema.EVENTS WHERE @@global.event_scheduler = 'ON' AND STATUS = 'ENABLED'")
	if err != nil {
		return nil, n.step("look for privileged events", err)
	}
	var out []string
	for _, e := range all {
		user, _, _ := strings.Cut(e.definer, "@")
		if writers[user] {
			out = append(out, e.name)
		}
	}
	return out, nil
}
