package mariadbnode_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// TestALeaderIsNotGrantedWithSettingsByWhichCommitsDoNotWait, each by itself, and neither
// is a duplicate of its installation confirmed.
func TestALeaderIsNotGrantedWithSettingsByWhichCommitsDoNotWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	m := leadership.Marker{Term: rec.Active.Term, Leader: "n1", Ruleset: c.rs}
	for name, to := range map[string]string{
		"rpl_semi_sync_master_enabled": "0", "rpl_semi_sync_master_wait_no_slave": "0",
		"rpl_semi_sync_master_timeout": "10000", "rpl_semi_sync_master_wait_point": "AFTER_COMMIT",
	} {
		was := c.value(c.root(0), "SELECT @@global."+name)
		c.exec(c.root(0), "SET GLOBAL "+name+"="+to)
		var set *mariadbnode.SettingError
		require.ErrorAs(t, c.nodes[0].Grant(t.Context(), m.Term), &set, name)
		require.Equal(t, name, set.Name)
		_, err := c.nodes[0].Install(t.Context(), m)
		require.ErrorAs(t, err, &set, name)
		c.exec(c.root(0), "SET GLOBAL "+name+"="+was)
	}
	_, err = c.nodes[0].Install(t.Context(), m)
	require.NoError(t, err)
	require.NoError(t, c.nodes[0].Grant(t.Context(), m.Term))
}

// TestAServerWithoutItsMarkerIsNotGranted: that it is the source of its term is on disk
// before the marker is, and somebody may have it wait for acknowledgements.
func TestAServerWithoutItsMarkerIsNotGranted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	holder, err := c.open(c.account(0)).Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"SET sql_log_bin=0", "BEGIN", "SELECT * FROM tenure.marker FOR UPDATE"} {
		_, err := holder.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	_, err = c.nodes[0].Install(t.Context(), mk(c, 0, 5))
	require.ErrorContains(t, err, "write the marker")
	_, err = holder.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	c.exec(c.root(0), "SET GLOBAL rpl_semi_sync_master_enabled=1")
	var not *leadership.NotReadyError
	require.ErrorAs(t, c.nodes[0].Grant(t.Context(), term(5)), &not)
	require.Equal(t, "1", c.value(c.root(0), "SELECT @@read_only"))
	_, err = c.nodes[0].Install(t.Context(), mk(c, 0, 5))
	require.NoError(t, err)
	require.NoError(t, c.nodes[0].Grant(t.Context(), term(5)))
}
