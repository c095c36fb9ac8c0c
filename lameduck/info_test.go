package lameduck_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/tenure-go/tenure/lameduck"
)

// An owner is a request with its buffers, or a session.
func TestAGateKeepsNoOwnerOfWhatHasExited(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	const each = 100
	var owners []weak.Pointer[[4096]byte]
	var last []lameduck.Token
	for _, k := range []lameduck.Kind{lameduck.Single, lameduck.Unit, lameduck.Stream} {
		for range each {
			o := new([4096]byte)
			owners = append(owners, weak.Make(o))
			tok, err := g.EnterInfo(k, lameduck.Info{Owner: o})
			require.NoError(t, err)
			if k != lameduck.Unit {
				tok.Exit()
				continue
			}
			// Whoever leaves last, the unit or a request of it, lets go.
			part, err := tok.Continue()
			require.NoError(t, err)
			tok.Exit()
			last = append(last, part)
		}
	}
	runtime.GC()
	for i, o := range owners {
		require.Equal(t, i/each == 1, o.Value() != nil, "owner", i, "while its unit has a request that runs")
	}
	for i := range last {
		last[i].Exit()
	}
	runtime.GC()
	for i, o := range owners {
		require.True(t, o.Value() == nil, "owner", i, "is kept")
	}
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}
