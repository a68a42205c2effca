"""A task's default limit of length does not limit a model that has none."""

import pytest
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_lstmn.data.lengths import UNLIMITED

READING = "--task", "sentence_prediction", "--criterion", "sentence_prediction"
LIMITED = "--max-positions", "100"


def task_of(*arguments):
    """The options of the task that these arguments of ``fairseq-train`` stand for."""
    parser = options.get_training_parser()
    args = options.parse_args_and_arch(parser, ["data", *arguments])
    return convert_namespace_to_omegaconf(args).task


@pytest.mark.parametrize(
    "arguments, limit",
    [
        ((*READING, "--arch", "lstmn_classifier"), UNLIMITED),
        ((*READING, "--arch", "tcnn_classifier"), UNLIMITED),
        ((*READING, "--task", "sentence_pair_prediction", "--arch", "lstm_nli"), UNLIMITED),
        ((*READING, "--arch", "lstmn_classifier", *LIMITED), 100),
        ((*READING, "--arch", "lstmn_classifier", "--max-positions=512"), 512),
        ((*READING, "--arch", "lstmn_classifier", "--shorten-method", "truncate"), 512),
        ((*READING, "--arch", "lstmn_classifier", "--shorten-method", "none"), UNLIMITED),
        ((*READING, "--arch", "roberta"), 512),
        (("--task", "masked_lm", "--arch", "roberta"), None),
    ],
    ids=lambda value: " ".join(value[4:]) if isinstance(value, tuple) else "",
)
def test_a_reader_has_the_limit_that_is_given(arguments, limit):
    assert task_of(*arguments).get("max_positions") == limit
