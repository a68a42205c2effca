#!/usr/bin/env bash
# Creates .venv with the tested set of constraints.txt and this checkout (editable) in it.
# A finished environment is used again; a half-finished or outdated one is made anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=.venv/fairseq-lstmn-setup

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

wanted_stamp() { { pwd; cat constraints.txt setup.cfg; } | sha256sum; }

find_python() {
    local candidate
    for candidate in python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 is wanted and neither python3.11 nor python3 on the PATH is one"
}

check_compiler() {
    command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null ||
        fail "a C++ compiler is wanted (fairseq compiles its extensions): no c++ or g++ on the PATH"
    "$1" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
        2>/dev/null || fail "$1 lacks its C headers (Python.h), which fairseq's extensions need"
}

# pip, with only the lines that show how far it has got
install() {
    .venv/bin/python -m pip install --no-build-isolation --progress-bar off "$@" |
        sed -u -n -E 's/^ *((Collecting|Building|Installing) .*)/  \1/p'
}

create_environment() {
    # torch is pinned for every pip below, and nothing is built in isolation: an isolated
    # build of fairseq would fetch a torch of its own, gigabytes with CUDA in them
    export PIP_CONSTRAINT="$PWD/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1
    rm -rf .venv
    mkdir .venv
    echo unfinished >"$stamp"
    say "1/3 a new environment in $PWD/.venv, by $1"
    "$1" -m venv .venv
    say "2/3 torch and what builds fairseq"
    install torch numpy cython setuptools wheel
    say "3/3 fairseq (compiled here, some minutes) and fairseq-lstmn"
    install --editable '.[test,triton]'
    wanted_stamp >"$stamp"
}

[[ "$(cat "$stamp" 2>/dev/null)" == "$(wanted_stamp)" ]] && exit 0
[[ ! -e .venv || -e "$stamp" ]] ||
    fail "$PWD/.venv is not of this script's making: move it away and try again"
python="$(find_python)"
check_compiler "$python"
create_environment "$python"
say "done"
