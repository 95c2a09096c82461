#!/usr/bin/env bash
# The vendors' APIs over a catalog of size and a month of usage: median and
# p99 of each, how long apply takes, and the server's memory. EVENTS= (5000000),
# REQUESTS= (1000) of each kind, CATALOG= a postgres:// address, empty for SQLite.
source "$(dirname "$0")/server.sh"

title "surfaces, load average $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || echo unknown)"
start --thousandeyes.rate-limit 0 ${CATALOG:+--catalog "$CATALOG"} ${PPROF:+--pprof-listen "$PPROF"}
bin/odometer load --profile surfaces --events "${EVENTS:-5000000}" --queries "${REQUESTS:-1000}"
peak
