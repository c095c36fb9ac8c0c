package patroni

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenure-go/tenure/internal/engines"
)

// yaml is the configuration of a node. The server has the settings that those of the
// other side have, but for what Patroni sets itself.
func (k *Cluster) yaml(n *node) string {
	s := k.conf.Settings
	params := engines.PostgresSettings()
	params["unix_socket_directories"] = n.srv.Dir()
	params["dynamic_shared_memory_type"] = "mmap"
	var p, hba strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&p, "        %s: '%s'\n", name, params[name])
	}
	for line := range strings.Lines(k.conf.HBA) {
		fmt.Fprintf(&hba, "    - %s\n", strings.TrimSpace(line))
	}
	return fmt.Sprintf(`scope: compare
name: %[1]s
restapi:
  listen: %[2]s
  connect_address: %[2]s
etcd3:
  host: %[3]s
bootstrap:
  dcs:
    ttl: %[4]d
    loop_wait: %[5]d
    retry_timeout: %[6]d
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
%[7]s  initdb:
    - encoding: UTF8
    - no-locale
    - auth: trust
postgresql:
  listen: %[8]s
  connect_address: %[8]s
  data_dir: %[9]s
  bin_dir: %[10]s
  pgpass: %[11]s
  basebackup:
    - checkpoint: fast
  authentication:
    superuser: {username: postgres}
    replication: {username: repl}
    rewind: {username: postgres}
  parameters:
    unix_socket_directories: '%[13]s'
    dynamic_shared_memory_type: mmap
  pg_hba:
%[12]swatchdog: {mode: 'off'}
`, n.name, n.rest, k.conf.Etcd, s.TTL, s.LoopWait, s.RetryTimeout, p.String(), n.srv.Addr(), n.srv.Data(),
		filepath.Dir(n.srv.Binary("pg_ctl")), filepath.Join(n.srv.Dir(), "pgpass"), hba.String(), n.srv.Dir())
}

// haproxy is the configuration that Patroni's repository has, with the times of
// Settings.
func (k *Cluster) haproxy() string {
	s := k.conf.Settings
	var b strings.Builder
	fmt.Fprintf(&b, `global
    maxconn 100
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 5s
listen leader
    bind %s
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter %s fall %d rise %d on-marked-down shutdown-sessions
`, k.at, s.Inter, s.Fall, s.Rise)
	for _, n := range k.nodes {
		fmt.Fprintf(&b, "    server %s %s maxconn 100 check port %s\n", n.name, n.srv.Addr(), n.rest[strings.LastIndexByte(n.rest, ':')+1:])
	}
	return b.String()
}
