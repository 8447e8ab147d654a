#!/bin/sh
# Makes .venv and installs tinyptq into it: `environment.sh demo` for users, `environment.sh dev` for the test suite.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-demo}
stamp=.venv/.tinyptq-$purpose

say() { printf '%s\n' "$*" >&2; }

newest_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    say "no Python 3.11 or newer found; on Debian or Ubuntu: sudo apt-get install -y python3 python3-venv"
    exit 1
}

make_venv() {
    [ -x .venv/bin/pip ] && return
    python=$(newest_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        sh scripts/apt.sh python3-venv
    fi
    "$python" -m venv .venv
}

install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }

# tflite-micro is published as nightly builds that are withdrawn after a while: take the pin, else the newest one.
install_with_oracle() {
    if ! install --constraint scripts/constraints.txt -e "$1"; then
        say "note: $(grep '^tflite-micro' scripts/constraints.txt) cannot be installed; taking the newest pre-release"
        install --pre --upgrade-strategy only-if-needed tflite-micro
        install -e "$1"
        say "note: using $(.venv/bin/python -m pip freeze | grep '^tflite.micro')"
    fi
}

if [ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt scripts/constraints.txt ]; then
    exit 0
fi
make_venv
if [ "$purpose" = dev ]; then
    install_with_oracle '.[litert,verify,dev]'
else
    # The extras are checks on top; a machine for which no such wheel exists still gets its firmware.
    install -e '.[litert]' 2>/dev/null || install -e .
fi
touch "$stamp"
