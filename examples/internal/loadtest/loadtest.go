// Package loadtest gives the examples that put load on something free ports.
package loadtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreeAddr returns an address of this host that nobody listens on and that is
// not taken. Its port is below those that the system hands out to outgoing
// connections: a process that is started again must find its port again.
func FreeAddr[K comparable](taken map[K]string) (string, error) {
	var err error
	for range 200 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		used := false
		for _, a := range taken {
			used = used || a == addr
		}
		if used {
			continue
		}
		var ln net.Listener
		if ln, err = net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", fmt.Errorf("no free port was found: %w", err)
}
