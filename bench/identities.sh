#!/usr/bin/env bash
# Takes in IDS= (200000000) events and compares the rate at the end with the
# rate at the start of the same run. Needs about 10 GB of disk and 10 minutes.
source "$(dirname "$0")/server.sh"

title "${IDS:-200000000} remembered identities"
start
bin/odometer load --profile batch-1000 --events "${IDS:-200000000}" --data "$data"
peak
