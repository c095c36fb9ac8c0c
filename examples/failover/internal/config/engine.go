package config

import (
	"cmp"
	"slices"
)

// sslModes are libpq's.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// checkEngine checks what the nodes have in common.
func (cfg *Config) checkEngine(c *checker) {
	account := func(path, user string, password Secret) {
		if user == "" {
			c.bad(path+".user", "is missing")
		}
		_ = password // a server may trust a user without one
	}
	switch cfg.Engine {
	case MariaDBEngine:
		if cfg.MariaDB == nil || cfg.Postgres != nil {
			c.bad("engine", "is mariadb, which needs the section mariadb, and no other")
			return
		}
		account("mariadb", cfg.MariaDB.User, cfg.MariaDB.Password)
		account("mariadb.replication", cfg.MariaDB.Replication.User, cfg.MariaDB.Replication.Password)
		c.tls("mariadb.tls", cfg.MariaDB.TLS)
	case PostgresEngine:
		if cfg.Postgres == nil || cfg.MariaDB != nil {
			c.bad("engine", "is postgres, which needs the section postgres, and no other")
			return
		}
		p := cfg.Postgres
		p.Database, p.SSLMode = cmp.Or(p.Database, "postgres"), cmp.Or(p.SSLMode, "prefer")
		account("postgres", p.User, p.Password)
		account("postgres.replication", p.Replication.User, p.Replication.Password)
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
}
