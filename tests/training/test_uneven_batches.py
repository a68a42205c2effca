"""Several processes under ``--update-freq`` train as one does, whatever is left for an epoch's end.

Two processes that read two batches each for an update are one that reads four; the epochs have
every number of batches up to a whole update, so that some process has an empty batch first, last
or in both places.
"""

import pytest
import torch

from tests.fairseq_commands import logged, run, run_together, several_processes
from tests.training.options import COMMON

FREQUENCY = 2
BATCH = 2  # sentences
MODELS = {
    "lstmn_lm": ("--arch", "lstmn_lm", "--decoder-embed-dim", 6, "--decoder-hidden-size", 6),
    # the patch is for every model
    "lstm_lm": ("--arch", "lstm_lm", "--decoder-embed-dim", 6, "--decoder-hidden-size", 6),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A folder of data for each number of batches from 1 on, read epoch by epoch."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "words.txt").write_text("".join(f"{word} 1\n" for word in "abcdefgh"))
    found = []
    for batches in range(1, 3 * FREQUENCY + 1):
        data = folder / str(batches)
        data.mkdir()
        lines = ["abcdefgh"[k % 8 :][: 1 + k % 5] for k in range(BATCH * batches)]
        (data / "train").write_text("".join(" ".join(line) + "\n" for line in lines))
        (data / "valid").write_text("a b c\nd e\n")
        texts = f"--trainpref={data / 'train'}", f"--validpref={data / 'valid'}"
        run("preprocess", *texts, "--only-source", "--srcdict", folder / "words.txt",
            "--destdir", data / "bin")  # fmt: skip
        found.append(data / "bin")
    return found


@pytest.mark.parametrize("name, processes", [("lstmn_lm", 2), ("lstmn_lm", 3), ("lstm_lm", 2)])
def test_every_remainder_of_batches(shards, tmp_path, name, processes):
    epochs = processes * FREQUENCY
    data = ":".join(map(str, shards[:epochs]))
    arguments = (
        data, *COMMON, "--task", "language_modeling", "--sample-break-mode", "eos",
        *MODELS[name], "--decoder-out-embed-dim", 6, "--batch-size", BATCH,
        "--required-batch-size-multiple", 1, "--max-epoch", epochs,
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
