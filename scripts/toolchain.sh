#!/bin/sh
# Installs the compilers and emulators that `tinyptq doctor` misses, or prints the line that does.
# `toolchain.sh dev` adds what only the test suite uses: a second compiler, and CMake.
set -eu
cd "$(dirname "$0")/.."
packages=$(.venv/bin/tinyptq doctor --missing)
if [ "${1:-}" = dev ]; then
    command -v clang >/dev/null || command -v clang-19 >/dev/null || packages="$packages clang"
    command -v cmake >/dev/null || packages="$packages cmake"
fi
# One word per package is meant.
# shellcheck disable=SC2086
[ -z "$packages" ] || sh scripts/apt.sh $packages
