"""What the tests of the examples' plans need: a plan at work, and its options as fairseq's."""

import json
from pathlib import Path

from omegaconf import OmegaConf

from fairseq_lstmn.cli import main
from fairseq_lstmn.compare.plan.options import arguments
from fairseq_lstmn.compare.plan.plan import read
from tests.examples.example import EXAMPLES, assert_same_training, flags_training, plain

SHORT = (
    *("seeds=[1]", "train.max-update=2", "train.cpu=true"),
    *("train.num-workers=0", "train.data-buffer-size=0"),
)
# what a README's command has beside the options of a plan
OWN = "--seed 1 --no-epoch-checkpoints --log-format simple --log-interval 200".split()


def path_of(name):
    """The file of the plan EXAMPLE/NAME."""
    example, _, file = name.partition("/")
    return EXAMPLES / example / "plans" / f"{file}.yaml"


def check_models(name, capsys):
    """Check all models of the plan EXAMPLE/NAME, which are built; returns what it says.

    Its data has to be where it says, from the working directory; all that is written goes there.
    """
    assert main(["compare", str(path_of(name)), "--dest", "runs", "--dry-run"]) == 0
    plan = read(path_of(name))
    commands = [line for line in capsys.readouterr().out.splitlines() if " >> " in line]
    trained = {plan.trained_as(model) for model in plan.models}
    assert len(commands) == (len(trained) + len(plan.models)) * len(plan.seeds)
    return OmegaConf.load(path_of(name))


def check_plan(name, capsys):
    """``check_models``, and compare two of them, for two updates."""
    written = check_models(name, capsys)
    two = [written.baseline, list(written.models)[-1]]
    written.models = {name: written.models[name] for name in two}
    OmegaConf.save(written, "two.yaml")
    assert main(["compare", "two.yaml", *SHORT, "--dest", "runs", "--jobs", "2"]) == 0
    found = json.loads(Path("runs/results.json").read_text())
    assert found["errors"] == []
    assert [model["name"] for model in found["models"]] == two
    assert all(model["budget"]["updates"] == 2 for model in found["models"])


def assert_trains_as(name, model, words, matched=()):
    """A model of a plan is trained as by the README's fairseq-train command ``words``.

    Args:
        matched: options that the plan's ``match`` sets.
    """
    written, flags = plain(OmegaConf.load(path_of(name))), flags_training(words)
    given = arguments(None, {**written["train"], **written["models"][model], **dict(matched)})
    own = [*OWN, "--save-dir", flags.checkpoint.save_dir]
    data = words[1 : words.index("--user-dir")]
    planned = flags_training(["fairseq-train", *data, "--user-dir", "", *given, *own])
    assert_same_training(planned, flags)
    for part in ("model", "optimizer"):
        assert as_dict(planned[part]) == as_dict(flags[part])


def write_vectors(words):
    """Write vectors for ``words`` in the working directory, in GloVe's files of two sizes."""
    for name, size in ("glove.840B.300d.txt", 300), ("glove.6B.100d.txt", 100):
        Path(name).write_text("".join(f"{word}{' 0.1' * size}\n" for word in words))


def as_dict(section):
    return plain(section) if OmegaConf.is_config(section) else vars(section)
