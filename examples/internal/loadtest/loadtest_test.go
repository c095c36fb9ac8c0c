package loadtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/internal/loadtest"
)

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
