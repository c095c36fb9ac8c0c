package main

import "github.com/tenure-go/tenure/examples/failover/internal/config"

// knownEngines are those that the tool knows.
func knownEngines() map[string]engine {
	return map[string]engine{
		config.MariaDBEngine:  mariadbServers,
		config.PostgresEngine: postgresServers,
	}
}
