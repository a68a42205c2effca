"""Averages end to end: those that fairseq keeps in training, and those of checkpoints."""

import pytest
import torch

from fairseq_lstmn.cli import main
from tests.fairseq_commands import PLUGIN, run

from .corpora import COMMON, PAIRS, STREAMS, TEXT, TRANSLATION, write_corpora

SHARED = "--share-all-embeddings", "--decoder-out-embed-dim", 8
RIVAL = "--task", "translation", "--arch", "lstm", "--batch-size", 8, "--encoder-embed-dim", 8
KINDS = {
    "reader": ("pairs", PAIRS),
    "shared": ("translation", (*TRANSLATION, *SHARED)),
    "carried": ("text", (*TEXT, *STREAMS, "--batch-size", 3)),
    "rival": ("translation", (*RIVAL, "--decoder-embed-dim", 8, *SHARED)),
}
EPOCHS = 2
AVERAGED = "--store-ema", "--ema-fp32", "--ema-decay", 0.5
ALL_EPOCHS = [option for option in COMMON if option != "--no-epoch-checkpoints"]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_corpora(tmp_path_factory.mktemp("averaging"))


def weights(path, part="model"):
    state = torch.load(path, weights_only=False)
    return state[part] if part == "model" else state["extra_state"][part]


@pytest.mark.parametrize("kind, options", KINDS.values(), ids=KINDS)
def test_averages_of_a_training(corpora, tmp_path, kind, options):
    [data, *_] = corpora[kind]
    training = [data, *options, *ALL_EPOCHS, *AVERAGED, "--save-dir", tmp_path]
    for epoch in range(1, EPOCHS + 1):  # each goes on where the one before has stopped
        run("train", *training, "--max-epoch", epoch)
    paths = [tmp_path / f"checkpoint{epoch}.pt" for epoch in range(1, EPOCHS + 1)]
    models = [weights(path) for path in paths]
    moving = weights(paths[-1], "ema")
    assert moving.keys() == models[-1].keys()
    assert not all(torch.equal(moving[name], models[-1][name]) for name in moving)

    output = tmp_path / "average.pt"
    chosen = "--num-epoch-checkpoints", EPOCHS, "--output", output
    assert main(["average", str(tmp_path), *map(str, chosen)]) == 0
    averaged = weights(output)
    for name in models[0]:
        mean = torch.stack([model[name].double() for model in models]).mean(dim=0)
        torch.testing.assert_close(averaged[name], mean.float(), msg=name)
    task = options[options.index("--task") : options.index("--task") + 2]
    criterion = [word for word in ("--criterion", "sentence_prediction") if kind == "pairs"]
    scored = run(
        "validate", data, "--user-dir", PLUGIN, "--cpu", *task, *criterion, "--path", output,
        "--batch-size", 3,
    ).stdout  # fmt: skip
    assert "| loss " in scored
