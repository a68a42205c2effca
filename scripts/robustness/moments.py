"""The moments of a training run at which it may be killed."""

import json
import os
import shutil
import signal
from collections import Counter

from fairseq.file_io import PathManager
from fairseq.trainer import Trainer


class Moments:
    """Counts the moments of this process, and kills it at one of them.

    Updates and validation batches are hit before they begin; writes, and copies of files, when
    half is done; moves and removals before they happen. Numbers, epochs and examples of updates
    are appended to the file ``updates``.
    """

    def __init__(self, updates, kill=None):
        self.updates, self.kill, self.counted = updates, kill, Counter()
        self.epoch = None
        for owner, name, around in (
            (Trainer, "begin_epoch", self.begin_epoch),
            (Trainer, "train_step", self.update),
            (Trainer, "valid_step", self.validation),
            (shutil, "copyfile", self.copy),
            (os, "rename", self.move),
            (os, "replace", self.move),
            (os, "remove", self.move),
        ):
            setattr(owner, name, wrapped(getattr(owner, name), around))
        PathManager.open = staticmethod(wrapped(PathManager.open, self.open))

    def passes(self, moment, half=lambda: None):
        if self.kill is not None and (moment, self.counted[moment]) == (
            self.kill.moment,
            int(self.kill.at),
        ):
            half()
            os.kill(os.getpid(), signal.SIGKILL)
        self.counted[moment] += 1

    def begin_epoch(self, begin, trainer, epoch):
        self.epoch = epoch
        return begin(trainer, epoch)

    def update(self, step, trainer, samples, *args, **kwargs):
        ids = [number for sample in samples for number in sample["id"].tolist()]
        entry = {"number": trainer.get_num_updates() + 1, "epoch": self.epoch, "ids": ids}
        with open(self.updates, "a") as file:
            file.write(json.dumps(entry) + "\n")
        self.passes("update")
        return step(trainer, samples, *args, **kwargs)

    def validation(self, step, *args, **kwargs):
        self.passes("validation")
        return step(*args, **kwargs)

    def copy(self, copyfile, source, destination):
        def half():
            with open(source, "rb") as whole, open(destination, "wb") as part:
                part.write(whole.read(os.path.getsize(source) // 2))

        self.passes("copy", half)
        return copyfile(source, destination)

    def move(self, move, *paths):
        self.passes("move")
        return move(*paths)

    def open(self, opened, path, mode="r", **kwargs):
        file = opened(path, mode, **kwargs)
        return Written(file, self) if mode == "wb" else file


class Written:
    """A file that is written, each write a moment."""

    def __init__(self, file, moments):
        self.file, self.moments = file, moments

    def write(self, content):
        def half():
            self.file.write(bytes(content)[: len(content) // 2])
            self.file.flush()

        self.moments.passes("write", half)
        return self.file.write(content)

    def flush(self):
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def wrapped(function, around):
    return lambda *args, **kwargs: around(function, *args, **kwargs)
