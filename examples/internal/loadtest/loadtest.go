// Package loadtest gives the examples that put load on something free ports.
package loadtest

import (
	"errors"
	"net"
	"strconv"

	"github.com/tenure-go/tenure/internal/engines/netproxy"
)

// FreeAddr returns an address of this host that nobody listens on and that is
// not taken. Its port is not among those that the system hands out to outgoing
// connections: a process that is started again must find its port again.
func FreeAddr[K comparable](taken map[K]string) (string, error) {
next:
	for range 200 {
		port, err := netproxy.FreePort()
		if err != nil {
			return "", err
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		for _, a := range taken {
			if a == addr {
				continue next
			}
		}
		return addr, nil
	}
	return "", errors.New("every free port that was found is taken")
}
