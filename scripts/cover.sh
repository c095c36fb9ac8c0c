#!/usr/bin/env bash
# Prints how many statements of each package of the library the tests of the root
# module run, those of other packages among them, and fails below FLOOR percent
# of a package that the guarantees rest on. What is left is in PROFILE:
# go tool cover -html=PROFILE.
#
# Usage: scripts/cover.sh [PROFILE]
#
# What no test runs, and why:
#   - that a file could not be closed, or its absolute path or JSON not be made, and
#     that a rename failed after the old file was read: nothing short of a broken
#     file system does that (leadership, acceptor);
#   - the second half of a race that a test cannot order: a drain or a promise
#     between two atomic steps. The enumerated interleavings and the simulations walk
#     through many such orders, and longer runs through more (lameduck, acceptor,
#     buffer);
#   - errors of a callee that validates again what its caller has: kept, because the
#     order of the two may change (leadership, reparent);
#   - Error and String methods that print one field (buffer).
# Whatever else shows up is a test that is missing.
#
# The simulations run as few seeds as under the race detector: more of them find
# more faults, and run the same statements.
set -euo pipefail

FLOOR=${FLOOR:-95}
profile=${1:-$(mktemp -t cover.XXXXXX)}
floored=(leadership leadership/acceptor revoke establish reparent lameduck buffer)
others=(buffer/httpbuffer buffer/sqlbuffer internal/durable)

packages=$(printf ',./%s' "${floored[@]}" "${others[@]}")
if ! out=$(TENURE_SEEDS=30 go test -short -timeout 10m -coverprofile="$profile" -coverpkg="${packages#,}" \
	./leadership/... ./revoke ./establish ./reparent/... ./lameduck ./buffer/... ./internal/durable 2>&1); then
	printf '%s\n' "$out"
	exit 1
fi

# A block is in the profile once for each package whose tests could run it.
awk -v floored=" ${floored[*]} " -v floor="$FLOOR" -v module="$(go list -m)/" '
	NR > 1 {
		split($1, at, ":")
		pkg = at[1]
		sub("/[^/]*$", "", pkg)
		sub(module, "", pkg)
		if (!($1 in size)) { size[$1] = $2; of[$1] = pkg }
		if ($3 > 0) ran[$1] = 1
	}
	END {
		for (b in size) { all[of[b]] += size[b]; if (b in ran) run[of[b]] += size[b] }
		printf "%-24s %10s %8s %8s\n", "package", "statements", "not run", "run"
		for (p in all) {
			share = 100 * run[p] / all[p]
			low = index(floored, " " p " ") && share < floor
			bad += low
			printf "%-24s %10d %8d %7.1f%%%s\n", p, all[p], all[p] - run[p], share, low ? "  below " floor "%" : "" | "sort"
		}
		close("sort")
		exit bad > 0
	}' "$profile" || { printf 'more than %s%% of these have to run\n' "$FLOOR"; exit 1; }
printf 'what did not: go tool cover -html=%s\n' "$profile"
