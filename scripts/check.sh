#!/usr/bin/env bash
# Sets up if needed, then looks at the code without running it: layout, rules of ruff, types.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
ruff format --check
ruff check
mypy
