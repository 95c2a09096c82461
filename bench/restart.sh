#!/usr/bin/env bash
# kill -9 with EVENTS= (10000000) stored, the time until the server is ready
# again, then RESEND= (10000) of them sent again: all duplicates, no total changed.
source "$(dirname "$0")/server.sh"

title "${EVENTS:-10000000} events, kill -9, start, ${RESEND:-10000} events again"
start
bin/odometer load --profile batch-1000 --events "${EVENTS:-10000000}" --save "$work/run.json" --data "$data"
stop KILL
start
echo "ready after $milliseconds ms"
bin/odometer load --resend "$work/run.json" --events "${RESEND:-10000}"
