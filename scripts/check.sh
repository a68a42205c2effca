#!/usr/bin/env bash
# Sets up if needed, then looks at the code without running it: layout, rules of ruff, types.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
ruff format --check
ruff check
mypy
# their modules find each other by lying side by side
for folder in examples/*/ scripts/ scripts/gpu/; do
    if compgen -G "$folder*.py" >/dev/null; then
        mypy --no-explicit-package-bases "$folder"*.py
    fi
done
