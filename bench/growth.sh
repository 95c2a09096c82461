#!/usr/bin/env bash
# As fast with many as with few: one row for each number of customers, services,
# organizations, meters and days, each on a fresh data directory, and one table.
# ROWS= is a regular expression of the names of rows. EVENTS= (3000000) of each
# row; groups-20m takes ten times as many. TIMEOUT= (180) seconds of sending and
# of starting again, of groups-20m five times as many. MOST= (half of the memory)
# MiB: a server that takes more is ended. Each row has a report in KEEP=, if given.
source "$(dirname "$0")/server.sh"
events=${EVENTS:-3000000}
seconds=${TIMEOUT:-180}
most=${MOST:-$(awk '/MemTotal/ {print int($2/2048)}' /proc/meminfo)}
table=$work/table

# name, times of EVENTS, times of TIMEOUT, flags of load
rows='
1k-customers-x5-day        1  1 --customers 1000 --services 5000 --span 24h
10k-customers-day          1  1 --customers 10000 --span 24h
100k-customers-day         1  1 --customers 100000 --span 24h
1m-customers-day           1  1 --customers 1000000 --span 24h
1m-customers-x5-month      1  1 --customers 1000000 --services 5000000 --span 31d
10k-customers-x5-month     1  1 --customers 10000 --services 50000 --span 31d
1k-organizations-of-1k-day 1  1 --customers 1000000 --organizations 1000 --span 24h
1-meter                    1  1 --customers 1000 --services 5000 --span 24h --meters 1
10-meters                  1  1 --customers 1000 --services 5000 --span 24h --meters 10
30-meters                  1  1 --customers 1000 --services 5000 --span 24h --meters 30
31-days                    1  1 --customers 1000 --services 5000 --span 31d
365-days                   1  1 --customers 1000 --services 5000 --span 365d
groups-20m                10  5 --customers 4000000 --services 20000000 --span 24h --meters 1
'

# number prints one of the report's whole numbers, the first of that name; "-" without one.
number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$work/report" | head -1 | grep . || echo -; }

milliseconds_of() { awk -v n="$1" 'BEGIN { if (n == "-") print n; else printf "%.1f", n / 1e6 }'; }

# guard ends a server that takes far more than it may, before the machine does.
guard() {
	local now
	while kill -0 "$1" 2>/dev/null; do
		now=$(awk '/VmRSS/ {print int($2/1024)}' "/proc/$1/status" 2>/dev/null || true)
		if [ "${now:-0}" -gt "$most" ]; then
			echo "server ended past $most MiB" >"$work/ended"
			kill -KILL "$1" 2>/dev/null || true
		fi
		sleep 0.5
	done
}

# again kills the server and starts another over its data; $restart is how many
# milliseconds that took, or that it took more than so many seconds.
again() {
	stop KILL
	local began
	began=$(date +%s%N)
	: >"$work/out"
	bin/odometer serve --data "$data" --listen 127.0.0.1:0 --log-level warn >"$work/out" 2>>"$work/log" </dev/null &
	server=$!
	guard "$server" &
	until grep -q '^listening: ' "$work/out"; do
		if ! kill -0 "$server" 2>/dev/null; then
			restart=failed
			return
		fi
		if [ $((($(date +%s%N) - began) / 1000000000)) -ge "$1" ]; then
			restart=">${1}s"
			return
		fi
		sleep 0.005
	done
	restart=$((($(date +%s%N) - began) / 1000000))
}

measure() { # name, events, seconds, flags
	local name=$1 wanted=$2 limit=$3 sent remarks=() status=0 peak page month
	shift 3
	title "$name, load average $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || echo unknown)"
	rm -f "$work/ended" "$work/report"
	fresh
	guard "$server" &
	# What is not sending has limits of its own: a minute for all totals, and for each question.
	timeout --kill-after 5 $((limit + 300)) bin/odometer load --data "$data" --connections 16 --events "$wanted" --duration "${limit}s" \
		--queries 1 --json "$@" >"$work/report" 2>"$work/said" || status=$?
	if [ -n "${KEEP:-}" ]; then cp "$work/report" "$KEEP/$name.json"; fi
	peak=$(awk '/VmHWM/ {print int($2/1024)}' "/proc/$server/status" 2>/dev/null || true)
	again "$limit"
	sent=$(number accepted)
	if [ "$sent" = - ]; then remarks+=("no report"); elif [ "$sent" -lt "$wanted" ]; then remarks+=("out of time at $sent of $wanted events"); fi
	if [ "$status" -ne 0 ]; then remarks+=("$(head -c 200 "$work/said" | head -1)"); fi
	if [ -f "$work/ended" ]; then remarks+=("$(cat "$work/ended")"); fi
	page=$(sed -n '/"first page of 100 customers"/,/}/p' "$work/report")
	if grep -q '"error"' <<<"$page"; then
		remarks+=("page after $(sed -n 's/.*"p50_ns": \([0-9]*\)[0-9]\{6\},.*/\1/p' <<<"$page") ms: $(sed -n 's/.*"error": "\([^"]\{1,100\}\).*/\1/p' <<<"$page")")
		page=
	else
		page=$(sed -n 's/.*"p50_ns": \([0-9]*\).*/\1/p' <<<"$page")
	fi
	month=$(sed -n '/"month of a customer by service/,/}/p' "$work/report")
	if grep -q '"error"' <<<"$month"; then remarks+=("month: $(sed -n 's/.*"error": "\([^"]\{1,100\}\).*/\1/p' <<<"$month")"); fi
	month="$(milliseconds_of "$(sed -n 's/.*"p50_ns": \([0-9]*\).*/\1/p' <<<"$month" | grep . || echo -)") $(milliseconds_of "$(sed -n 's/.*"max_ns": \([0-9]*\).*/\1/p' <<<"$month" | grep . || echo -)")"
	local line
	printf -v line '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s' "$name" "$(number events_per_second)" "$(number worst_events_per_second)" \
		"$(number last_percent_of_first)" "$(milliseconds_of "$(number p99_ns)")" "${peak:--}" "$restart" "$(number disk_bytes_per_event)" \
		"$(milliseconds_of "${page:--}")" "$month" "$(IFS=';'; echo "${remarks[*]:-}")"
	echo "$line" | tee -a "$table"
}

echo "case	events/s	worst 2 s	last/first %	p99 ms	peak MiB	restart ms	disk B/event	page ms	month ms, most	remarks" >"$table"
while read -r name times patience flags; do
	if [ -z "$name" ] || ! [[ $name =~ ${ROWS:-.} ]]; then continue; fi
	# shellcheck disable=SC2086 # flags are words
	measure "$name" $((times * events)) $((patience * seconds)) $flags </dev/null
done <<<"$rows"

title "$events events a row, load average $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || echo unknown)"
column -t -s '	' "$table" 2>/dev/null || cat "$table"
