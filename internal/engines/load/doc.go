// Package load writes to a cluster from processes of its own, through sqlbuffer,
// while a coordinator changes the leader in another process, and checks
// afterwards that nothing which was acknowledged is lost.
//
// The binary that starts the load is also its workers. A test, or a program,
// begins with
//
//	func TestMain(m *testing.M) {
//		if code, ok := load.Main(openEngine); ok {
//			os.Exit(code)
//		}
//		os.Exit(m.Run())
//	}
//
// where openEngine says, in the worker, how the nodes are reached:
//
//	func openEngine(s load.Spec) (load.Engine, error) {
//		nodes, err := mariadbnode.SQL(mariadbnode.SQLConfig{DSN: s.Extra["dsn"]})
//		return load.Engine{Nodes: nodes}, err
//	}
//
// The coordinator's side:
//
//	l, err := load.Start(ctx, load.Config{Workers: 2, Spec: load.Spec{
//		Dir: dir, Cluster: "orders", Registry: registryFile, Barrier: barrierFile,
//		Writers: 8, InTx: true, Insert: "INSERT INTO app.t (id) VALUES (?)",
//	}})
//	...
//	err = l.AwaitAcks(ctx, 20)       // the load flows
//	report, err := guard.Planned(ctx, "n2")
//	err = l.AwaitAcks(ctx, 20)       // it flows again
//	history, err := l.Stop(ctx)
//	verdict := history.Check(load.Rows{Node: "n2", IDs: rowsOf(n2)}, load.Rows{Node: "n1", IDs: rowsOf(n1)})
//	err = verdict.Err()              // nil: every acknowledged write is on every node
//	fmt.Println(verdict)
//
// The same history makes the table and the picture of package measure, by
// History.Ops.
//
// # Guarantees
//
// What a worker did before it was killed is known: each attempt is noted with
// one write to a file before it begins and when it ends. An attempt that was begun
// and not ended is of unknown outcome. Ids are unique over workers, writers and
// attempts. A worker ends when the process that started it does.
//
// # What it does not guarantee
//
// The files do not survive the loss of power.
//
// # Assumptions
//
// The clocks of all processes are one machine's.
//
// # State model
//
//	started --acked | not executed | unknown | other--> ended
//	   '------------- the worker was killed -----------> unknown
//
// # Failure handling
//
// A worker that cannot begin makes Start fail with what it said. Stop kills those
// that do not end, and says so.
package load
