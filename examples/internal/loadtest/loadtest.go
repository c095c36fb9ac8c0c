// Package loadtest holds what the examples that put load on something share: free
// ports, percentiles, and durations as their tables print them.
package loadtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// Percentile is that of sorted durations, by the nearest rank; 0 for none.
func Percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(float64(len(sorted)*p) / 100))
	return sorted[max(rank, 1)-1]
}

// Short formats a duration for a table, "-" for none.
func Short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

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
