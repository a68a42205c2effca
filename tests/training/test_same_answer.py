"""One training, in two processes and in one: the same losses, parameters and metrics.

Two processes read two batches for an update, one process does with ``--update-freq 2``. The
corpora have an odd number of batches, so that one of two processes has less to read than the
other in the last update of an epoch and in validation.
"""

import pytest
import torch

from tests.fairseq_commands import logged, run_together, two_processes
from tests.training.corpora import write_corpora
from tests.training.options import COMMON, PAIRS, SENTENCES, STREAMS, TEXT, TRANSLATION

UPDATES = 20
# {name: (kind of corpus, options, options of one process that make it read as much as two)}
MODELS = {
    "text": ("text", (*TEXT, *SENTENCES), ("--update-freq", 2)),
    "carried": ("text", (*TEXT, *STREAMS, "--batch-size", 3), ("--batch-size", 6)),
    "translation": ("translation", TRANSLATION, ("--update-freq", 2)),
    "pairs": ("pairs", PAIRS, ("--update-freq", 2)),
}
SHARDED = "carried", "translation"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Logs by (model, "alone", "together" or "sharded"), and the folder of the checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_corpora(folder)
    jobs = {}
    for name, (kind, options, as_two) in MODELS.items():
        shared = *options, *COMMON, "--max-update", UPDATES
        first = data[kind][0]
        alone = "--save-dir", folder / f"{name}-alone"
        jobs[f"{name}-alone"] = [["train", first, *shared, *as_two, *alone]]
        jobs[f"{name}-together"] = two_processes(folder / f"{name}-together", first, *shared)
    for name in SHARDED:
        kind, options, _ = MODELS[name]
        shards = ":".join(map(str, data[kind]))
        jobs[f"{name}-sharded"] = two_processes(
            folder / f"{name}-sharded", shards, *options, *COMMON, "--max-epoch", 3
        )
    return folder, {name: run_together(commands)[0] for name, commands in jobs.items()}


def checkpoint(folder, name):
    return torch.load(folder / name / "checkpoint_last.pt", weights_only=False)


# of three models the difference is 0, two numbers are added; with carried tapes it is 4e-7,
# since one process reads the rows of both in one product
NEARLY = 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_train_as_one(trained, name):
    folder, outputs = trained
    assert "training on 2 devices" in outputs[f"{name}-together"]
    alone, together = (
        [float(entry["loss"]) for entry in logged(outputs[f"{name}-{how}"], "train_inner")]
        for how in ("alone", "together")
    )
    assert len(alone) == UPDATES
    assert together == pytest.approx(alone, abs=0.0011)  # three decimals are printed
    alone, together = (
        checkpoint(folder, f"{name}-{how}")["model"] for how in ("alone", "together")
    )
    torch.testing.assert_close(together, alone, rtol=0, atol=NEARLY)


def sums(folder, name, part):
    """{metric: its sum over an epoch and all processes} of "train" or "valid"."""
    meters = checkpoint(folder, name)["extra_state"]["metrics"][part]
    return {
        key: float(state["sum"])
        for _, key, _, state in meters
        if "sum" in state and key != "train_wall"  # seconds
    }


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize("name", MODELS)
def test_metrics_count_every_example_once(trained, name, part):
    alone, together = (sums(trained[0], f"{name}-{how}", part) for how in ("alone", "together"))
    assert {"loss", "wpb", "bsz"} <= set(alone)
    assert together == pytest.approx(alone, rel=NEARLY)


def test_every_class_is_counted_over_both_processes(trained):
    [*_, alone], [*_, together] = (
        logged(trained[1][f"pairs-{how}"], "valid") for how in ("alone", "together")
    )
    assert sum(key.endswith(" taken for") for key in alone) == 3
    steps = "valid_wps", "valid_wpb", "valid_bsz"  # per step, of which two processes make fewer
    for entry in (alone, together):
        for key in steps:
            del entry[key]
    assert together == alone


@pytest.mark.parametrize("name", SHARDED)
def test_every_epoch_reads_its_shard(trained, name):
    entries = logged(trained[1][f"{name}-sharded"], "train_inner")
    tokens = [
        sum(float(entry["wpb"]) for entry in entries if entry["epoch"] == epoch)
        for epoch in (1, 2, 3)
    ]
    kind = MODELS[name][0]
    assert tokens == [tokens_in(trained[0], kind, shard) for shard in (0, 1, 0)]


def tokens_in(folder, kind, shard):
    """What is to be predicted in training: every word and every end of line."""
    suffix = ".out" if kind == "translation" else ""
    lines = (folder / f"{kind}{shard}" / f"train{suffix}").read_text().splitlines()
    return sum(len(line.split()) + 1 for line in lines)
