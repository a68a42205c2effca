"""What is longer than a model takes is told before anything is trained."""

import pytest

from fairseq_lstmn.errors import InputError
from tests.compare.test_comparison import compared, data  # noqa: F401

SKIP = {"skip-invalid-size-inputs-valid-test": True}
BY_SENTENCE = {"sample-break-mode": "eos", "tokens-per-sample": 8}
OURS = {"lstmn": {"arch": "lstmn_lm"}, "wide": {"arch": "lstmn_lm", "decoder-hidden-size": 9}}


def test_test_blocks_beyond_a_limit_are_refused(compared):  # noqa: F811
    blocks = {"tokens-per-sample": 70}  # 84 tokens, so that one block of two is short
    with pytest.raises(InputError) as error:
        compared(score=blocks)
    assert str(error.value) == (
        "models.lstm: 1 of 2 examples of 'test' are longer than max_positions=20;"
        " see --tokens-per-sample 70, or leave them out by skip-invalid-size-inputs-valid-test"
    )
    assert compared(score={**blocks, **SKIP}).warnings == []
    assert compared(score=blocks, models=OURS, baseline="wide").warnings == []


def test_a_score_of_nothing_is_refused_whatever_is_skipped(compared):  # noqa: F811
    with pytest.raises(InputError, match="models.lstm: 1 of 1 examples of 'test' are longer"):
        compared(train=SKIP, score={"tokens-per-sample": 1024})


def test_validation_examples_beyond_a_limit_are_refused(compared):  # noqa: F811
    with pytest.raises(InputError, match="models.lstm: 10 of 11 examples of 'valid' are longer"):
        compared(train=BY_SENTENCE)


def test_models_that_would_train_on_different_examples_are_refused(compared):  # noqa: F811
    with pytest.raises(InputError, match=r"different examples of 'train' .*\(lstm 37; .*lstmn 0"):
        compared(train={**BY_SENTENCE, **SKIP})


def test_what_all_models_leave_out_of_training_is_said(compared):  # noqa: F811
    experiment = compared(train={**BY_SENTENCE, **SKIP, "max-target-positions": 8})
    assert experiment.warnings == [
        "Trained on 23 of 60 examples of 'train'; the others are too long."
    ]
