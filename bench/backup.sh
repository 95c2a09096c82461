#!/usr/bin/env bash
# A backup while EVENTS= (10000000) are coming in, restored elsewhere and verified.
source "$(dirname "$0")/server.sh"

title "backup during a load of ${EVENTS:-10000000} events"
start
bin/odometer load --profile batch-1000 --events "${EVENTS:-10000000}" >"$work/load.txt" &
loading=$!
sleep 5
time bin/odometer backup "$work/backup"
wait "$loading"
cat "$work/load.txt"
stop
bin/odometer restore "$work/backup" --data "$work/restored"
time bin/odometer verify --data "$work/restored"
