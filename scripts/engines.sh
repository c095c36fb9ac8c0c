#!/usr/bin/env bash
# Installs the servers that the engine tests run, MariaDB, PostgreSQL and etcd,
# from apt where they are missing, without starting a system service or making a
# database cluster. Prints their versions. It does nothing where they are there.
#
# Usage: scripts/engines.sh [mariadb] [postgres] [etcd] [patroni] [haproxy] [mha]
#
# Without arguments it is the first three. The others are what examples/compare compares
# with.
#
# It needs root and apt to install. Each of two tries is bounded by TIMEOUT
# seconds (180), the lists of packages by half of that.
set -euo pipefail

TIMEOUT=${TIMEOUT:-180}
PATH=$PATH:/usr/sbin:/usr/local/sbin

say() { printf 'engines: %s\n' "$*"; }

# The newest installed PostgreSQL, as the tests choose it, then PATH.
postgres_bin() {
	local dir
	while read -r dir; do
		if [[ -x $dir/postgres && -x $dir/initdb && -x $dir/pg_rewind ]]; then
			echo "$dir"
			return 0
		fi
	done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)
	command -v initdb >/dev/null && command -v pg_rewind >/dev/null && dir=$(command -v postgres) && dirname "$dir"
}

have() {
	case $1 in
	# mariadb-install-db asks my_print_defaults, which is in another package.
	mariadb) command -v mariadbd && command -v mariadb-install-db && command -v my_print_defaults && command -v mariadb ;;
	postgres) postgres_bin ;;
	etcd) command -v etcd ;;
	patroni) command -v patroni && command -v patronictl ;;
	haproxy) command -v haproxy ;;
	# MHA runs mysql and mysqlbinlog.
	mha) command -v masterha_manager && command -v apply_diff_relay_logs && command -v mysqlbinlog ;;
	esac >/dev/null
}

packages() {
	case $1 in
	mariadb) echo mariadb-server-core mariadb-client-core ;;
	postgres) # The version of this release of Debian, if it is not 15.
		if apt-cache show postgresql-15 >/dev/null 2>&1; then echo postgresql-15; else echo postgresql; fi ;;
	etcd) # Debian calls it etcd-server since 12.
		if apt-cache show etcd-server >/dev/null 2>&1; then echo etcd-server; else echo etcd; fi ;;
	patroni) echo patroni ;;
	haproxy) echo haproxy ;;
	mha) echo mha4mysql-manager mha4mysql-node mariadb-client ;;
	esac
}

missing() {
	local e
	for e in "${wanted[@]}"; do
		have "$e" || echo "$e"
	done
}

versions() {
	local e
	for e in "${wanted[@]}"; do
		case $e in
		mariadb) mariadbd --no-defaults --version ;;
		postgres) "$(postgres_bin)/postgres" --version ;;
		etcd) etcd --version | sed -n 1p ;;
		patroni) patroni --version ;;
		haproxy) haproxy -v | sed -n 1p ;;
		mha) masterha_manager --version ;;
		esac
	done
}

# What an installation must find is put there, and what was there before comes
# back afterwards, however this ends.
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
kept=
restore() {
	[[ -n $kept ]] || return 0
	local saved
	if [[ -e $kept/made-policy ]]; then rm -f "$policy"; fi
	if [[ -e $kept/createcluster.conf ]]; then
		cp -p "$kept/createcluster.conf" "$cluster"
	elif [[ -e $kept/made-cluster ]]; then
		saved=/usr/share/postgresql-common/createcluster.conf
		rm -f "$cluster.ucf-dist"
		if [[ -e $saved ]]; then cp "$saved" "$cluster"; else rm -f "$cluster"; fi
	fi
	rm -rf "$kept"
	kept=
}

prepare() {
	kept=$(mktemp -d)
	trap restore EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	if [[ ! -e $policy ]]; then
		: >"$kept/made-policy"
		# 101 forbids that a package starts its service.
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
	fi
	mkdir -p "$(dirname "$cluster")"
	if [[ -e $cluster ]]; then
		cp -p "$cluster" "$kept/createcluster.conf"
		printf '\ncreate_main_cluster = false\n' >>"$cluster"
	else
		: >"$kept/made-cluster"
		echo 'create_main_cluster = false' >"$cluster"
	fi
}

install() {
	local lists=$((TIMEOUT / 2)) names=() e
	timeout "$lists" apt-get update -qq -o DPkg::Lock::Timeout=60 || say "apt-get update failed or took more than $lists s; going on with the lists that are there"
	for e in "$@"; do
		read -ra more <<<"$(packages "$e")"
		names+=("${more[@]}")
	done
	say "apt-get install ${names[*]}"
	timeout -k 10 "$TIMEOUT" apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=60 \
		-o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold "${names[@]}"
}

wanted=("$@")
((${#wanted[@]})) || wanted=(mariadb postgres etcd)
for e in "${wanted[@]}"; do
	case $e in
	mariadb | postgres | etcd | patroni | haproxy | mha) ;;
	*)
		say "no engine $e; there are mariadb, postgres, etcd, patroni, haproxy, mha" >&2
		exit 2
		;;
	esac
done

mapfile -t absent < <(missing)
if ((${#absent[@]} == 0)); then
	say "all there: ${wanted[*]}"
	versions
	exit 0
fi
if ! command -v apt-get >/dev/null || ((EUID != 0)); then
	say "missing: ${absent[*]}; installing them needs root and apt" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
prepare
for try in 1 2; do
	say "try $try: missing ${absent[*]}"
	if install "${absent[@]}"; then
		:
	else
		say "try $try failed"
		# A try that was cut short leaves packages half configured.
		timeout "$TIMEOUT" dpkg --configure -a || say "dpkg --configure -a failed"
	fi
	mapfile -t absent < <(missing)
	if ((${#absent[@]} == 0)); then break; fi
done
restore
if ((${#absent[@]})); then
	say "still missing after two tries: ${absent[*]}" >&2
	exit 1
fi
versions
