package mariadbnode_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func TestTheDoctorFindsNothingOnAServerThatIsSetUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	// The harness leaves root with READ_ONLY ADMIN; everything else is right.
	for i := range c.servers {
		c.exec(c.root(i), "SET sql_log_bin=0", "ALTER USER root@'127.0.0.1' IDENTIFIED BY ''", "GRANT ALL ON *.* TO 'boss'@'%' IDENTIFIED BY 'boss'")
		found, err := c.nodes[i].Doctor(t.Context())
		require.NoError(t, err)
		subjects(t, found, "READ_ONLY ADMIN: boss, root")
	}
	g := c.guard(reparent.Config{})
	c.lead(g, 1)
	// A replica that learnt that it is a member has just connected anew.
	c.eventually("both replicas are attached", func() bool {
		return c.value(c.root(1), "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='RPL_SEMI_SYNC_MASTER_CLIENTS'") == "2"
	})
	for i := range c.servers {
		found, err := c.nodes[i].Doctor(t.Context())
		require.NoError(t, err)
		subjects(t, found, "READ_ONLY ADMIN: boss, root")
	}
}

// subjects requires exactly these findings, by the beginnings of their
// subjects, but for the server_id of the first server.
func subjects(t *testing.T, found []reparent.Finding, want ...string) {
	t.Helper()
	var rest []string
	for _, f := range found {
		require.NotEmpty(t, f.Node)
		require.NotEmpty(t, f.Risk)
		require.NotEmpty(t, f.Remedy)
		require.Less(t, f.Severity.Rank(), 4)
		if !strings.HasPrefix(f.Subject, "server_id=") {
			rest = append(rest, f.Subject)
		}
	}
	require.Len(t, rest, len(want), "%v", rest)
	for i, w := range want {
		require.True(t, strings.HasPrefix(rest[i], w), "%v", rest)
	}
}

func TestTheDoctorNamesWhatADefaultDebianServerCanLose(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.MariaDB)
	s := enginetest.MariaDB(t, host, 1, engines.MariaDBConfig{Name: "debian", Bare: true, DefaultsFile: "/etc/mysql/mariadb.cnf", Init: accounts()})[0]
	n, err := mariadbnode.New(mariadbnode.Config{ID: "n1", DSN: "tenure:" + adminPassword + "@tcp(" + s.Addr() + ")/"})
	require.NoError(t, err)
	defer func() { _ = n.Close() }()
	found, err := n.Doctor(t.Context())
	require.NoError(t, err)
	loss := map[string]reparent.Finding{}
	for _, f := range found {
		name, _, _ := strings.Cut(f.Subject, "=")
		loss[name] = f
		t.Log(f)
	}
	for _, name := range []string{
		"log_bin", "log_slave_updates", "gtid_strict_mode", "sync_binlog", "sync_relay_log", "sync_master_info", "read_only", "Config.RestartsFenced is not stated",
	} {
		require.Equal(t, reparent.SeverityLoss, loss[name].Severity, name)
	}
	for _, name := range []string{"rpl_semi_sync_slave_enabled", "slave_parallel_threads", "no record of this node"} {
		require.Equal(t, reparent.SeverityOutage, loss[name].Severity, name)
	}
}
