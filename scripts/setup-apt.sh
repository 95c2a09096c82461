#!/usr/bin/env bash
# Installs Debian packages that tests need, unless their commands are there.
# usage: setup-apt.sh COMMAND:PACKAGE...
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
for folder in /usr/lib/postgresql/*/bin; do # Debian leaves PostgreSQL's own programs out of the path
	PATH=$PATH:$folder
done
missing=()
find_missing() {
	missing=()
	for pair in "$@"; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
}
find_missing "$@"
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "the tests need ${missing[*]}; install them and run this again" >&2
	exit 1
fi
# Several packages of tests may want something at once; apt has one at a time.
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$root/.tmp"
exec 9>"$root/.tmp/setup-apt.lock"
flock 9
find_missing "$@"
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo -n)
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt_install() {
	"${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@"
}

# The tests start a PostgreSQL of their own. The one that Debian makes and
# starts when it installs the package would only be in the way.
install_postgresql() {
	local settings=/etc/postgresql-common/createcluster.conf
	apt_install postgresql-common
	"${as_root[@]}" cp -p "$settings" "$settings.before"
	echo 'create_main_cluster = false' | "${as_root[@]}" tee -a "$settings"
	local status=0
	apt_install postgresql || status=$?
	"${as_root[@]}" mv "$settings.before" "$settings"
	return "$status"
}

{
	"${as_root[@]}" apt-get update -qq
	for package in "${missing[@]}"; do
		case $package in
		postgresql) install_postgresql ;;
		*) apt_install "$package" ;;
		esac
	done
} </dev/null >/dev/null 9>&- # what a package starts must not keep the lock
