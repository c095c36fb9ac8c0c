#!/usr/bin/env bash
# Compares the API of the modules that users import with that of their last tag,
# vX.Y.Z for the one at the root and DIR/vX.Y.Z for another. What is incompatible
# fails from v1 on; before that it is printed.
#
# Usage: scripts/api.sh DIR...
set -euo pipefail

APIDIFF=${APIDIFF:-go run golang.org/x/exp/cmd/apidiff@v0.0.0-20261014143641-f0251eb4aa3e}
top=$(git rev-parse --show-toplevel)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A replace directive of a nested module points at the root of the same tree.
tree() {
	mkdir -p "$scratch/$1"
	git -C "$top" archive "$1" | tar -x -C "$scratch/$1"
}

# exported FILE MODULE writes the API of the module in the working directory.
exported() {
	$APIDIFF -m -w "$1" "$2" 2>"$scratch/errors" || {
		cat "$scratch/errors"
		exit 1
	}
}

status=0
for dir; do
	prefix=${dir#.}
	prefix=${prefix:+$prefix/}
	tag=$(git -C "$top" describe --tags --abbrev=0 --match "${prefix}v[0-9]*" 2>/dev/null) || {
		printf '== %s: no tag %sv* to compare with\n' "$dir" "$prefix"
		continue
	}
	module=$(awk '$1 == "module" { print $2; exit }' "$top/$dir/go.mod")
	printf '== %s: since %s\n' "$dir" "$tag"
	[[ -d $scratch/$tag ]] || tree "$tag"
	(cd "$scratch/$tag/$dir" && exported "$scratch/old" "$module")
	(cd "$top/$dir" && exported "$scratch/new" "$module")
	$APIDIFF -m "$scratch/old" "$scratch/new" 2>"$scratch/errors" >"$scratch/diff" || {
		cat "$scratch/errors"
		exit 1
	}
	cat "$scratch/diff"
	if [[ $tag != "${prefix}"v0.* ]] && grep -q '^Incompatible changes:' "$scratch/diff"; then
		printf 'incompatible with %s\n' "$tag"
		status=1
	fi
done
exit "$status"
