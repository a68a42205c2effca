"""One training, in two processes and in one: the same losses, parameters and metrics.

Two processes read two batches for an update, one process does with ``--update-freq 2``. The
corpora have an odd number of batches, so that one of two processes has less to read than the
other in the last update of an epoch and in validation.
"""

import pytest
import torch

from tests.distributed.corpora import SHARDS, write_corpora
from tests.fairseq_commands import PLUGIN, logged
from tests.forked_commands import run_forked

UPDATES = 20
COMMON = (
    "--user-dir", PLUGIN, "--cpu", "--dropout", 0, "--optimizer", "adam", "--lr", 0.01,
    "--clip-norm", 1, "--num-workers", 0, "--no-epoch-checkpoints", "--log-format", "json",
    "--log-interval", 1,
)  # fmt: skip
DECODER = "--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10
TEXT = (
    "--arch", "lstmn_lm", *DECODER, "--decoder-layers", 2, "--distance-bias", 3,
)  # fmt: skip
SENTENCES = "--task", "language_modeling", "--sample-break-mode", "eos", "--batch-size", 8
# 45 blocks or so; one process reads the streams of both
STREAMS = "--task", "contiguous_language_modeling", "--tokens-per-sample", 12, "--carry-tape", 20
TRANSLATION = (
    "--task", "translation", "--arch", "lstmn_deep", "--encoder-embed-dim", 8,
    "--encoder-hidden-size", 10, *DECODER, "--batch-size", 8,
)  # fmt: skip
PAIRS = (
    "--task", "sentence_pair_prediction", "--arch", "lstmn_nli", "--attention-fusion", "deep",
    "--criterion", "sentence_prediction", "--num-classes", 3, "--encoder-embed-dim", 8,
    "--encoder-hidden-size", 12, "--batch-size", 8, "--report-per-class",
)  # fmt: skip
# {name: (kind of corpus, options, options of one process that make it read as much as two)}
MODELS = {
    "text": ("text", (*TEXT, *SENTENCES), ("--update-freq", 2)),
    "carried": ("text", (*TEXT, *STREAMS, "--batch-size", 3), ("--batch-size", 6)),
    "translation": ("translation", TRANSLATION, ("--update-freq", 2)),
    "pairs": ("pairs", PAIRS, ("--update-freq", 2)),
}
SHARDED = "text", "carried", "translation"


def two_processes(folder, *arguments):
    """The two commands of a distributed training, which find each other through a file."""
    meet = (
        "--distributed-world-size", 2, "--distributed-backend", "gloo", "--distributed-no-spawn",
        "--distributed-init-method", f"file://{folder}/meet", "--save-dir", folder,
    )  # fmt: skip
    return [["train", *arguments, *meet, "--distributed-rank", rank] for rank in range(2)]


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
        (folder / f"{name}-together").mkdir()
        jobs[f"{name}-together"] = two_processes(folder / f"{name}-together", first, *shared)
    for name in SHARDED:
        kind, options, _ = MODELS[name]
        shards = ":".join(map(str, data[kind]))
        (folder / f"{name}-sharded").mkdir()
        jobs[f"{name}-sharded"] = two_processes(
            folder / f"{name}-sharded", shards, *options, *COMMON, "--max-epoch", 3
        )
    return folder, {name: first for name, (first, *_) in run_forked(folder, jobs).items()}
