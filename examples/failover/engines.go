package main

import "github.com/tenure-go/tenure/examples/failover/internal/config"

// engines are those that the tool knows.
func engines() map[string]engine {
	return map[string]engine{
		config.MariaDBEngine:  mariadbServers,
		config.PostgresEngine: postgresServers,
	}
}
