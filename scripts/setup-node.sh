#!/usr/bin/env bash
# Installs exactly what the package-lock.json of a folder names into its
# node_modules, unless it is there already.
# usage: setup-node.sh FOLDER
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$1"
made=node_modules/.installed-lock.json # copied last: its presence says that all went well

if ! cmp -s package-lock.json "$made"; then
	"$root/scripts/setup-apt.sh" node:nodejs npm:npm
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	cp package-lock.json "$made"
fi
