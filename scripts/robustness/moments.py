"""The moments of a training run at which it may be killed."""

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from fairseq.file_io import PathManager
from fairseq.trainer import Trainer

if TYPE_CHECKING:  # it imports this module
    from runs import Kill

Result = TypeVar("Result")


class Moments:
    """Counts the moments of this process, and kills it at one of them.

    Updates and validation batches are hit before they begin; writes, and copies of files, when
    half is done; moves and removals before they happen. Numbers, epochs and examples of updates
    are appended to the file ``updates``.
    """

    def __init__(self, updates: Path, kill: "Kill | None" = None) -> None:
        self.updates, self.kill = updates, kill
        self.counted: Counter[str] = Counter()
        self.epoch: int | None = None
        for owner, name, around in (
            (Trainer, "begin_epoch", self.begin_epoch),
            (Trainer, "train_step", self.update),
            (Trainer, "valid_step", self.validation),
            (shutil, "copyfile", self.copy),
            (os, "rename", self.move),
            (os, "replace", self.move),
            (os, "remove", self.move),
            (PathManager, "open", self.open),
        ):
            wrap(owner, name, around)

    def passes(self, moment: str, half: Callable[[], object] = lambda: None) -> None:
        if self.kill is not None and (moment, self.counted[moment]) == (
            self.kill.moment,
            int(self.kill.at),
        ):
            half()
            os.kill(os.getpid(), signal.SIGKILL)
        self.counted[moment] += 1

    def begin_epoch(self, begin: Callable[..., Result], trainer: Trainer, epoch: int) -> Result:
        self.epoch = epoch
        return begin(trainer, epoch)

    def update(
        self,
        step: Callable[..., Result],
        trainer: Trainer,
        samples: list[dict[str, Any]],
        *args: Any,
        **kwargs: Any,
    ) -> Result:
        ids = [number for sample in samples for number in sample["id"].tolist()]
        entry = {"number": trainer.get_num_updates() + 1, "epoch": self.epoch, "ids": ids}
        with open(self.updates, "a") as file:
            file.write(json.dumps(entry) + "\n")
        self.passes("update")
        return step(trainer, samples, *args, **kwargs)

    def validation(self, step: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        self.passes("validation")
        return step(*args, **kwargs)

    def copy(self, copyfile: Callable[..., Result], source: str, destination: str) -> Result:
        def half() -> None:
            with open(source, "rb") as whole, open(destination, "wb") as part:
                part.write(whole.read(os.path.getsize(source) // 2))

        self.passes("copy", half)
        return copyfile(source, destination)

    def move(self, move: Callable[..., Result], *paths: str) -> Result:
        self.passes("move")
        return move(*paths)

    def open(
        self, opened: Callable[..., IO[Any]], path: str, mode: str = "r", **kwargs: Any
    ) -> "IO[Any] | Written":
        file = opened(path, mode, **kwargs)
        return Written(file, self) if mode == "wb" else file


class Written:
    """A file that is written, each write a moment."""

    def __init__(self, file: IO[bytes], moments: Moments) -> None:
        self.file, self.moments = file, moments

    def write(self, content: bytes) -> int:
        def half() -> None:
            self.file.write(bytes(content)[: len(content) // 2])
            self.file.flush()

        self.moments.passes("write", half)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


def wrap(owner: object, name: str, around: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by ``around(original, ...)``."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: around(original, *args, **kwargs))
