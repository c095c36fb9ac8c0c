package reparenttest

import "testing"

func TestEachLieOfAnEngineIsFoundWhenTheAdapterBelievesIt(t *testing.T) {
	mariadb := func(l lies) Traits { t := mariadbTraits(); t.lies = l; return t }
	postgres := func(l lies) Traits { t := postgresTraits(); t.lies = l; return t }
	for _, c := range []struct {
		name   string
		traits Traits
	}{
		{"MariaDB, a relay log is thrown away at start", mariadb(lies{relayLost: true})},
		{"MariaDB, a statement of a lower term lands late", mariadb(lies{lateStatement: true})},
		{"MariaDB, replication starts by itself", mariadb(lies{autoStart: true})},
		{"MariaDB, an administrative statement is logged", mariadb(lies{errant: true})},
		{"MariaDB, commits fall back to no acknowledgement", mariadb(lies{asyncFallback: true})},
		{"MariaDB, a killed wait is reported as done", mariadb(lies{killQuery: true})},
		{"PostgreSQL, clients at once after the promotion", postgres(lies{ungated: true})},
		{"PostgreSQL, the promise is rewound with the data", postgres(lies{promiseInside: true})},
		{"PostgreSQL, a primary that was not rewound acknowledges", postgres(lies{ghostAck: true})},
		{"PostgreSQL, a rewind before the checkpoint", postgres(lies{noCheckpoint: true})},
		{"PostgreSQL, a cancelled wait is reported as done", postgres(lies{asyncFallback: true})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := Store(c.traits)
			if c.traits.lies.promiseInside {
				h.reshape = sweeping // it is about repairs
			}
			found(t, h, Everything(), 2000)
		})
	}
}

// sweeping makes runs in which every change is followed by a sweep.
func sweeping(_ uint64, s *shape) {
	for _, plan := range s.plans {
		for i := range plan {
			plan[i].sweeps = true
		}
	}
}
