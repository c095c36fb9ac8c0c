// Package sqlbuffer makes a plain *sql.DB follow the leader: new transactions
// and statements are held while it changes and run at the next one.
//
//	lane := buf.Lane("orders") // fed by buf.Follow(ctx, registry, lane)
//	connector, err := sqlbuffer.New(lane, sqlbuffer.Config{
//		Nodes: func(_ leadership.NodeID, addr string) (sqlbuffer.Node, error) {
//			return sqlbuffer.Node{Connector: connectorFor(addr), Classify: classify, Abort: abort}, nil
//		},
//	})
//	db := sql.OpenDB(connector) // any code that takes a *sql.DB
//	err = sqlbuffer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
//		_, err := tx.ExecContext(ctx, "INSERT ...")
//		return err
//	})
//
// What database/sql pools are virtual sessions. One is bound to a node and a
// term by the first statement of each checkout, in the goroutine and with the
// context of its caller, and to another in a later checkout when the leader has
// changed.
//
// # Guarantees
//
//   - A statement runs again only on proof that its last run had no effect.
//     No error satisfies errors.Is(err, driver.ErrBadConn), upon which
//     database/sql would run it again by itself (G9).
//   - What was handed to a driver and is not known to be done or not is
//     reported by leadership.ErrUnknownOutcome: a lost reply, a Commit whose
//     context ended, an OK from a leadership that was superseded by then (G9).
//   - A *RestartUnitError proves that the transaction was not committed: its
//     COMMIT was not sent and will not be (G9).
//   - A leader that does not answer, frozen or cut off, keeps a caller no longer
//     than Config.Linger, and a quarter more, once another leadership is known:
//     the statement is aborted. One outside a transaction is of unknown outcome
//     then and is not run again; a transaction is restarted; a dial, BEGIN,
//     PREPARE or ping is tried at the next leader (G9).
//   - Statements held wait in their caller's context, and a planned change
//     costs them latency within the bounds of the buffer (G7).
//   - Units of InTx start in the order they arrive, in the lane and at the
//     pool, as long as no other statements are held with the pool's
//     connections.
//   - Connections to a leadership that was superseded are not used for new
//     work. One that is in use is closed when it is put back, an idle one
//     when it is next taken.
//
// # What it does not guarantee
//
//   - No order among statements that are not in InTx: database/sql serves those
//     who wait for a connection at random. A statement that is held keeps its
//     connection of the pool; InTx takes none before its turn. When held
//     statements have all connections, a unit of InTx gives its turn back, and
//     its place.
//   - A Commit or Rollback cannot be aborted without Node.Abort, and takes as
//     long as the driver does. Neither can a statement whose driver ignores
//     contexts. Before another leadership is known, statements are the driver's
//     to end with their context, and end with nothing else.
//   - Without Node.Abort it is a context that ends when a statement is aborted,
//     and some drivers then send a request to cancel. PostgreSQL ends the wait
//     of a commit for its standbys upon that, with a warning beside its success
//     (documentation of synchronous_commit). Nobody is told of that success
//     here, but others see the row at the old leader.
//   - A session on a *sql.Conn is not moved once a statement ran on it: the
//     next one gets a *RestartUnitError, with Session set, when the leader has
//     changed, or when the connection was closed because a transaction on it
//     could not be rolled back. Only a transaction that has returned a
//     *RestartUnitError is begun again on a Conn on which nothing else ran.
//   - Rows of a superseded leadership that are read slowly are not aborted; a
//     Next or Close that waits for the server for Linger is.
//   - When the context of open Rows ends, database/sql closes them and reports
//     the context's error, whatever became of the query.
//   - Whether a transaction with a statement that commits by itself, such as
//     DDL in MySQL, was executed.
//
// Two goroutines are started, each joined before the call that started it
// returns: one that calls Node.Abort while Commit or Rollback is under way, and
// one that watches for held statements while a unit of InTx waits for a pool
// with a maximum of connections. A statement has none: a timer of its connection
// looks at it each eighth of Config.Linger (at least 1ms) while it is under way,
// for a moment, or for as long as Node.Abort takes. The statement stops it, and
// waits for it, before it returns; open Rows do so in Close.
//
// # Assumptions
//
// A driver returns driver.ErrBadConn only when nothing was sent, or
// Node.DistrustBadConn is set. Node.Abort may be called while the driver is in any
// other call on the connection. Closing a connection makes the server roll back
// what is open on it. Drivers may lack any optional interface: what
// database/sql falls back to is done here. Arguments are converted when a
// statement is bound, by the rules of the driver it goes to.
//
// A server that checks no terms needs a Node.Check and a lane that counts
// (buffer.Config.Counted): a planned change then waits until what is under way
// here has been answered, so that its OK comes before the next leadership is
// known. On such a lane a turn is counted until Rows.Close, Commit or Rollback.
//
// # State model
//
//	unbound --first statement: turn, dial, Check--> bound to (node, term)
//	   ^                                               |      |
//	   |  put back: superseded or broken (IsValid)     |      | BeginTx
//	   +-----------------------------------------------+      v
//	   |                                             in a transaction
//	   |   superseded, connection lost                 |      |
//	   +---- RestartUnitError, COMMIT never sent <-----+      | Commit
//	   |                                                      v
//	   +---- OutcomeError <---- no answer, cancelled, late ---+---> committed
//
//	a call under way --superseded--> lingering --Linger--> aborted
//	   |                                 |                    |
//	   answered: as it is                answered: as         unknown, restarted, or
//	                                     Config.Trust says    tried at the next leader
//
// # Failure handling
//
//	error                  executed?  when
//	errors of buffer       no         a statement could not be held (any longer)
//	*RestartUnitError      no         the unit cannot go on; InTx restarts it, for
//	                                  Config.Patience under one leadership
//	*OutcomeError          unknown    Exec, Query or Commit without a good answer,
//	                                  or whose answer came after an abort
//	*ConfigError           no         bad arguments
//	the driver's own       as it is   Classify called it Answered, or it is of a
//	                                  statement in a transaction, or of BEGIN,
//	                                  PREPARE or a ping
//
// A driver's error is classified by Node.Classify, then: driver.ErrBadConn is
// not sent, unless distrusted or of Commit; what buffer.Classify knows is what
// it says; any other is unknown, because a server's error code says which rule
// was broken and not how much had run. No answer that comes after an abort counts,
// good or bad. BEGIN, PREPARE and a ping have no effect and are tried again when
// their connection breaks.
//
// The end of the caller's own context is found by errors.Is in what it ended, and
// the end of the one by which a statement was aborted is not. Its cause is, too, but
// not by its type: a refusal or a *RestartUnitError with which a context ended is
// of something else. A driver that returns that cause has proved nothing thereby.
package sqlbuffer
