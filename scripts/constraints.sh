#!/usr/bin/env bash
# Makes constraints/pythonX.Y.txt, the set that scripts/setup.sh installs, for every Python that it
# takes; none of them is needed for this, and nothing is downloaded but lists. What stands there
# stays while setup.cfg allows it. Arguments go to `uv pip compile`: --upgrade for the newest versions
# (which the workflow `newest` tests every week), --upgrade --resolution lowest-direct for the oldest
# that setup.cfg allows, --upgrade-package NAME for one alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v uv >/dev/null || { echo "constraints: uv is wanted: pip install uv" >&2; exit 1; }

for version in 3.10 3.11 3.12 3.13 3.14; do
    file="constraints/python$version.txt"
    [[ -e "$file" ]] || cp constraints/python3.11.txt "$file"
    # beside what setup.cfg asks for, what builds fairseq
    printf '%s\n' 'Cython>=3' 'setuptools>=70' 'wheel>=0.40' |
        uv pip compile --quiet --python-version "$version" --all-extras --no-annotate \
            --custom-compile-command "bash scripts/constraints.sh" \
            --output-file "$file" "$@" setup.cfg -
    # Triton and CUDA's libraries: every torch wants its own, and says so itself
    sed -i -E '/^(cuda|nvidia|triton)\b/d' "$file"
done
