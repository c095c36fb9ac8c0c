package reparent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// A guard that has never read the record cannot know that the cluster is in
// shortcut mode, where the next coordinator asks only whom the record shows.
func TestG1_AGuardThatNeverReadTheRecordGoesOnWithoutItOnlyInAModeThatIsStated(t *testing.T) {
	t.Parallel()
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Unled: true}, func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		guard := func(cfg reparent.Config) (*reparent.Guard, error) {
			cfg.By, cfg.Limits, cfg.Nonce = p.Name, reparenttest.Limits(), func() string { return "1" }
			return reparent.New("sim", p.Registry, bundle(p), cfg)
		}
		for _, m := range []leadership.Mode{"", leadership.Shortcut} {
			_, err := guard(reparent.Config{Ruleset: c.rs, Mode: m})
			var bad *reparent.ConfigError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, "Mode", bad.Field)
		}
		_, err := guard(reparent.Config{Mode: "fast"})
		require.ErrorContains(t, err, `there is no mode "fast"`)

		boot := reparent.Bootstrap(c.rs, "n1")
		boot.Mode = leadership.Shortcut
		_, err = c.change("boot", boot, nil)
		require.NoError(t, err)
		before := len(c.Grants())
		run := func(cfg reparent.Config, ch reparent.Change) (rep *reparent.Report, err error) {
			g, err := guard(cfg)
			require.NoError(t, err)
			return c.run(p, g, ch)
		}
		// With nothing stated, and with what is wrong stated but the registry up.
		c.CrashRegistry()
		for _, m := range []leadership.Mode{"", leadership.Shortcut, leadership.Full} {
			rep, err := run(reparent.Config{Mode: m}, reparent.Emergency())
			require.ErrorContains(t, err, "the registry cannot be read")
			require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
		}
		c.RestartRegistry()
		for _, ch := range []reparent.Change{reparent.Emergency(), reparent.Planned("n2")} {
			rep, err := run(reparent.Config{Ruleset: c.rs, Mode: leadership.Full}, ch)
			var bad *reparent.ConfigError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
		}
		require.Len(t, c.Grants(), before)
		rep, err := run(reparent.Config{Mode: leadership.Shortcut}, reparent.Planned("n2"))
		require.NoError(t, err, "%s", rep)
	})
}
