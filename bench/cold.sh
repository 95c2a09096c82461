#!/usr/bin/env bash
# From nothing to the demo's first figure: fetches every module and compiles
# everything, with caches of its own, and prints what that takes. The machine's
# caches stay as they are. TREES= (this one) may name several checkouts, which
# take turns, ROUNDS= (1) times, each with cgo or without as its README says.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
read -ra trees <<<"${TREES:-$here}"
demo() { # until it has printed its figures; prints seconds, user and sys
  TIMEFORMAT='%R %U %S'
  { time {
    coproc DEMO { exec go run ./cmd/odometer demo --listen 127.0.0.1:0 2>"$work/demo.err"; }
    pid=$DEMO_PID
    while read -r line <&"${DEMO[0]}"; do
      case $line in Ctrl-C*) break ;; esac
    done
    for child in $(ps -o pid= --ppid "$pid"); do kill -INT "$child"; done # go run's program; go run ends with it
    wait "$pid" || true
  } 2>"$work/noise"; } 2>&1
}
printf '%-24s %8s %8s %8s %8s %9s %8s\n' tree wall user sys modules fetched binary
for ((round = 0; round < ${ROUNDS:-1}; round++)); do
  for tree in "${trees[@]}"; do
    work=$(mktemp -d)
    export GOMODCACHE=$work/mod GOCACHE=$work/cache GOFLAGS=-modcacherw
    cd "$tree"
    if grep -q '^CGO_ENABLED=0 go run ./cmd/odometer demo' README.md; then export CGO_ENABLED=0; else unset CGO_ENABLED; fi
    read -r wall user sys < <(demo)
    modules=$(find "$work/mod/cache/download" -name '*.zip' | wc -l)
    fetched=$(find "$work/mod/cache/download" -type f -not -path '*/sumdb/*' -printf '%s\n' | awk '{ n += $1 } END { printf "%.1f", n / 1e6 }')
    go build -ldflags '-s -w' -o "$work/odometer" ./cmd/odometer
    binary=$(stat -c %s "$work/odometer" | awk '{ printf "%.1f", $1 / 1e6 }')
    printf '%-24s %8s %8s %8s %8s %6s MB %5s MB\n' "$(basename "$tree")" "$wall" "$user" "$sys" "$modules" "$fetched" "$binary"
    rm -rf "$work"
  done
done
