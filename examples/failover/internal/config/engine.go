package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/leadership"
)

// sslModes are libpq's.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// checkEngine checks what the nodes have in common.
func (cfg *Config) checkEngine(c *checker) {
	// A password may be missing: a server may trust a user without one.
	user := func(path, name string) {
		if name == "" {
			c.bad(path+".user", "is missing")
		}
	}
	switch cfg.Engine {
	case MariaDBEngine:
		if cfg.MariaDB == nil || cfg.Postgres != nil {
			c.bad("engine", "is mariadb, which needs the section mariadb, and no other")
			return
		}
		user("mariadb", cfg.MariaDB.User)
		user("mariadb.replication", cfg.MariaDB.Replication.User)
		c.tls("mariadb.tls", cfg.MariaDB.TLS)
	case PostgresEngine:
		if cfg.Postgres == nil || cfg.MariaDB != nil {
			c.bad("engine", "is postgres, which needs the section postgres, and no other")
			return
		}
		p := cfg.Postgres
		p.Database, p.SSLMode = cmp.Or(p.Database, "postgres"), cmp.Or(p.SSLMode, "prefer")
		user("postgres", p.User)
		user("postgres.replication", p.Replication.User)
		if !slices.Contains(sslModes, p.SSLMode) {
			c.bad("postgres.sslmode", "is %q, want one of %v", p.SSLMode, sslModes)
		}
	default:
		c.bad("engine", "is %q, want mariadb or postgres", cfg.Engine)
	}
}

// checkAgents checks how agents are known.
func (cfg *Config) checkAgents(c *checker) {
	a := cfg.Agents
	if a == nil {
		return
	}
	a.Stop = cmp.Or(a.Stop, Duration(20*time.Second))
	if t := a.TLS; t != nil && (t.CA == "" || t.Cert == "" || t.Key == "") {
		c.bad("agents.tls", "needs ca, cert and key: an agent and its callers check each other")
	}
	c.tls("agents.tls", a.TLS)
	if a.Token.Env != "" {
		c.bad("agents.token", "is read from a file: {file: PATH}")
	}
}

func (cfg *Config) checkNodeEngine(c *checker, path string, n *Node) {
	if cfg.Engine != PostgresEngine && n.Postgres != nil {
		c.bad(path+".postgres", "belongs to another engine")
	}
	if cfg.Engine != MariaDBEngine && n.MariaDB != nil {
		c.bad(path+".mariadb", "belongs to another engine")
	}
	switch _, err := agent.CheckURL(n.Agent); {
	case n.Agent == "":
	case cfg.Engine != PostgresEngine:
		c.bad(path+".agent", "is for the engine postgres: other nodes need no more than a connection")
	case err != nil:
		c.bad(path+".agent", "is %v", err)
	case strings.HasPrefix(n.Agent, "https") && (cfg.Agents == nil || cfg.Agents.TLS == nil):
		c.bad(path+".agent", "is at https, which needs agents.tls")
	case !strings.HasPrefix(n.Agent, "https") && (cfg.Agents == nil || cfg.Agents.Token.IsZero()):
		c.bad(path+".agent", "is at http, which needs agents.token")
	}
	if cfg.Engine == PostgresEngine && (n.Agent == "" || n.Postgres != nil) {
		switch p := n.Postgres; {
		case p == nil || p.Data == "" || p.Dir == "":
			c.bad(path+".postgres", "needs data and dir: the data directory, and one for what the node must not forget; or the node has an agent")
		case !filepath.IsAbs(p.Data) || !filepath.IsAbs(p.Dir):
			c.bad(path+".postgres", "needs absolute paths for data and dir")
		}
	}
	if m := n.MariaDB; m != nil {
		for _, cmd := range []struct {
			key  string
			args []string
		}{{"kill", m.Kill}, {"rebuild", m.Rebuild}} {
			if len(cmd.args) > 0 && cmd.args[0] == "" {
				c.bad(path+".mariadb."+cmd.key, "names no program")
			}
		}
	}
}

// Beside makes the configuration that of the agent of one node: its server is worked
// on here, whatever agent it has, and the URL of that agent is returned.
func (cfg *Config) Beside(id leadership.NodeID) (*Node, string, error) {
	i := slices.IndexFunc(cfg.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return nil, "", &Error{File: "configuration", Reason: fmt.Sprintf("there is no node %q", id)}
	}
	n := &cfg.Nodes[i]
	switch {
	case n.Agent == "":
		return nil, "", &Error{File: "configuration", Reason: fmt.Sprintf("node %s has no agent: its URL says where it listens", id)}
	case n.Postgres == nil:
		return nil, "", &Error{File: "configuration", Reason: fmt.Sprintf("node %s has no section postgres: its agent needs data and dir", id)}
	}
	url := n.Agent
	n.Agent = ""
	return n, url, nil
}
