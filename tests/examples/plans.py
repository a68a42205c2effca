"""What the tests of the examples' plans need: a plan at work, and its options as fairseq's."""

import json

from omegaconf import OmegaConf

from fairseq_lstmn.cli import main
from fairseq_lstmn.comparison.arguments import arguments
from tests.examples.example import EXAMPLES, assert_same_training, flags_training, plain

SHORT = (
    *("seeds=[1]", "train.max-update=2", "train.cpu=true", "train.num-workers=0"),
    "train.data-buffer-size=0",
)
# what a README's command has beside the options of a plan
OWN = (
    *("--seed", "1", "--no-epoch-checkpoints", "--log-format", "simple", "--log-interval", "200"),
)


def check_plan(name, capsys, *overrides):
    """Check all models of a plan in the folder that it names data in; compare two of them there.

    Args:
        name: of the plan, EXAMPLE/NAME.
        overrides: beside SHORT, for the two.
    """
    example, _, file = name.partition("/")
    path = str(EXAMPLES / example / "plans" / f"{file}.yaml")
    dest = f"runs/{file}"
    assert main(["compare", path, "--dest", dest, "--dry-run"]) == 0
    written = OmegaConf.load(path)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + 2 * len(written.models) * len(written.seeds)

    two = [written.baseline, [name for name in written.models if name != written.baseline][-1]]
    written.models = {name: written.models[name] for name in two}
    OmegaConf.save(written, "two.yaml")
    short = [*SHORT, *overrides, "--jobs", "2"]
    assert main(["compare", "two.yaml", *short, "--dest", dest]) == 0
    found = json.loads(open(f"{dest}/results.json").read())
    assert found["errors"] == []
    assert [model["name"] for model in found["models"]] == two
    assert all(model["budget"]["updates"] == 2 for model in found["models"])


def assert_trains_as(name, model, words):
    """A model of a plan is trained as by the README's fairseq-train command ``words``."""
    example, _, file = name.partition("/")
    options = OmegaConf.to_container(OmegaConf.load(EXAMPLES / example / "plans" / f"{file}.yaml"))
    flags = flags_training(words)
    given = arguments({**options["train"], **options["models"][model]})
    own = [*OWN, "--save-dir", flags.checkpoint.save_dir]
    planned = flags_training(["fairseq-train", words[1], "--user-dir", "", *given, *own])
    assert_same_training(planned, flags)
    for part in ("model", "optimizer"):
        assert as_dict(planned[part]) == as_dict(flags[part])


def write_vectors(path, words):
    """Write vectors for ``words`` in GloVe's text format, as many numbers each as GloVe has."""
    path.write_text("".join(f"{word}{' 0.1' * 300}\n" for word in words))


def as_dict(section):
    return plain(section) if OmegaConf.is_config(section) else vars(section)
