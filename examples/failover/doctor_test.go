package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/reparent"
)

func TestAReplicaThatMayHearNothingForAsLongAsDeadAfterIsReported(t *testing.T) {
	t.Parallel()
	const dead = 6 * time.Second
	for _, silence := range []time.Duration{0, time.Second, dead - 1} {
		require.Empty(t, silent("n1", silence, dead), "%s", silence)
	}
	for silence, says := range map[time.Duration]string{dead: "6s", 30 * time.Second: "30s", forever: "any time"} {
		fs := silent("n1", silence, dead)
		require.Len(t, fs, 1, "%s", silence)
		require.Equal(t, reparent.SeverityOutage, fs[0].Severity)
		require.EqualValues(t, "n1", fs[0].Node)
		require.Contains(t, fs[0].Risk, "for "+says+",")
		require.Contains(t, fs[0].Remedy, "wal_receiver_timeout below 12s")
	}
}

func TestHowLongAPrimaryWithoutWritesIsSilent(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		name                           string
		sender, receiver, status, want time.Duration
	}{
		{"PostgreSQL's defaults: the receiver asks, since its replies put off the sender", 60 * s, 60 * s, 10 * s, 30 * s},
		{"replies put off the sender", 6 * s, 60 * s, s, 30 * s},
		{"replies come too late to put it off", 6 * s, 60 * s, 10 * s, 3 * s},
		{"no replies by themselves", 60 * s, 80 * s, 0, 30 * s},
		{"the receiver never asks, and the sender is not put off", 8 * s, 0, 10 * s, 4 * s},
		{"the receiver never asks, and the sender is put off for ever", 60 * s, 0, 10 * s, forever},
		{"the sender has no timeout", 0, 5 * s, 10 * s, 2500 * time.Millisecond},
		{"neither", 0, 0, 0, forever},
	} {
		require.Equal(t, c.want, postgresSilence(c.sender, c.receiver, c.status), c.name)
	}
}
