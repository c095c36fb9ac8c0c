package loadtest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/internal/loadtest"
)

func TestPercentilesAreOfTheNearestRank(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	require.Zero(t, loadtest.Percentile(nil, 99))
	require.Equal(t, at(7), loadtest.Percentile([]time.Duration{at(7)}, 1))
	ds := []time.Duration{at(1), at(2), at(3), at(4)}
	require.Equal(t, at(2), loadtest.Percentile(ds, 50))
	require.Equal(t, at(4), loadtest.Percentile(ds, 99))
	require.Equal(t, at(1), loadtest.Percentile(ds, 0))
}

func TestDurationsAreShort(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"-": 0, "0.5ms": 500 * time.Microsecond, "9.9ms": 9900 * time.Microsecond,
		"37ms": 37 * time.Millisecond, "1.50s": 1500 * time.Millisecond,
	} {
		require.Equal(t, want, loadtest.Short(d))
	}
}

func TestAFreeAddressIsNotOneThatIsTaken(t *testing.T) {
	t.Parallel()
	taken := map[int]string{}
	for i := range 20 {
		addr, err := loadtest.FreeAddr(taken)
		require.NoError(t, err)
		require.NotContains(t, taken, addr)
		for _, other := range taken {
			require.NotEqual(t, other, addr)
		}
		taken[i] = addr
	}
}
