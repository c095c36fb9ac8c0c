// Package grpcbuffer takes gRPC servers and clients through a change of leader:
// a gate in front of a server refuses what it did not execute, with proof, and
// a client connection holds what was refused and follows the leader.
//
//	front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{Health: healthServer, Leadership: serving})
//	srv := grpc.NewServer(grpc.UnaryInterceptor(front.UnaryInterceptor),
//		grpc.StreamInterceptor(front.StreamInterceptor))
//	go func() { ended <- front.Run(ctx) }()         // health follows the gate
//	report, err := front.Stop(ctx, srv, plan)       // drains, and ends
//
//	conn, err := grpcbuffer.NewConn(buf.Lane("orders"), dial, grpcbuffer.ConnOptions{})
//	client := pb.NewOrdersClient(conn)              // as with a *grpc.ClientConn
//	reply, err := client.Put(ctx, order)
//
// A planned change costs its callers latency, not errors.
//
// # Guarantees
//
//   - A refusal travels as a status UNAVAILABLE with a google.rpc.ErrorInfo
//     that carries the leadership.Refusal, and is taken for proof only when one
//     call was made for it (G9). It is built once per refusal.
//   - A call is sent again only on proof that its last try had no effect, or
//     when it is idempotent and ended with UNAVAILABLE. A stream is never sent
//     again once it was admitted (G9).
//   - Whatever may have been executed matches leadership.ErrUnknownOutcome: a
//     broken connection, a handler that a drain cut, an attempt that gRPC's
//     retry policy hid (G9).
//   - Calls, and streams that wait for admission, follow the leader through
//     planned changes without an error, within the bounds of the buffer (G7).
//   - Streams are told of a drain and never delay it, health watches neither.
//   - Stop returns within its plan, whatever handlers do (G8), and can be undone
//     until the gate has drained.
//
// # What it does not guarantee
//
//   - A bare UNAVAILABLE proves nothing. gRPC reports a failed dial, a connection
//     that broke under a running handler and a server's own word by the same
//     code. Only a call for which gRPC created no stream is known not to be
//     sent; one whose stream a server had not processed (GOAWAY, REFUSED_STREAM)
//     gRPC sends again by itself, once, and does not tell us if that fails too.
//   - A handler that ignores its context cannot be ended. Stop leaves it, and at
//     most two goroutines that wait for it: see StuckError.
//   - A handler must not return the refusal of a call of its own, and if it does
//     the proof is taken out; it refuses its caller with Refuse.
//   - Calls that do not come through the interceptors are not gated, nor counted
//     by Stop.
//
// # Assumptions
//
// The interceptors are the outermost of the server. The client that dial returns
// makes each call once; an interceptor in it that does otherwise voids proofs but
// breaks nothing. grpc-go calls OnFinish once per call, also for one whose stream
// could not be created, and fills in Peer for every stream that was: tests show
// both for the version in go.mod.
//
// # State model
//
//	class of a call           Announced    DrainUnits     DrainAll       Cancelled
//	Single  (unary, upload)   admitted     admitted       refused        cancelled
//	Unit    (a transaction)   admitted     new: refused   next message:  cancelled
//	                                                      restart unit
//	Stream  (other streams)   told         new: refused   refused        cancelled
//	Exempt  (health)          admitted     admitted       admitted       admitted
//
// Requests of units and singles are waited for, streams and exempt calls are
// not. From the end of a drain Stop goes on alone:
//
//	drain --> end exempt calls --> GracefulStop --> Stop --> wait for handlers
//	  |  undone, broken off            | ended        |          |
//	  v                                v              v          v
//	serving                           nil     nil, all ended   StuckError
//
// # Failure handling
//
//	the call got                             NotExecuted  sent again
//	ErrorInfo REFUSED or RESTART_UNIT        yes          held; unless admitted before
//	no stream created, UNAVAILABLE           yes          with back-off
//	no stream created, any other code        yes          no
//	answer of a handler behind a Server      no           no
//	ErrorInfo UNKNOWN_OUTCOME                unknown      if idempotent and UNAVAILABLE
//	UNAVAILABLE, DEADLINE_EXCEEDED,
//	CANCELLED, UNKNOWN, INTERNAL,
//	RESOURCE_EXHAUSTED by nobody's word      unknown      if idempotent and UNAVAILABLE
//	any other code                           no           no
//	an error of package buffer               as it says   no
package grpcbuffer
