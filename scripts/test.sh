#!/usr/bin/env bash
# Sets up if needed, then runs the whole test suite, two files at a time; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
export OMP_NUM_THREADS=1
fairseq-lstmn build
# in the order of tests/conftest.py
exec python -m pytest -rs --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
