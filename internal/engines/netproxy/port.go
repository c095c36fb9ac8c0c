package netproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// FreePort returns a TCP port of the loopback interface that nobody listens on.
// It is outside the range from which the kernel gives ports to outgoing
// connections, so that a server which is down keeps its port: nobody connects
// from it meanwhile. Another process may still take it, by the same draw.
func FreePort() (int, error) {
	low, high := 15000, ephemeral()
	if high-low < 1000 {
		low, high = 15000, 32000
	}
	var last error
	for range 64 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		return port, nil
	}
	return 0, errors.Join(errors.New("netproxy: no free port on loopback"), last)
}

// ephemeral returns where the range of ports for outgoing connections begins.
func ephemeral() int {
	const usual = 32768
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	var low, high int
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		return usual
	}
	return low
}
