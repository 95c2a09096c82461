#!/usr/bin/env bash
# The dearest events that an ingest key may send, a kind after the other, each
# against a fresh server: what it takes at most (VmHWM), and what it takes
# when it is killed and started again. ATTACKS= names some of them; DIVIDE= (1)
# sends a part; a server that passes MOST= (1536) MiB fails the script.
source "$(dirname "$0")/server.sh"
most=${MOST:-1536}
go build -trimpath -o "$work/attack" ./bench/attack
status=0

high() { awk '/VmHWM/ {print int($2/1024)}' "/proc/$server/status" 2>/dev/null || echo 0; }

# guard ends a server that takes far more than it may, before the machine does.
guard() {
	while kill -0 "$1" 2>/dev/null; do
		local now
		now=$(awk '/VmRSS/ {print int($2/1024)}' "/proc/$1/status" 2>/dev/null || true)
		if [ "${now:-0}" -gt $((3 * most)) ]; then
			kill -KILL "$1"
		fi
		sleep 0.1
	done
}

judge() {
	printf '%-10s %6d MiB at most\n' "$1" "$2"
	if [ "$2" -gt "$most" ] || [ "$2" -eq 0 ]; then
		echo "  more than $most MiB, or gone"
		status=1
	fi
}

for attack in ${ATTACKS:-long-texts group-texts values subjects sources types names numbers conflicts rejections many-organizations many-meters}; do
	title "$attack"
	fresh
	key=$ODOMETER_KEY
	guard "$server" &
	"$work/attack" -attack "$attack" -divide "${DIVIDE:-1}" || status=1
	judge attacked "$(high)"
	stop KILL
	start
	ODOMETER_KEY=$key
	judge restarted "$(high)"
	echo "ready after $milliseconds ms"
done
exit $status
