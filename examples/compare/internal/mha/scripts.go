package mha

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ssh runs here what it is to run on another machine.
const ssh = `#!/bin/sh
skip() {
	while [ $# -gt 0 ]; do
		case "$1" in
		-o | -p | -l | -i) shift 2 ;;
		-*) shift ;;
		*) break ;;
		esac
	done
	rest=$#
}
skip "$@"; shift $(($# - rest)) # options
shift                           # the machine
skip "$@"; shift $(($# - rest))
exec sh -c "$*"
`

// scp copies here.
const scp = `#!/bin/sh
while [ $# -gt 2 ]; do shift; done
[ "${1#*:}" -ef "${2#*:}" ] || exec cp "${1#*:}" "${2#*:}"
`

// arguments reads --name=value into variables.
const arguments = `#!/bin/sh
set -e
for a in "$@"; do
	case "$a" in
	--command=*) command=${a#*=} ;;
	--orig_master_port=*) orig=${a#*=} ;;
	--new_master_port=*) new=${a#*=} ;;
	esac
done
at() { mysql --no-defaults -h127.0.0.1 -P"$1" -uroot -N -e "$2"; }
`

// onlineChange ends the writes of the old leader before a switch, as MHA's sample does:
// read-only, then the connections of the application. Semi-synchronous replication goes
// where the leadership does.
const onlineChange = arguments + `
case "$command" in
stop)
	at "$orig" "SET GLOBAL read_only=1; SET GLOBAL rpl_semi_sync_master_enabled=0; KILL USER app"
	;;
start) at "$new" "SET GLOBAL rpl_semi_sync_master_enabled=1" ;;
esac
`

// failover is for a leader that is dead.
const failover = arguments + `
case "$command" in
start) at "$new" "SET GLOBAL rpl_semi_sync_master_enabled=1" ;;
esac
`

// repairs are what MHA 0.58 needs before it runs with MariaDB on a Perl of today, by
// file: text, and what to put in its place.
var repairs = map[string][][2]string{
	// More or fewer numbers in a version than the format has end a program since
	// Perl 5.22, and there is no version that both formats would be content with.
	"NodeUtil.pm": {
		{`'%03d%03d%03d', $str =~ m/(\d+)/g`, `'%03d%03d%03d', $str =~ m/^(\d+)\.(\d+)\.(\d+)/`},
		{`'%03d%03d', $str =~ m/(\d+)/g`, `'%03d%03d', $str =~ m/^(\d+)\.(\d+)/`},
	},
	// MariaDB has no super_read_only, so that it is not on.
	"SlaveUtil.pm": {{`SELECT \@\@global.super_read_only as Value`, `SELECT 0 as Value`}},
}

// repaired is the text of one of MHA's files with its repairs.
func repaired(name string) (string, error) {
	path := filepath.Join("/usr/share/perl5/MHA", name)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := string(b)
	for _, r := range repairs[name] {
		if !strings.Contains(text, r[0]) {
			return "", fmt.Errorf("mha: %s is another version than 0.58", path)
		}
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	return text, nil
}

// write writes MHA's configuration and scripts.
func (k *Cluster) write() error {
	var b strings.Builder
	fmt.Fprintf(&b, `[server default]
manager_workdir=%[1]s
remote_workdir=%[1]s
user=mha
password=mha
repl_user=repl
repl_password=repl
ping_interval=%[2]d
master_ip_online_change_script=%[1]s/online-change
master_ip_failover_script=%[1]s/failover
`, k.dir, k.conf.Settings.PingInterval)
	for i, s := range k.servers {
		fmt.Fprintf(&b, "[server%d]\nhostname=127.0.0.1\nport=%d\nmaster_binlog_dir=%s\n", i+1, s.Port(), s.Data())
	}
	files := map[string]string{
		"app.cnf": b.String(), "bin/ssh": ssh, "bin/scp": scp, "online-change": onlineChange, "failover": failover,
	}
	for name := range repairs {
		var err error
		if files["lib/MHA/"+name], err = repaired(name); err != nil {
			return err
		}
	}
	errs := []error{os.MkdirAll(filepath.Join(k.dir, "bin"), 0o755), os.MkdirAll(filepath.Join(k.dir, "lib", "MHA"), 0o755)}
	for name, text := range files {
		errs = append(errs, os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o755))
	}
	if user := k.servers[0].User(); user != "" {
		// MHA works here, as that user.
		out, err := exec.Command("chown", "-R", user, k.dir).CombinedOutput()
		if err != nil {
			errs = append(errs, fmt.Errorf("chown: %w: %s", err, out))
		}
	}
	return errors.Join(errs...)
}
