// Package engines starts real MariaDB, PostgreSQL and etcd servers on loopback
// for tests and demos, and kills, freezes and restarts them.
//
//	host, err := engines.NewHost()
//	if err != nil {
//		return err
//	}
//	defer host.Close()
//	s, err := host.MariaDB(ctx, engines.MariaDBConfig{ServerID: 1})
//	if err != nil {
//		return err // a *engines.NotFound when MariaDB is not installed
//	}
//	if err := s.Start(ctx); err != nil {
//		return err
//	}
//	// Connect to s.Addr(), then:
//	err = s.Kill()
//
// # Guarantees
//
// Servers listen on 127.0.0.1 only and run as an unprivileged user when we are
// root. After Close of a Host none of its processes, directories and shared
// memory segments is left; servers end too when the process that started them
// dies. A server has its port from its first successful Start on.
//
// # What it does not guarantee
//
// Durability across the loss of power: the data may be in memory. A process that
// dies with a frozen PostgreSQL server leaves it frozen until the next NewHost.
//
// # Assumptions
//
// Linux with /proc. Every process that works in a server's data directory
// belongs to that server.
//
// # State model
//
//	made --Start--> serving <--Thaw-- frozen
//	  ^               |  '---Freeze----^ |
//	  '--Stop, Kill---'<------Kill-------'
//
// # Failure handling
//
// A Start that fails leaves no process and shows the end of the log. Waits are
// bounded by the context and by 30 s.
package engines
