#!/usr/bin/env bash
# Installs Debian packages that tests need, unless their commands are there.
# usage: setup-apt.sh COMMAND:PACKAGE...
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in "$@"; do
	command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "the tests need ${missing[*]}; install them and run this again" >&2
	exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo -n)
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
{
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
} </dev/null >/dev/null
