// Package netproxy is a TCP proxy inside the process for one directed edge
// between two servers, so that a test can hold, drop, delay, refuse and reset
// what one of them sends to the other.
//
//	edge, err := netproxy.Listen(primary.Addr())
//	if err != nil {
//		return err
//	}
//	defer edge.Close()
//	// The replica connects to edge.Addr() instead of the primary's address.
//	err = edge.Set(netproxy.Hold) // Nothing arrives.
//	err = edge.Set(netproxy.Pass) // All of it arrives, late.
//
// # Guarantees
//
// The address stays the same for the life of the Proxy, in every mode. No byte
// is delivered after Set(Hold) or Set(Drop) has returned. A stream never has a
// gap: a connection that lost a byte is reset before it carries another one.
// After Close no goroutine of the Proxy runs and no connection is open.
//
// # What it does not guarantee
//
// A dropped SYN cannot be had in a process: under Hold and Drop the kernel
// accepts the connection, and the client waits for the first byte instead.
//
// # Assumptions
//
// Both ends are on loopback.
//
// # State model
//
//	Pass <-> Hold    connections live on, what was held is delivered; only one
//	                 whose receiver takes nothing for a second is reset
//	Pass <-> Drop    connections that lost bytes are reset on the way back
//	any   -> Refuse  connections are reset, the listener is closed
//	any   -> Reset   connections are reset, new ones are accepted and reset
//
// # Failure handling
//
// A target that cannot be reached resets the client's connection. Leaving
// Refuse opens the listener again, which can fail; Set says so and the Proxy
// goes on refusing.
package netproxy
