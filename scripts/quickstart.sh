#!/usr/bin/env bash
# Sets up if needed, then compares small models on associative recall, on real text and on dates in
# words, by the plans in scripts/quickstart/, and says in a few lines and a picture what came out.
# Arguments go to all of the comparisons:
# bash scripts/quickstart.sh 'seeds=[1]'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
# these models are too small for a second thread to help, and two that wait for each other
# on a busy machine are many times slower
export OMP_NUM_THREADS=1
fairseq-lstmn build

prepare_text() {
    rm -rf quickstart/data-bin.part # left by an interrupted run; preprocess would refuse it
    python scripts/reference_text.py quickstart/text
    fairseq-preprocess --only-source --thresholdsrc 2 --destdir quickstart/data-bin.part \
        --trainpref quickstart/text/train.txt --validpref quickstart/text/valid.txt \
        --testpref quickstart/text/test.txt
    cp quickstart/text/normalisation.json quickstart/data-bin.part
    mv quickstart/data-bin.part quickstart/data-bin
}

[[ -e quickstart/data-bin ]] || prepare_text
[[ -e quickstart/dates ]] ||
    python examples/translation/dates_and_numbers.py --dest quickstart/dates

for plan in recall language_models dates; do
    fairseq-lstmn compare "scripts/quickstart/$plan.yaml" "$@" \
        --jobs 2 --dest "quickstart/comparisons/$plan"
done

echo -e "\nthree of the dates, in words (S), right (T) and as the LSTMN says (D):"
# the newest: other seeds or an earlier plan leave theirs there too
decoded=$(ls -t quickstart/comparisons/dates/runs/LSTMN-*/score-*/generate-test.txt | head -1)
grep -E '^[STD]-[0-2]\s' "$decoded" | sort --stable --key 2n,2 --field-separator -

python scripts/quickstart_summary.py quickstart/comparisons
