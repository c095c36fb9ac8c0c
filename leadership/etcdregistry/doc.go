// Package etcdregistry keeps the record of a cluster in etcd, with a barrier for its
// routers and a lock for its coordinators.
//
//	c, err := etcdregistry.Open("orders", etcdregistry.Config{
//		Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"},
//		TLS:       certificates,
//	})
//	defer c.Close()
//	lock, err := c.NewLock(etcdregistry.LockConfig{Holder: "failover@ops-1"})
//	err = lock.Run(ctx, func(ctx context.Context, h *etcdregistry.Held) error {
//		// h.Registry, not c.Registry: its writes take effect only under the lock.
//		guard, err := reparent.New("orders", h.Registry(), nodes, reparent.Config{Barrier: c.Barrier()})
//		_, err = guard.Run(ctx, reparent.Planned("n2")) // ctx ends when the lock may be lost
//		return err
//	})
//
// # Guarantees
//
//   - A Swap is one transaction, guarded by the mod revision of the key, which is the
//     version of the record. It takes effect at most once, also when the request is
//     made again because an answer was lost or a member hung.
//   - A Swap whose outcome cannot be told is reported as unknown, never as failed.
//     Only what etcd itself refused, or the guard did, is reported as not executed.
//   - Wait misses no change: its watch only wakes it up, what it returns was read
//     after. A compaction, a reconnect, a member that is stopped, hangs or has lost
//     the leader delays it, by Config.Recheck and a request that is not answered.
//   - Versions rise for as long as the history of etcd lasts, also when somebody
//     deletes the key. A Client that sees the history rewound says so and stops.
//   - The number of a lock is above that of every holder before. A write through the
//     Registry of a Held takes effect only while its lock is held, whatever
//     clocks say.
//   - A Wait of the Barrier counts a router out only after a transaction that a
//     renewal of its lease would have made fail.
//
// # What it does not guarantee
//
//   - A lock does not make what a coordinator does at nodes exclusive: nodes do, by
//     refusing lower terms. A holder that was stopped wakes up in the middle of
//     a call, and that call is made. Losing the lock revokes no leader.
//   - After etcd was restored from a backup, revisions are given out again: old
//     versions and lock numbers name new things, and the record is an old one.
//     Terms are at the nodes too, which refuse those of the past; so in mode
//     Full no leader is revoked or made by it that would not be anyway, but
//     routers may follow the old record until the next change. In mode Shortcut
//     the record is what a change goes by: an old one names a leader that is none,
//     and a change that blocks it alone may make a second one beside the leader of
//     now. See Failure handling.
//   - A record is at most as large as etcd takes, 1.5 MiB by default.
//
// # Assumptions
//
// Clocks run at rates that differ by less than the margins; they need not agree. All
// members named in Config.Endpoints are of one cluster. etcd keeps its promise that
// reads and transactions are linearizable. Nobody else writes the keys:
//
//	PREFIX/CLUSTER/record        the record
//	PREFIX/CLUSTER/lock          the coordinators' lock
//	PREFIX/CLUSTER/router/ID     the lease of a router
//
// With etcd's users switched on, coordinators need readwrite on PREFIX/CLUSTER/, and
// routers read on record and readwrite on router/.
//
// Routers' leases are not leases of etcd. Those are renewed by the word of a single
// member that takes itself for the leader, without a majority; one that was stopped and
// wakes up as a leader of the past can both renew what is over and end what is
// renewed (etcd-io/etcd issue 15247). A lock survives that, for each write names
// it; a router sends requests with no transaction to catch it. So a renewal is a write
// here: about four per TTL and router. Nor do leases of etcd last less than a second.
//
// # State model
//
//	the record:  none -- Swap(0) --> version v -- Swap(v) --> version w > v ...
//
//	the lock:    free -- Run --> held, number = create revision -- f returns --> free
//	                              |  renewed every TTL/3
//	                              '-- TTL less Margin without an answer: ctx of f ends
//	                                  TTL without a renewal: free, for the next number
//
//	a router:    none -- Join --> seated -- Join --> seated ... -- Leave --> none
//	                                | not renewed for TTL, as a waiter sees it
//	                                '--> marked as lapsed -- a minute, or Join --> none, seated
//
// # Failure handling
//
//	one member down, frozen, cut off   calls take up to Config.Attempt longer
//	no majority                        reads: *UnavailableError; writes: *UnknownError
//	watch compacted, leader lost       the watch is opened again after a read
//	refused by etcd                    *RefusedError: nothing was written
//	value not ours                     *leadership.CorruptError: left as it is
//	restored from a backup             *RewoundError from each Client that has seen more,
//	                                   until it is opened anew
//
// Restore etcd with revisions that go on ("etcdutl snapshot restore --bump-revision
// 1000000000 --mark-compacted", where it has these flags), else restart routers and
// coordinators, then run a change or a refresh: it takes a term above what the nodes
// have promised, and writes the record anew. In mode Shortcut first see to it that
// the leader which the record names is the one that leads, or that nobody leads:
// stop every other member that holds a grant.
package etcdregistry
