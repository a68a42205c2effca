"""What is taken from a command's options: limits of length, and the device."""

import importlib.util

import pytest
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.errors import InputError

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


WRITING = "--task", "translation"
SIDES = "max_source_positions", "max_target_positions"


@pytest.mark.parametrize(
    "arguments, limits",
    [
        ((*WRITING, "--arch", "lstmn_deep"), (UNLIMITED, UNLIMITED)),
        ((*WRITING, "--arch", "lstmn", "--max-source-positions", "1024"), (1024, UNLIMITED)),
        ((*WRITING, "--arch", "lstmn", "--truncate-source"), (1024, 1024)),
        ((*WRITING, "--arch", "lstm"), (1024, 1024)),
        ((*WRITING, "--arch", "transformer"), (1024, 1024)),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value[0], str) else "",
)
def test_a_translation_model_has_the_limits_that_are_given(arguments, limits):
    assert tuple(map(task_of(*arguments).get, SIDES)) == limits


@pytest.mark.parametrize(
    "arguments, limits",
    [
        (WRITING, (UNLIMITED, UNLIMITED)),
        ((*WRITING, "--max-source-positions", "6000"), (6000, UNLIMITED)),
        ((*WRITING, "--truncate-source"), (1024, 1024)),
        (("--task", "multilingual_translation"), (1024, 1024)),
    ],
)
def test_translations_are_scored_within_the_limits_that_are_given(arguments, limits):
    parser = options.get_generation_parser()
    args = options.parse_args_and_arch(parser, ["data", "--path", "model.pt", *arguments])
    task = convert_namespace_to_omegaconf(args).task
    # the older tasks have no config but the arguments themselves
    assert tuple(getattr(task, side) for side in SIDES) == limits


def test_validation_overrides_no_limit_of_a_checkpoint():
    parser = options.get_validation_parser()
    arguments = ["data", "--path", "model.pt", *WRITING]
    args = options.parse_args_and_arch(parser, arguments, suppress_defaults=True)
    assert "max_source_positions" not in args


@pytest.mark.parametrize("option", ["--bf16", "--memory-efficient-bf16"])
@pytest.mark.parametrize("tpu", [False, True])
def test_bfloat16_needs_no_tpu(option, tpu):
    arguments = ["data", "--task", "language_modeling", "--arch", "lstm_lm", option]
    parser = options.get_training_parser()
    args = options.parse_args_and_arch(parser, [*arguments, "--tpu"] if tpu else arguments)
    assert args.bf16
    assert args.tpu == tpu


def test_bfloat16_means_a_tpu_where_one_can_be(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "torch_xla")
    arguments = ["data", "--task", "language_modeling", "--arch", "lstm_lm", "--bf16"]
    assert options.parse_args_and_arch(options.get_training_parser(), arguments).tpu


@pytest.mark.parametrize("window", ["1024", "5000", "-1"])
def test_a_window_leaves_something_of_a_block(window):
    line = f"^--context-window {window}: must be 0 or above and below --tokens-per-sample 1024"
    with pytest.raises(InputError, match=line):
        parser = options.get_eval_lm_parser()
        options.parse_args_and_arch(
            parser, ["data", "--path", "model.pt", f"--context-window={window}"]
        )
