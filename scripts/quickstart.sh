#!/usr/bin/env bash
# Sets up if needed, then trains and scores small models on real text: see quickstart.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
fairseq-lstmn build
exec python scripts/quickstart.py
