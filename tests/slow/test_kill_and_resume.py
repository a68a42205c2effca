"""Training runs that are killed with SIGKILL and resumed end as if nobody had killed them.

Three small models are trained with dropout: a language model with carried tapes, a translation
model with deep fusion and a model of sentence pairs whose pretrained vectors go slower in the first
epoch. Runs are killed at random moments, in the middle of writes among them, and started again
until they are through. Every checkpoint, the last random state and the examples of every update
must then be those of a run that nobody killed.
"""

import json
import os
import random
import shutil
import signal
import threading
from collections import Counter
from functools import partial
from multiprocessing import util

import numpy as np
import pytest
import torch

from fairseq_lstmn.cli import main
from tests.fairseq_commands import LETTERS, PLUGIN, monolingual_data, parallel_data, run

KILLS = 34  # of each model
MOST_IN_A_ROW = 4  # of one run
MOMENTS = "clock", "update", "validation", "write", "copy", "move"
SIZES = dict(train=44, valid=8)
COMMON = (
    "--cpu --dropout 0.3 --optimizer adam --lr 0.01 --max-epoch 2 --num-workers 0 --seed 3"
    " --save-interval-updates 4 --keep-interval-updates 2 --log-format none --batch-size 6"
).split()
TIMES = "metrics", "previous_training_time"  # of a checkpoint's extra_state, never the same


def language_model(folder):
    return (
        monolingual_data(folder, **SIZES), "--task", "contiguous_language_modeling",
        "--arch", "lstmn_lm", "--carry-tape", 9, "--tokens-per-sample", 6,
        "--decoder-embed-dim", 6, "--decoder-out-embed-dim", 6,
    )  # fmt: skip


def translation(folder):
    return (
        parallel_data(folder, **SIZES), "--arch", "lstmn_deep", "--encoder-embed-dim", 6,
        "--decoder-embed-dim", 6, "--decoder-out-embed-dim", 6,
    )  # fmt: skip


def sentence_pairs(folder):
    draw = random.Random(1)
    for split, count in {**SIZES, "test": 8}.items():
        rows = [
            ["xyz"[k % 3], *(" ".join(draw.choices(LETTERS, k=5)) for _ in "ab")]
            for k in range(count)
        ]
        (folder / f"{split}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    main(["prepare", "tsv", "--from", str(folder), "--dest", str(folder / "data")])
    vectors = folder / "vectors"
    vectors.write_text("".join(f"{letter} 1 2 3 -1 -2 -3\n" for letter in LETTERS[:10]))
    return (
        folder / "data", "--task", "sentence_pair_prediction", "--num-classes", 3,
        "--criterion", "sentence_prediction", "--arch", "lstmn_nli", "--attention-fusion", "deep",
        "--encoder-embed-dim", 6, "--encoder-hidden-size", 6, "--encoder-embed-path", vectors,
        "--first-epoch-scale", 0.35,
    )  # fmt: skip


@pytest.mark.parametrize("model", [language_model, translation, sentence_pairs])
def test_a_killed_run_goes_on_to_the_same_end(tmp_path, model):
    train = partial(trained, model(tmp_path))
    assert train(tmp_path / "reference").returncode == 0
    expected, counted = left_behind(tmp_path / "reference"), moments_of(tmp_path / "reference")
    draw, kills, runs = random.Random(1), Counter(), 0
    while kills.total() < KILLS:
        folder, runs, before = tmp_path / f"run{runs}", runs + 1, kills.total()
        status = -signal.SIGKILL
        while status and kills.total() < min(KILLS, before + MOST_IN_A_ROW):
            moment = draw.choice(MOMENTS)
            status = train(folder, (moment, draw.uniform(0, counted[moment]))).returncode
            assert status in (0, -signal.SIGKILL)
            kills[moment] += status != 0
        assert not status or train(folder).returncode == 0
        assert left_behind(folder) == expected
    print(f"{model.__name__}: {runs} runs, {dict(kills)}")


def trained(options, folder, kill=None):
    """fairseq-train, in whose process ``Moments`` are counted, with all it writes in ``folder``."""
    folder.mkdir(exist_ok=True)
    arguments = *options, "--user-dir", PLUGIN, *COMMON, "--save-dir", folder / "checkpoints"
    return run("train", *arguments, check=False, before=partial(Moments, folder, kill))


class Moments:
    """Counts the moments of this process, and kills it at one of them.

    Updates and validation batches are hit before they begin; writes, and copies of files, when
    half is done; moves and removals before they happen; the clock at a number of seconds.
    """

    def __init__(self, folder, kill):
        from fairseq.file_io import PathManager
        from fairseq.trainer import Trainer

        self.folder, self.kill, self.counted = folder, kill, Counter()
        for owner, name, around in (
            (Trainer, "train_step", self.update),
            (Trainer, "valid_step", partial(self.hit, "validation")),
            (shutil, "copyfile", self.copy),
            (os, "rename", partial(self.hit, "move")),
            (os, "replace", partial(self.hit, "move")),
            (os, "remove", partial(self.hit, "move")),
            (PathManager, "open", self.open),
        ):
            setattr(owner, name, wrapped(getattr(owner, name), around))
        if kill and kill[0] == "clock":
            timer = threading.Timer(kill[1], os.kill, [os.getpid(), signal.SIGKILL])
            timer.daemon = True
            timer.start()
        began = os.times().elapsed
        util.Finalize(None, lambda: self.end(os.times().elapsed - began), exitpriority=1)

    def passes(self, moment, half=lambda: None):
        if self.kill and (moment, self.counted[moment]) == (self.kill[0], int(self.kill[1])):
            half()
            os.kill(os.getpid(), signal.SIGKILL)
        self.counted[moment] += 1

    def hit(self, moment, function, *args, **kwargs):
        self.passes(moment)
        return function(*args, **kwargs)

    def update(self, step, trainer, samples, *args, **kwargs):
        ids = [number for sample in samples for number in sample["id"].tolist()]
        with open(self.folder / "updates", "a") as file:
            file.write(json.dumps([trainer.get_num_updates() + 1, ids]) + "\n")
        return self.hit("update", step, trainer, samples, *args, **kwargs)

    def copy(self, copyfile, source, destination):
        def half():
            with open(source, "rb") as whole, open(destination, "wb") as part:
                part.write(whole.read(os.path.getsize(source) // 2))

        self.passes("copy", half)
        return copyfile(source, destination)

    def open(self, opened, path, mode="r", **kwargs):
        file = opened(path, mode, **kwargs)
        if mode == "wb":
            write = file.write

            def write_or_die(content):
                half = bytes(content)[: len(content) // 2]
                self.passes("write", lambda: (write(half), file.flush()))
                return write(content)

            return Written(file, write_or_die)
        return file

    def end(self, seconds):
        (self.folder / "moments").write_text(json.dumps({**self.counted, "clock": seconds}))
        state = {"torch": torch.get_rng_state(), "numpy": str(np.random.get_state())}
        torch.save(state, self.folder / "random.pt")


class Written:
    """A file that is written by ``write``."""

    def __init__(self, file, write):
        self.write, self.flush, self._file = write, file.flush, file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def wrapped(function, around):
    return lambda *args, **kwargs: around(function, *args, **kwargs)


def moments_of(folder):
    """{moment: how often} of a run that ended; of the clock, its seconds."""
    return json.loads((folder / "moments").read_text())


def left_behind(folder):
    """What two like runs have in common, to be compared by ==."""
    states = {path.name: torch.load(path) for path in (folder / "checkpoints").iterdir()}
    for state in states.values():
        for key in TIMES:
            state["extra_state"].pop(key, None)
        del state["cfg"]  # the name of its folder is in it
        del state["optimizer_history"][:-1]  # one entry for each resumption
    updates = set((folder / "updates").read_text().splitlines())  # some were begun twice
    return comparable({**states, "random": torch.load(folder / "random.pt"), "updates": updates})


def comparable(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: comparable(inner) for key, inner in value.items()}
    return list(map(comparable, value)) if isinstance(value, (list, tuple)) else value
