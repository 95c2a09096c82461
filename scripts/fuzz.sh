#!/usr/bin/env bash
# Runs every fuzz target of the repository for the given time each (default 30s).
set -euo pipefail

cd "$(dirname "$0")/.."
time=${1:-30s}
failed=0
while IFS=: read -r file _ line; do
	target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
	echo "== $target in $(dirname "$file")"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")" || failed=1
done < <(git grep -n '^func Fuzz' -- '*_test.go')
exit $failed
