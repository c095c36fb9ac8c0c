// Command httpserver deploys a new version of an HTTP service, again and
// again, under load, and no request fails.
//
//	go run ./examples/httpserver
//	go run ./examples/httpserver -duration 60s -clients 64 -v
//
// Two backends, each a process, take orders over HTTP into one store, and only
// one of them may do so at a time: the leader. In front of them is a proxy
// (buffer/httpbuffer) that follows the registry and holds requests while the
// leader is changed. Clients keep their connections and send one request after
// the other, a write and a read. Then each backend is restarted in turn:
//
//	planned change   the leader drains behind its gate (lameduck), steps down,
//	                 and the other one is granted; the proxy holds meanwhile
//	stop             the backend leads nothing any more; its server ends every
//	                 connection in good order, and then its process ends
//	start            the next version of it, ready to be the next leader
//
// It prints what each restart cost the clients, reads the store, and checks
// that no request failed, that every acknowledged order is there once, that no
// read missed an order that was there before, and that the leaders wrote one
// after the other. At the end, for contrast, the same backends are restarted
// without a gate and behind a proxy that asks who is ready: http.Server.Shutdown
// as soon as readiness is gone, as most programs do. Waiting in between, for
// longer than the proxy takes to notice, would save most of the requests that
// fail there, and have two backends write at once.
//
// # Why the backends are nodes
//
// A stateless role has no log, and the shortest way would be to write into the
// registry who leads. But Activate takes only an Installed, the proof that the
// old leadership was revoked, and there is no other way to make one than to ask
// the nodes. So each backend is a node (role.go): an acceptor, which keeps what
// it promised across restarts, and a log of nothing but the markers of past
// leaderships. The policy is "any": a leader answers alone, so to change it
// every backend has to promise, and a crash of one stops changes, not the
// service. A third backend and the policy "majority", with the leader asking
// for acknowledgements, is examples/kv.
//
// # Exit codes
//
//	0    no request failed, and all of that holds
//	1    something of it does not
//	2    a flag makes no sense; nothing was started
//	3    it could not be run to its end
//	130  interrupted
package main
