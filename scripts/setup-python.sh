#!/usr/bin/env bash
# Makes .tmp/python/NAME, a virtual environment with exactly what a file of
# pinned and hashed requirements names, unless it is there already. Prints the
# path of its interpreter.
# usage: setup-python.sh NAME REQUIREMENTS
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
name=$1
requirements=$2
venv=$root/.tmp/python/$name
made=$venv/requirements.txt # copied last: its presence says that all went well

if ! cmp -s "$requirements" "$made"; then
	"$root/scripts/setup-apt.sh" python3:python3 >&2
	if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		"$root/scripts/setup-apt.sh" python3-venv-is-missing:python3-venv >&2
	fi
	rm -rf "$venv"
	mkdir -p "$(dirname "$venv")"
	python3 -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
		-r "$requirements" >&2
	cp "$requirements" "$made"
fi
echo "$venv/bin/python"
