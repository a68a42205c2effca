#!/usr/bin/env bash
# Checks, times and profiles the recurrence on this machine's GPU, some five minutes, and writes
# gpu-report.md. By the Python that PYTHON names or .venv's: torch 2.11 and Triton 3.6 are enough,
# trainings need fairseq too. --cpu does the same on small sizes by Triton's interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-.venv/bin/python}"
command -v "$python" >/dev/null || python=python3
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" scripts/gpu "$@"
