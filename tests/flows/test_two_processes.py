"""One training, in several processes and in one: the same losses, parameters and metrics.

Two processes read two batches for an update, one process does with ``--update-freq 2``. The
corpora have an odd number of batches, so that one of two processes has less to read than the
other in the last update of an epoch and in validation.
"""

import pytest
import torch

from tests.fairseq_commands import logged, run, run_together, several_processes, two_processes
from tests.patches.files import same

from .corpora import COMMON, PAIRS, SENTENCES, STREAMS, TEXT, TRANSLATION, write_corpora

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


WHOLE, INTERRUPTED = 13, 6  # updates, of which an epoch has 5


def test_two_that_go_on_in_the_middle_of_an_epoch_end_as_two_never_interrupted(trained, tmp_path):
    """With dropout, and tapes of each process's own."""
    folder, data = tmp_path, trained[0] / "text0" / "bin"
    options = data, *TEXT, *STREAMS, *COMMON, "--batch-size", 3, "--dropout", 0.3

    def training(name, updates):
        commands = two_processes(folder / name, *options, "--max-update", updates)
        return run_together(commands)[0]

    training("whole", WHOLE)
    training("resumed", INTERRUPTED)
    assert f"(epoch 2 @ {INTERRUPTED} updates)" in training("resumed", WHOLE)
    whole, resumed = (checkpoint(folder, name) for name in ("whole", "resumed"))
    for part in ("model", "last_optimizer_state"):
        assert same(resumed[part], whole[part])
    tapes = whole["extra_state"]["carried_tapes"]
    assert same(resumed["extra_state"]["carried_tapes"], tapes)
    assert len(tapes) == 2 and not same(tapes[0], tapes[1])


FREQUENCY = 2
BATCH = 2  # sentences


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A folder of data for each number of batches from 1 on, read epoch by epoch."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "words.txt").write_text("".join(f"{word} 1\n" for word in "abcdefgh"))
    folders = []
    for batches in range(1, 3 * FREQUENCY + 1):
        data = folder / str(batches)
        data.mkdir()
        lines = ["abcdefgh"[k % 8 :][: 1 + k % 5] for k in range(BATCH * batches)]
        (data / "train").write_text("".join(" ".join(line) + "\n" for line in lines))
        (data / "valid").write_text("a b c\nd e\n")
        texts = f"--trainpref={data / 'train'}", f"--validpref={data / 'valid'}"
        run("preprocess", *texts, "--only-source", "--srcdict", folder / "words.txt",
            "--destdir", data / "bin")  # fmt: skip
        folders.append(data / "bin")
    return folders


@pytest.mark.parametrize("arch, processes", [("lstmn_lm", 2), ("lstmn_lm", 3), ("lstm_lm", 2)])
def test_every_remainder_of_batches(shards, tmp_path, arch, processes):
    """Processes that read two batches each for an update are one that reads as many.

    The epochs have every number of batches up to a whole update, so that some process has an empty
    batch first, last or in both places.
    """
    epochs = processes * FREQUENCY
    data = ":".join(map(str, shards[:epochs]))
    arguments = (
        data, *COMMON, "--task", "language_modeling", "--sample-break-mode", "eos",
        "--arch", arch, "--decoder-embed-dim", 6, "--decoder-hidden-size", 6,
        "--decoder-out-embed-dim", 6, "--batch-size", BATCH, "--required-batch-size-multiple", 1,
        "--max-epoch", epochs,
    )  # fmt: skip
    alone = ["train", *arguments, "--save-dir", tmp_path / "alone", "--update-freq", epochs]
    together = several_processes(
        processes, tmp_path / "together", *arguments, "--update-freq", FREQUENCY
    )
    outputs = run_together([alone, *together])
    of_one, of_all = (logged(output, "train_inner") for output in outputs[:2])
    assert len(of_one) == epochs
    for key in ("loss", "wpb", "bsz", "gnorm"):
        read = [[float(update[key]) for update in updates] for updates in (of_one, of_all)]
        assert read[1] == pytest.approx(read[0], abs=0.0011)  # three decimals are printed
    of_one, of_all = (
        torch.load(tmp_path / how / "checkpoint_last.pt", weights_only=False)["model"]
        for how in ("alone", "together")
    )
    torch.testing.assert_close(of_all, of_one, rtol=0, atol=1e-5)  # 4e-7 measured
