package config

import (
	"cmp"
	"path/filepath"
	"slices"
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

func (cfg *Config) checkNodeEngine(c *checker, path string, n *Node) {
	if cfg.Engine != PostgresEngine && n.Postgres != nil {
		c.bad(path+".postgres", "belongs to another engine")
	}
	if cfg.Engine != MariaDBEngine && n.MariaDB != nil {
		c.bad(path+".mariadb", "belongs to another engine")
	}
	if cfg.Engine == PostgresEngine {
		switch p := n.Postgres; {
		case p == nil || p.Data == "" || p.Dir == "":
			c.bad(path+".postgres", "needs data and dir: the data directory, and one for what the node must not forget")
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
