"""examples/multi_node: its commands are complete and train the same."""

import subprocess

import pytest
from torch.distributed.run import get_args_parser

from tests.examples.example import EXAMPLES, assert_same_training, flags_training, readme_commands

EXAMPLE = EXAMPLES / "multi_node"
PROGRAMS = "fairseq-train", "torchrun", "sbatch"
COMMANDS = [words for words in readme_commands(EXAMPLE) if words[0] in PROGRAMS]


def training(words):
    """The fairseq-train command in the command of a launcher."""
    if words[0] == "torchrun":
        launch = get_args_parser().parse_args(words[1:])
        assert launch.module and launch.training_script == "fairseq_cli.train"
        return ["fairseq-train", *launch.training_script_args]
    if words[0] == "sbatch":
        assert words[1] == "examples/multi_node/train.sbatch"
        return ["fairseq-train", *words[2:]]
    return words


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:3]))
def test_every_launcher_trains_the_same(words):
    flags, alone = flags_training(training(words)), flags_training(COMMANDS[0])
    assert_same_training(flags, alone)
    assert flags.common.bf16 and not flags.common.tpu


def test_every_launcher_is_shown():
    assert [words[0] for words in COMMANDS] == ["fairseq-train", "torchrun", "torchrun", "sbatch"]


def test_the_batch_script_is_one():
    subprocess.run(["bash", "-n", EXAMPLE / "train.sbatch"], check=True)
