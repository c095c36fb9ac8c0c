// Package agent carries the calls of a PostgreSQL node over HTTP, so that the tool can
// run on another machine than the server: the node works on the server's files.
//
//	s, err := agent.NewServer(agent.ServerConfig{Cluster: "orders", Node: "n1", TLS: conf, Open: open})
//	err = s.Serve(ctx, listener, 20*time.Second)
//
//	c, err := agent.NewClient(agent.ClientConfig{Cluster: "orders", Node: "n1", URL: "https://db1:7443", TLS: conf})
//	guard, err := reparent.New("orders", registry, []reparent.Node{c.Reparent("db1:5432", 0), ...}, reparent.Config{})
//
// # Guarantees
//
//   - A call says its version, cluster, node and, where it has one, term; an agent of
//     another takes no part of it.
//   - An error that proves that nothing happened proves it on the other side when its
//     type is known there. Nothing else becomes a proof on the way: not an unknown
//     type, not a broken answer, not the end of the caller's context.
//   - The deadline of a caller ends the call at the node, and so does its going away.
//   - No message is larger than its bound, on either side.
//
// # What it does not guarantee
//
// A call without an answer may be executed, now or later: a *CallError that is a
// leadership.ErrUnknownOutcome. Whoever has a certificate of the CA, or the token,
// can do to the node whatever a coordinator can.
//
// # Assumptions
//
// The CA issues certificates to agents and to coordinators only. Who can read the
// traffic of the loopback interface is trusted: plain HTTP is for it alone.
//
// # State model
//
//	serving --- context ends ---> no new calls --- the last one ended, or the bound ---> closed
//
// # Failure handling
//
// An agent keeps nothing that the node does not keep on disk: it may be ended and
// started again at any time, and the server beside it goes on. A call that an agent
// was in when it was killed is of unknown outcome, and a later one settles it.
package agent
