package mariadbnode

import (
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

// census is who could write although the server is read-only. The
// parts are put together here: a recursive query over them inside another one has
// made 10.11 crash.
type census struct {
	accounts []account
	grants   []grant
	events   []scheduled
}

// scheduled is an event: it runs with the rights of its definer.
type scheduled struct{ name, definer string }

// askAccounts asks who writes although the server is read-only.
func (n *Node) askAccounts(c *census) []question {
	const step = "look for privileged accounts"
	return []question{
		each(n, &c.accounts, step, `SELECT User, COALESCE(JSON_VALUE(Priv, '$.access'), 0), COALESCE(JSON_VALUE(Priv, '$.version_id'), 0),
 COALESCE(JSON_VALUE(Priv, '$.account_locked'), 'false') IN ('true', '1') FROM mysql.global_priv`, func(scan func(...any) error) (a account, err error) {
			err = scan(&a.name, &a.access, &a.version, &a.locked)
			return a, err
		}),
		each(n, &c.grants, step, "SELECT User, Role FROM mysql.roles_mapping", func(scan func(...any) error) (g grant, err error) {
			err = scan(&g.to, &g.role)
			return g, err
		}),
	}
}

// selectEvents looks into no table unless the scheduler runs.
const selectEvents = "BEGIN NOT ATOMIC IF @@global.event_scheduler = 'ON' THEN SELECT CONCAT(EVENT_SCHEMA, '.', EVENT_NAME), DEFINER FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'; ELSE SELECT '', '' FROM DUAL WHERE FALSE; END IF; END"

// askEvents asks for the events that run.
func (n *Node) askEvents(c *census) question {
	return each(n, &c.events, "look for privileged events", selectEvents, func(scan func(...any) error) (e scheduled, err error) {
		err = scan(&e.name, &e.definer)
		return e, err
	})
}

// askCensus asks for all of it.
func (n *Node) askCensus(c *census) []question {
	return append(n.askAccounts(c), n.askEvents(c))
}

// writers returns who writes, but for one account.
func (c *census) writers(own string) map[string]bool { return writers(c.accounts, c.grants, own) }

// privilegedEvents returns the events that may write to a read-only server.
func (c *census) privilegedEvents(own string) []string {
	writers := c.writers(own)
	var out []string
	for _, e := range c.events {
		user, _, _ := strings.Cut(e.definer, "@")
		if writers[user] {
			out = append(out, e.name)
		}
	}
	return out
}

// privileged returns a *PrivilegedError when somebody is connected, or an event is
// scheduled, who writes although the server is read-only. promised says that the
// term of the call is promised already.
func (n *Node) privileged(c *census, p processes, promised bool) error {
	writers := c.writers(p.own)
	e := &PrivilegedError{Node: n.cfg.ID, Events: c.privilegedEvents(p.own), promised: promised}
	for _, o := range p.clients() {
		if writers[o.User] {
			e.Sessions = append(e.Sessions, o)
		}
	}
	if len(e.Sessions)+len(e.Events) == 0 {
		return nil
	}
	return e
}
