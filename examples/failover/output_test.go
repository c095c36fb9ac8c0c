package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

func TestAPasswordThatSomebodyRepeatsIsTakenOut(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		for _, secret := range []string{`hunter2`, `a"b\c'd`, "tab\tin it"} {
			var out, errOut bytes.Buffer
			c := &call{app: &app{stdout: &out, stderr: &errOut}, format: format, verb: verb{name: "status"}}
			o := newOutput(c.app, c)
			require.NoError(t, o.hide([]string{secret, "x"}, nil))
			require.Equal(t, exitFailed, o.fail(exitFailed, errors.New("cannot log in with "+secret+" here")))
			o.progress("trying %s", secret)
			all := out.String() + errOut.String()
			require.NotContains(t, all, secret)
			require.NotContains(t, all, `b\\c`, "also as JSON writes it")
			require.NotContains(t, all, `tab\tin`)
			require.Contains(t, all, "***")
		}
	}
}

type repairer struct{}

func (repairer) Repair(context.Context, leadership.Term, leadership.NodeID) error { return nil }

func TestOnlyTheNodeThatIsNamedIsRepaired(t *testing.T) {
	t.Parallel()
	m := &members{peers: map[leadership.NodeID]string{"n1": "h:1", "n2": "h:2", "n3": "h:3"}}
	servers, err := m.engine(nil)
	require.NoError(t, err)
	for i := range servers {
		servers[i].node.Repair = repairer{}
	}
	cl := &cluster{servers: servers}
	for _, n := range cl.nodes(func(id leadership.NodeID) bool { return id == "n2" }) {
		require.Equal(t, n.ID == "n2", n.Repair != nil, n.ID)
	}
	for _, n := range cl.nodes(nil) {
		require.NotNil(t, n.Repair)
	}
	require.Equal(t, exitUnknown, exitOf(reparent.Unknown))
}
