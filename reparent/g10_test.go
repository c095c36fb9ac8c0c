package reparent_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

type cannot struct{}

func (cannot) CanEnforce(rs leadership.Ruleset) error {
	if rs.Policy != "at-least(2)" {
		return errors.New("one acknowledgement from anyone is all it waits for")
	}
	return nil
}

func TestG10_ABadGuardIsATypedErrorThatNamesTheThing(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		nodes := bundle(p)
		reg := p.Registry
		var cfg *reparent.ConfigError
		_, err := reparent.New("", reg, nodes, reparent.Config{})
		require.ErrorAs(t, err, &cfg)
		_, err = reparent.New("x", nil, nodes, reparent.Config{})
		require.ErrorIs(t, err, reparent.ErrNilRegistry)
		_, err = reparent.New("x", reg, nil, reparent.Config{})
		require.ErrorIs(t, err, leadership.ErrEmptyCohort)
		_, err = reparent.New("x", reg, append(nodes, nodes[0]), reparent.Config{})
		var dup *leadership.DuplicateNodeError
		require.ErrorAs(t, err, &dup)
		require.EqualValues(t, "n1", dup.Node)
		bare := append([]reparent.Node(nil), nodes...)
		bare[1].Promise = nil
		_, err = reparent.New("x", reg, bare, reparent.Config{})
		require.ErrorIs(t, err, revoke.ErrNilMechanism)
		require.Contains(t, err.Error(), "n2")
		_, err = reparent.New("x", reg, nodes, reparent.Config{By: "Not Valid"})
		require.ErrorAs(t, err, &cfg)
		_, err = reparent.New("x", reg, nodes, reparent.Config{Limits: reparent.Limits{Drain: -1}})
		require.ErrorAs(t, err, &cfg)
		_, err = reparent.New("x", reg, nodes, reparent.Config{Limits: reparent.Limits{Drain: 20e9, Revoke: 10e9}})
		require.ErrorAs(t, err, &cfg)
		_, err = reparent.New("x", reg, nodes, reparent.Config{ClockRate: 1})
		var rate *revoke.RateError
		require.ErrorAs(t, err, &rate)
		weak := append([]reparent.Node(nil), nodes...)
		weak[2].Enforce = cannot{}
		_, err = reparent.New("x", reg, weak, reparent.Config{Ruleset: c.rs, Mode: leadership.Full})
		var un *leadership.UnenforceablePolicyError
		require.ErrorAs(t, err, &un)
		require.EqualValues(t, "n3", un.Node)
	})
}

func TestG10_ABadChangeIsATypedErrorBeforeAnythingIsTouched(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for name, tt := range map[string]struct {
		ctx    context.Context
		change reparent.Change
		as     any
	}{
		"unknown kind":          {change: reparent.Change{Kind: "sideways"}, as: new(*reparent.ChangeError)},
		"planned to nobody":     {change: reparent.Planned(""), as: new(*reparent.ChangeError)},
		"planned to a stranger": {change: reparent.Planned("n9"), as: new(*leadership.UnknownNodeError)},
		"no ruleset":            {change: reparent.Change{Kind: leadership.KindRuleset}, as: new(*reparent.ChangeError)},
		"empty ruleset":         {change: reparent.SetRuleset(leadership.Ruleset{Policy: "majority"}), as: new(error)},
		"unknown policy":        {change: reparent.SetRuleset(leadership.Ruleset{Policy: "whim", Members: []leadership.Node{{ID: "n1"}}}), as: new(*leadership.PolicyError)},
		"no set satisfies it":   {change: reparent.SetRuleset(leadership.Ruleset{Policy: "at-least(4)", Members: []leadership.Node{{ID: "n1"}, {ID: "n2"}}}), as: new(*leadership.PolicyError)},
		"leader not eligible":   {change: reparent.SetRuleset(leadership.Ruleset{Policy: "majority", Members: []leadership.Node{{ID: "n1", Ineligible: true}, {ID: "n2"}, {ID: "n3"}}}), as: new(*leadership.IneligibleError)},
		"a version in force":    {change: reparent.SetRuleset(leadership.Ruleset{Version: 1, Policy: "all", Members: []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}}), as: new(*reparent.ChangeError)},
		"waiver without reason": {change: reparent.Change{Kind: leadership.KindEmergency, Waiver: &leadership.Waiver{Gone: []leadership.NodeID{"n1"}}}, as: new(*leadership.WaiverError)},
		"waiver of a stranger":  {change: reparent.Change{Kind: leadership.KindEmergency, Waiver: &leadership.Waiver{Gone: []leadership.NodeID{"n9"}, Reason: "fire", By: "ada"}}, as: new(*leadership.UnknownNodeError)},
		"waiver on a plan":      {change: reparent.Change{Kind: leadership.KindPlanned, To: "n2", Waiver: &leadership.Waiver{}}, as: new(*reparent.ChangeError)},
		"context is gone":       {ctx: gone, change: reparent.Planned("n2"), as: new(error)},
	} {
		t.Run(name, func(t *testing.T) {
			inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
				ctx := tt.ctx
				if ctx == nil {
					ctx = context.Background()
				}
				before, err := c.reg.Load(context.Background())
				require.NoError(t, err)
				promised := c.Facts("n2").Promised
				g := guard(t, c.Process("c1"), nil)
				var rep *reparent.Report
				require.NoError(t, c.Do(func() { rep, err = g.Run(ctx, tt.change) }))
				require.Error(t, err)
				require.ErrorAs(t, err, tt.as)
				require.Equal(t, reparent.NotStarted, rep.Outcome)
				after, lerr := c.reg.Load(context.Background())
				require.NoError(t, lerr)
				require.True(t, before.Equal(after), "the record was touched")
				require.Equal(t, promised, c.Facts("n2").Promised, "a node was touched")
			})
		})
	}
}

func TestG10_AClosedRegistryAndAnUnenforceablePolicyStopAChange(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		nodes := bundle(p)
		nodes[0].Enforce = cannot{}
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
		require.NoError(t, err)
		require.NoError(t, c.Do(func() { _, err = g.Run(context.Background(), reparent.Planned("n2")) }))
		var un *leadership.UnenforceablePolicyError
		require.ErrorAs(t, err, &un)

		require.NoError(t, c.reg.(io.Closer).Close())
		_, err = c.change("c2", reparent.Emergency(), nil)
		require.ErrorIs(t, err, leadership.ErrClosed)
	})
}

func TestG10_ANodeThatTakesClientsWhenInstalledNeedsAGateInShortcutMode(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		nodes := bundle(p)
		nodes[1].GrantsAtInstall, nodes[1].ClientGate = true, false
		c.LoseRegistry()
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{Limits: reparenttest.Limits()})
		require.NoError(t, err)
		ch := reparent.Adopt(c.rs, "n1")
		ch.Mode = leadership.Shortcut
		require.NoError(t, c.Do(func() { _, err = g.Run(context.Background(), ch) }))
		var cfg *reparent.ConfigError
		require.ErrorAs(t, err, &cfg)
		require.Contains(t, err.Error(), "n2")
	})
}

// A guard that New did not make knows no cluster and asks nobody.
func TestG10_AGuardThatNobodyMadeIsRefused(t *testing.T) {
	t.Parallel()
	var g reparent.Guard
	rep, err := g.Run(t.Context(), reparent.Emergency())
	require.ErrorIs(t, err, reparent.ErrNilRegistry)
	require.Equal(t, reparent.NotStarted, rep.Outcome)
	_, err = g.Plan(t.Context(), reparent.Emergency())
	require.ErrorIs(t, err, reparent.ErrNilRegistry)
	_, err = g.Sweep(t.Context())
	require.ErrorIs(t, err, reparent.ErrNilRegistry)
	_, err = g.View(t.Context())
	require.ErrorIs(t, err, reparent.ErrNilRegistry)
}
