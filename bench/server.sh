# Sourced by the scripts beside it: a server of bin/odometer over a fresh data
# directory below $TMPDIR, gone when the script ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x bin/odometer ] || make -s build

work=$(mktemp -d "${TMPDIR:-/tmp}/odometer-bench-XXXXXX")
data=$work/data
server=

# start begins serving and waits until ready; $milliseconds is how long that took.
start() {
	local began ended
	began=$(date +%s%N)
	: >"$work/out"
	bin/odometer serve --data "$data" --listen 127.0.0.1:0 --log-level warn "$@" >"$work/out" 2>>"$work/log" </dev/null &
	server=$!
	until grep -q '^listening: ' "$work/out"; do
		kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
		sleep 0.005
	done
	ended=$(date +%s%N)
	milliseconds=$(((ended - began) / 1000000))
	ODOMETER_URL=$(sed -n 's/^listening: //p' "$work/out")
	grep -q '^admin key file: ' "$work/out" && ODOMETER_KEY=$(cat "$(sed -n 's/^admin key file: //p' "$work/out")")
	export ODOMETER_URL ODOMETER_KEY
}

# stop ends the server, by default as an operator would.
stop() {
	[ -n "$server" ] || return 0
	kill "-${1:-TERM}" "$server" 2>/dev/null || { echo "the server had ended:"; tail -20 "$work/log"; } >&2
	wait "$server" 2>/dev/null || true
	server=
}

# fresh starts over.
fresh() {
	stop
	rm -rf "$data"
	start "$@"
}

# peak prints the largest resident size the server ever had.
peak() {
	awk '/VmHWM/ {printf "peak resident size of the server: %d MiB\n", $2/1024}' "/proc/$server/status"
}

title() { printf '\n== %s\n' "$*"; }

cleanup() {
	stop KILL
	rm -rf "$work"
}
trap cleanup EXIT
