#!/bin/sh
# Installs Debian packages when this user may, else prints the exact line and fails: `apt.sh PACKAGE...`
set -eu
line="apt-get install -y --no-install-recommends $*"

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

if ! command -v apt-get >/dev/null 2>&1; then
    printf 'missing: %s (Debian names); install them with this system'"'"'s package manager\n' "$*" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    printf 'missing packages; run this line, then again what you ran:\n  sudo %s\n' "$line" >&2
    exit 1
fi
printf 'installing: %s\n' "$*" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! as_root $line >/dev/null 2>&1; then
    as_root apt-get update >/dev/null
    as_root $line >/dev/null
fi
