#!/usr/bin/env bash
# fairseq's own tests of its commands under the plugin, first as they are, then with this package's
# architectures in place of fairseq's:
#
#     bash scripts/upstream.sh FAIRSEQ [LOGS]
#
# FAIRSEQ is a checkout of fairseq, of which tests/ and examples/ are copied; what is tested is the
# fairseq that is installed. Each run's output is in the folder LOGS (default: a new one). It takes
# about 20 minutes of one core, and ends with 1 where a test failed (ROBUSTNESS.md says which do).
set -euo pipefail

fairseq=${1:?the folder of a checkout of fairseq}
logs=$(realpath "${2:-$(mktemp -d)}")
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -r "$fairseq/tests" "$fairseq/examples" "$copy"
echo "import fairseq_lstmn" >> "$copy/tests/__init__.py"  # as --user-dir does it
cd "$copy"

# run LOG TEST... : run unittests, then print which failed and how many there were
run() {
    local log=$logs/$1.log status=0
    python -m unittest "${@:2}" > "$log" 2>&1 || status=1
    echo "$log"
    grep -E "^(ERROR|FAIL): |^Ran |^OK|^FAILED" "$log"
    return $status
}

failed=0
run as_they_are tests.test_binaries tests.test_reproducibility || failed=1

# those that name one of these architectures; --nval is an option of the transformer alone
sed -i -e 's/"fconv_iwslt_de_en"/"lstmn_shallow_iwslt_de_en"/' \
    -e 's/"lstm_wiseman_iwslt_de_en"/"lstmn_deep_iwslt_de_en"/' \
    -e 's/"lstm"/"lstmn"/' -e 's/"lstm_lm"/"lstmn_lm"/' \
    -e 's/"transformer_lm"/"lstmn_lm"/' -e 's/, "--nval", "1"//' \
    tests/test_binaries.py tests/test_reproducibility.py
translation=(fconv raw update_freq max_positions generation eval_bleu lstm lstm_bidirectional)
language=(transformer_lm transformer_lm_with_adaptive_softmax lstm_lm lstm_lm_residuals)
run with_our_architectures \
    "${translation[@]/#/tests.test_binaries.TestTranslation.test_}" \
    "${language[@]/#/tests.test_binaries.TestLanguageModeling.test_}" \
    tests.test_binaries.TestOptimizers tests.test_reproducibility || failed=1
exit $failed
