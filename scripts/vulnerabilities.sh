#!/usr/bin/env bash
# Looks the modules that each of some modules is built from up in the Go
# vulnerability database, and fails when code of ours calls what is vulnerable.
# Where the database cannot be reached it says so and that nothing was checked.
#
# Usage: scripts/vulnerabilities.sh DIR...
# VULNDB is the address of the database, such as file:///path, else the public one;
# GOVULNCHECK the command.
set -euo pipefail

GOVULNCHECK=${GOVULNCHECK:-go run golang.org/x/vuln/cmd/govulncheck@v1.8.0}
VULNDB=${VULNDB:-https://vuln.go.dev}
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp)
trap 'rm -f "$out"' EXIT

status=0
"$here/each.sh" "$GOVULNCHECK -db '$VULNDB' ./..." "$@" >"$out" 2>&1 || status=$?
cat "$out"
# No name, no route or no answer. A database that answers and is broken, and
# everything else that goes wrong, is a failure.
unreachable='^govulncheck: fetching vulnerabilities: Get "[^"]*": .*(dial|lookup|timeout|connection (refused|reset)|no route|unreachable)'
if ((status)) && grep -qE "$unreachable" "$out"; then
	printf '\nNOT CHECKED: the vulnerability database %s cannot be reached from here.\n' "$VULNDB"
	exit 0
fi
exit "$status"
