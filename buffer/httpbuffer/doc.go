// Package httpbuffer lets HTTP requests follow the leader: an
// http.RoundTripper and a reverse proxy that hold requests while a leader is
// being changed and send them to the one that follows.
//
//	b, err := buffer.New(buffer.Config{MaxAge: 5 * time.Second})
//	orders := b.Lane("orders")
//	go func() { ended <- b.Follow(ctx, registry, orders) }()
//
//	rt, err := httpbuffer.New(orders, httpbuffer.Options{})
//	client := &http.Client{Transport: rt} // http://orders/... goes to the leader
//
//	proxy, err := httpbuffer.NewProxy(orders, httpbuffer.ProxyOptions{})
//	err = http.ListenAndServe(":80", proxy)
//
//	// At each server, inside its gate:
//	h := lameduck.Handler(gate, httpbuffer.Handler(serving, app))
//
// # Guarantees
//
//   - A request is sent again only on proof that it was not executed (it was
//     refused, or never got a connection), or when it is idempotent by the rule
//     of net/http and no byte of an answer has come (G9).
//   - A request is held with its body unread. What a try read of it is kept
//     up to Options.Replay, so that a refused upload can be sent again; a
//     request whose body is gone ends with a *ReplayError.
//   - An error satisfies leadership.NotExecuted only when no try, those that
//     net/http made by itself included, can have been executed.
//   - The leader's word is a response, never an error: the cause of a context, which
//     net/http returns as its own error, neither proves non-execution nor holds a
//     lane. No error of the body of a response proves non-execution.
//   - A 503 without a refusal proves nothing and is passed on. A refusal on a
//     response that also says who executed the request is somebody else's and
//     proves nothing either.
//   - The flush slot of a released request is free when its response's headers
//     are there; the request counts, on a lane that counts, until the body is
//     read to its end, fails or is closed. A refusal is drained and closed
//     before the request is sent again.
//   - The transport starts no goroutine. The proxy starts one for a held
//     request with a body, and joins it before it returns (G8).
//
// # What it does not guarantee
//
//   - http.Transport sends some requests again by itself, below this package.
//     On a reused HTTP/1 connection that died it does so when it has written
//     nothing, or when it takes the request for idempotent, by its rule and not
//     by Options.Idempotent. Over HTTP/2 it does so up to 6 times for streams
//     that were refused (RFC 9113, section 8.7), for those above the last
//     stream of a GOAWAY (section 6.8), and also for those that the peer
//     reset with PROTOCOL_ERROR (golang/go 47635), which is no proof. Where
//     that matters, use a base without HTTP/2.
//   - A server that passes on responses of third parties with their headers can
//     pass on a forged refusal, unless Handler marks what it executes.
//     LeaderHeader is trusted: a server must not let others write it.
//   - A base that does not call the hooks of net/http/httptrace tells nothing
//     of what left, so what it fails is not sent again.
//
// # Assumptions
//
// Servers refuse before they do anything, and check terms, as Handler does, or
// close a gate before they lose their leadership, as package lameduck does. A
// server cannot execute a request for which the transport never had a
// connection.
//
// # State model
//
//	              Enter                    Base                  headers
//	held in lane ------> turn, body opened ----> sent, recorded --------> answered
//	   ^                        |                    |                       |
//	   |     no connection      |      refused       |            body ended |
//	   +------------------------+--------------------+                       v
//	                                                 | lost                turn
//	                                                 v                     over
//	                                   idempotent: held, else *LostError
//
// # Failure handling
//
//	error             executed?   proxy answers            when
//	of buffer         as it says  503 with refusal, 502    not held, or no longer
//	*LostError        unknown     502                      sent, no answer
//	*ReplayError      as its Err  503 with refusal, 502    refused, the body is gone
//	*RequestError     no                                   no URL
//	other, of a base  unknown     502                      before it had a connection
package httpbuffer
