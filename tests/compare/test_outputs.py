"""What the scoring commands write, read item by item; the flows are in tests/flows."""

import numpy as np
import pytest

from fairseq_lstmn.compare.kinds.outputs import (
    read_answers,
    read_recalled,
    read_tokens,
    read_translations,
)

EVALUATED = "INFO:fairseq_cli.eval_lm:Evaluated 5 tokens in 0.0s (200.50 tokens/s)\n"
PERPLEXITY = "INFO:fairseq_cli.eval_lm:Loss (base 2): 4.3, Perplexity: 20.02\n"


@pytest.mark.parametrize(
    "begins",
    ["INFO:fairseq_cli.eval_lm:", "2026-11-28 14:26:05 | INFO | fairseq_cli.eval_lm | "],
    ids=["as by hydra 1.3", "as by hydra 1.0"],
)
def test_tokens_are_in_the_order_of_the_text(tmp_path, begins):
    log = (
        f"{begins}1 [ [-3.250000]\t</s> [-0.125000]\n"
        f"{begins}0 a [-1.500000]\tb [-2.000000]\t\x85 [-2.500000]\n"
    )
    items, speed, numbers, left_out = read_tokens(tmp_path, log + EVALUATED + PERPLEXITY)
    assert items.words == ["a", "b", "\x85", "[", "</s>"] and speed == 200.5
    assert (numbers, left_out) == ([0, 1], 0)
    np.testing.assert_array_equal(items.log_probabilities, [-1.5, -2, -2.5, -3.25, -0.125])


@pytest.mark.parametrize("log", ["", EVALUATED, "INFO:fairseq_cli.eval_lm:0 a [-1.500000]\n"])
def test_a_scoring_that_has_not_come_to_its_end_gives_nothing(tmp_path, log):
    assert read_tokens(tmp_path, log) is None
    assert read_translations(tmp_path, log) is None
    assert read_answers(tmp_path, log) is None
    assert read_recalled(tmp_path, log) is None


def test_translations_are_the_best_hypotheses_by_number(tmp_path):
    (tmp_path / "generate-test.txt").write_text(
        "S-1\tdu\nT-1\tyou\nH-1\t-0.5\tyou@@\nD-1\t-0.5\tyou\nP-1\t-0.5\n"
        "H-1\t-0.9\tthou\nD-1\t-0.9\tthou\n"
        "S-0\tich bin\nT-0\tI am\nH-0\t-1\t\nD-0\t-1\t\nP-0\t\n"
        "Generate test with beam=5: BLEU4 = 0.00\n"
    )
    log = "... Translated 2 sentences (9 tokens) in 0.1s (20.00 sentences/s, 90.00 tokens/s)\n"
    skipped = "1,{} samples have invalid sizes and will be skipped, max_positions=(5, 5)\n"
    log = skipped.format("000") + skipped.format("001") + log  # it was killed and began anew
    items, speed, numbers, left_out = read_translations(tmp_path, log)
    assert (numbers, left_out) == ([0, 1], 1_001)
    assert (items.sources, items.hypotheses, items.references, speed) == (
        ["ich bin", "du"],
        ["", "you"],
        ["I am", "you"],
        20.0,
    )
