#!/usr/bin/env bash
# Creates .venv with the tested set of constraints/ and this checkout (editable) in it, by the best
# supported Python on the PATH or the one that PYTHON names. A finished environment is used again;
# a half-finished or outdated one, or one of another Python than PYTHON, is made anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=.venv/fairseq-lstmn-setup
supported=(3.11 3.12 3.13 3.10 3.14) # the best supported first
untested=3.14

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
is_supported() { [[ " ${supported[*]} " == *" $1 "* ]]; }

# The Python that $1 is of: in an environment, which may be the one to be replaced, its base.
base_of() {
    local in_environment='import sys; sys.exit(sys.prefix == sys.base_prefix)'
    local base='import sys; print("%s/bin/python%d.%d" % (sys.base_prefix, *sys.version_info[:2]))'
    if "$1" -c "$in_environment"; then "$1" -c "$base"; else command -v "$1"; fi
}

# Prints the Python to take.
find_python() {
    local candidate version
    if [[ -n "${PYTHON:-}" ]]; then
        version="$(version_of "$PYTHON")" || fail "PYTHON=$PYTHON: cannot be run"
        is_supported "$version" ||
            fail "PYTHON=$PYTHON: is Python $version; fairseq and this plugin run on 3.10 to 3.14"
        base_of "$PYTHON"
        return
    fi
    for candidate in "${supported[@]/#/python}" python3; do
        version="$(version_of "$candidate")" && is_supported "$version" || continue
        base_of "$candidate"
        return
    done
    command -v uv >/dev/null ||
        fail "Python 3.10 to 3.14 is wanted and none is on the PATH: PYTHON=... names one," \
            "or where uv is installed it fetches one"
    say "no Python 3.10 to 3.14 on the PATH: uv fetches Python ${supported[0]}"
    uv python install --quiet "${supported[0]}" >&2
    uv python find --system "${supported[0]}"
}

check_compiler() {
    command -v "${CXX:-c++}" >/dev/null || command -v g++ >/dev/null ||
        fail "a C++ compiler is wanted (for the recurrence, and by fairseq): no c++ or g++" \
            "on the PATH"
    # the one wheel that there is of fairseq for these Pythons
    [[ "$(version_of "$1") $(uname -sm)" != "3.12 Linux x86_64" ]] || return 0
    "$1" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
        2>/dev/null || fail "$1 lacks its C headers (Python.h), which fairseq's extensions need"
}

# What an environment of Python $1 is made from.
fingerprint() {
    { pwd; cat setup.cfg "constraints/python$1.txt" scripts/setup.sh; } | sha256sum
}

# Whether .venv is finished and as wanted.
is_finished() {
    local version made_from
    { read -r version && read -r made_from; } 2>/dev/null <"$stamp" || return
    [[ -z "${PYTHON:-}" || "$(version_of "$PYTHON")" == "$version" ]] || return
    is_supported "$version" && [[ "$made_from" == "$(fingerprint "$version")" ]]
}

# pip, with only the lines that show how far it has got; Python compiles what it imports, while pip
# would compile all of torch and more, which takes two thirds of an installation
install() {
    .venv/bin/python -m pip install --no-build-isolation --no-compile --progress-bar off "$@" |
        sed -u -n -E 's/^ *((Collecting|Building|Installing) .*)/  \1/p'
}

create_environment() {
    local version fairseq
    version="$(version_of "$1")"
    # nothing is built in isolation: a build of fairseq would fetch a torch of its own for it,
    # gigabytes with CUDA in them
    export PIP_CONSTRAINT="$PWD/constraints/python$version.txt" PIP_DISABLE_PIP_VERSION_CHECK=1
    rm -rf .venv
    mkdir .venv
    echo unfinished >"$stamp"
    say "1/3 a new environment in $PWD/.venv, by $1 (Python $version)"
    [[ "$version" != "$untested" ]] ||
        say "Python $version: nobody has run the tests on it; INSTALL.md says what is known of it"
    "$1" -m venv .venv
    say "2/3 fairseq, without its extensions for speech"
    install numpy Cython setuptools wheel
    fairseq="$(sed -n '/^fairseq/p' "$PIP_CONSTRAINT")"
    # not from pip's cache nor into it, where other environments would find it incomplete
    PYTHONPATH="$PWD/scripts/setup/without_torch" install --no-deps --no-cache-dir "$fairseq"
    say "3/3 torch and fairseq-lstmn"
    install --editable '.[test,check,triton]'
    { echo "$version"; fingerprint "$version"; } >"$stamp"
}

is_finished && exit 0
[[ ! -e .venv || -e "$stamp" ]] ||
    fail "$PWD/.venv is not of this script's making: move it away and try again"
python="$(find_python)"
check_compiler "$python"
create_environment "$python"
say "done"
