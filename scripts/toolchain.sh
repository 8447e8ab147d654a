#!/bin/sh
# Installs the compilers and emulators that `tinyptq doctor` misses, or prints the line that does.
set -eu
cd "$(dirname "$0")/.."
packages=$(.venv/bin/tinyptq doctor --missing)
# One word per package is meant.
# shellcheck disable=SC2086
[ -z "$packages" ] || sh scripts/apt.sh $packages
