"""The sentiment example: its YAML is the training of its README's flags."""

from itertools import product

import pytest
from omegaconf import OmegaConf

from fairseq_lstmn.cli import main

from .example import (
    EXAMPLES,
    assert_same_training,
    flags_training,
    hydra_training,
    plain,
    readme_commands,
)
from .plans import assert_trains_as, check_plan, write_vectors

EXAMPLE = EXAMPLES / "sentiment"


@pytest.mark.parametrize("arch", ["lstmn_sst", "lstmn_sst_2layer"])
def test_yaml_gives_the_training_of_the_flags(arch):
    commands = [words for words in readme_commands(EXAMPLE) if "fairseq-train" in words]
    flags, measured = (
        flags_training([word.replace("$arch", arch) for word in words]) for words in commands
    )
    assert measured.model.encoder_hidden_size == 168
    yaml = hydra_training(EXAMPLE, arch, "data/sst")
    assert_same_training(yaml, flags)
    assert plain(yaml.optimizer) == plain(flags.optimizer)
    model = OmegaConf.load(EXAMPLE / "config" / f"{arch}.yaml").model
    assert model._name == arch
    assert model.first_epoch_scale == flags.model.first_epoch_scale == 0.35


def training_command():
    """The README's fairseq-train command from GloVe's vectors."""
    commands = [words for words in readme_commands(EXAMPLE) if "fairseq-train" in words]
    [words] = [words for words in commands if "--encoder-embed-path" in words]
    return words


RIVALS = "--dropout 0 --encoder-hidden-size 168 --pooler-dropout 0.5".split()


@pytest.mark.parametrize(
    "model, arch, options",
    [
        ("lstmn", "lstmn_sst", []),
        ("lstmn-2layers", "lstmn_sst_2layer", []),
        ("lstm", "lstm_classifier", RIVALS),
        ("lstm-2layers", "lstm_classifier", [*RIVALS, "--encoder-layers", "2"]),
        ("tcnn", "tcnn_classifier", RIVALS),
    ],
)
def test_plan_trains_as_the_flags(model, arch, options):
    words = [word.replace("$arch", arch) for word in training_command()]
    assert_trains_as("sentiment/table2_fine", model, [*words, *options])


def test_plans_differ_in_the_number_of_classes_alone():
    fine, binary = (
        plain(OmegaConf.load(EXAMPLE / "plans" / f"table2_{name}.yaml"))
        for name in ("fine", "binary")
    )
    assert (fine["train"].pop("num-classes"), binary["train"].pop("num-classes")) == (5, 2)
    assert (fine.pop("data"), binary.pop("data")) == ("data/sst", "data/sst-binary")
    assert fine.pop("title") != binary.pop("title")
    assert fine == binary


@pytest.fixture
def treebank(tmp_path, monkeypatch):
    """The working directory: a folder of tiny trees, and vectors for their words."""
    trees = [f"({label} (2 {word}) (2 film))" for label, word in product("01234", "abc")]
    (tmp_path / "trees").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "trees" / f"{split}.txt").write_text("".join(f"{tree}\n" for tree in trees))
    monkeypatch.chdir(tmp_path)
    write_vectors(["a", "film"])


@pytest.mark.parametrize(
    "plan, data, options",
    [("table2_binary", "data/sst-binary", ["--binary"]), ("glove_100d", "data/sst", [])],
)
def test_plan_of_the_same_task(treebank, capsys, plan, data, options, check):
    main(["prepare", "sst", "--from", "trees", "--dest", data, *options])
    check(f"sentiment/{plan}", capsys)


def test_plan(treebank, capsys):
    main(["prepare", "sst", "--from", "trees", "--dest", "data/sst"])
    check_plan("sentiment/table2_fine", capsys)
