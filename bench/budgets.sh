#!/usr/bin/env bash
# The budgets of docs/performance.md, one table each. DURATION= (20s) of each
# load; EVENTS= (50000000) of the long run.
source "$(dirname "$0")/server.sh"
duration=${DURATION:-20s}

load() { bin/odometer load --data "$data" "$@"; }

for profile in batch-1000 batch-100 batch-1 month duplicates single-organization many-customers; do
	title "$profile"
	fresh
	case $profile in
	batch-1000)
		load --profile "$profile" --duration "$duration" --ceiling 4s --json >"$work/first.json"
		rate=$(sed -n 's/.*"events_per_second": \([0-9]*\),.*/\1/p' "$work/first.json" | head -1)
		fresh
		load --profile "$profile" --duration "$duration" --ceiling 4s
		title "$profile at half of $rate events/s"
		load --profile "$profile" --duration 60s --rate $((rate / 2))
		;;
	month) load --profile "$profile" --events 5000000 --queries 50 ;;
	*) load --profile "$profile" --duration "$duration" ;;
	esac
	peak
done

title "${EVENTS:-50000000} events"
fresh
load --profile batch-1000 --events "${EVENTS:-50000000}"
peak

bench/restart.sh
