package load_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/load"
)

func TestAPlainClientIsWrittenDownAsItWouldSeeIt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.set(func() { s.leads = true })
	l := start(t, load.Config{Workers: 2, Spec: load.Spec{
		Dir: t.TempDir(), Writers: 2, Insert: "put ?", Pause: time.Millisecond, Extra: map[string]string{"plain": s.addr()},
	}})
	flows(t, l, 10)
	s.set(func() { s.lose = 1 })
	flows(t, l, 10)
	s.cut()
	flows(t, l, 10)
	require.NoError(t, s.ln.Close())
	s.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	classes := func() map[string]int {
		h, err := l.History(ctx)
		require.NoError(t, err)
		return h.Check(load.Rows{}).Classes
	}
	for classes()[load.ClassConnect] < 4 {
		<-tick.C
	}
	h, err := l.Stop(t.Context())
	require.NoError(t, err)
	v := h.Check(load.Rows{Node: "s", IDs: s.rows()})
	require.NoError(t, v.Err(), "what was acknowledged is there, what was not executed is not")
	require.Positive(t, v.Unknown, "a commit whose answer is lost: %s", v)
	require.Zero(t, v.Other, "a plain client knows or does not: %s", v)
	require.Greater(t, v.NotExecuted, 3, "%s", v)
	for _, a := range h.Attempts {
		if a.Class == load.ClassConnect {
			require.Equal(t, load.NotExecuted, a.Outcome)
		}
	}
}
