#!/usr/bin/env bash
# Runs a command in each of some modules, from its directory, and stops at the
# first that fails. A module that asks for a newer Go than there is, when another may
# not be fetched (GOTOOLCHAIN without auto), is named and left out.
#
# Usage: scripts/each.sh 'COMMAND' DIR...
set -euo pipefail

command=$1
shift
have=$(go env GOVERSION)
have=${have#go}
have=${have%% *}
for dir; do
	need=$(awk '$1 == "go" { print $2; exit }' "$dir/go.mod")
	newest=$(printf '%s\n' "$need" "$have" | sort -V | tail -n 1)
	if [[ $(go env GOTOOLCHAIN) != *@(auto|path) && $newest != "$have" ]]; then
		printf '== %s: LEFT OUT, it needs go %s and this is %s\n' "$dir" "$need" "$have"
		continue
	fi
	printf '== %s\n' "$dir"
	(cd "$dir" && eval "$command")
done
